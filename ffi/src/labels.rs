//! Label sets.

use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::Arc;

use ::clip_model::memory;
use clip_runtime::{LabelSet, Template};

use crate::argument;
use crate::error::Error;
use crate::guard::{create_shared, guard, release_shared};
use crate::model::clip_model;
use crate::status::clip_status;

/// Bytes that a name takes besides its text.
const NAME: usize = 32;

/// Labels, encoded once and used for many images. Only the model that encoded them can use them; it may be freed and
/// opened again in between.
pub struct clip_labels {
    pub(crate) set: Arc<LabelSet>,
    names: Vec<CString>,
}

impl clip_labels {
    pub(crate) fn new(set: LabelSet) -> Result<clip_labels, Error> {
        // C sees a label up to the first zero in it.
        let name = |label: &String| {
            let text = label.split('\0').next().unwrap_or_default();
            CString::new(text).unwrap_or_default()
        };
        let bytes = set.labels().iter().map(|label| label.len() + NAME).sum();
        memory::available("the names of labels", bytes)?;
        let mut names = memory::with_capacity("the names of labels", set.len())?;
        names.extend(set.labels().iter().map(name));
        Ok(clip_labels { set: Arc::new(set), names })
    }

    /// The label at `index`, or NULL when there is none.
    pub(crate) fn name(&self, index: usize) -> *const c_char {
        self.names.get(index).map_or(ptr::null(), |name| name.as_ptr())
    }
}

/// Encodes `n` labels, such as "cat" and "traffic light". Each label is put in the place of `{}` in every template,
/// such as "a photo of a {}.", and the embeddings of these texts are averaged. Without templates (NULL, 0), a label
/// is encoded as it stands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_new(
    model: *const clip_model,
    labels: *const *const c_char,
    n: usize,
    templates: *const *const c_char,
    n_templates: usize,
    out: *mut *mut clip_labels,
) -> clip_status {
    unsafe {
        create_shared(out, || {
            let model = argument::reference(model, "model")?;
            let labels = argument::texts(labels, n, "labels")?;
            let templates = argument::texts(templates, n_templates, "templates")?;
            let mut parsed: Vec<Template> = memory::with_capacity("templates", templates.len())?;
            for template in templates {
                parsed.push(template.parse()?);
            }
            clip_labels::new(model.clip.label_set(&labels, &parsed)?)
        })
    }
}

/// The labels that clip-export stored in the model folder, already encoded. CLIP_ERROR_MISSING when there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_stored(
    model: *const clip_model,
    out: *mut *mut clip_labels,
) -> clip_status {
    unsafe {
        create_shared(out, || {
            let model = argument::reference(model, "model")?;
            let missing = || clip_runtime::Error::Missing {
                model: model.clip.name().to_owned(),
                what: clip_runtime::Part::StoredLabels,
            };
            clip_labels::new(model.clip.stored_labels().ok_or_else(missing)?.clone())
        })
    }
}

/// Writes the labels to the file `path`, whole or not at all: their names and embeddings, and which model encoded
/// them. A file that is there is replaced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_save(labels: *const clip_labels, path: *const c_char) -> clip_status {
    guard(|_| {
        let labels = unsafe { argument::reference(labels, "labels") }?;
        Ok(labels.set.save(unsafe { argument::path(path, "path", "a file to write") }?)?)
    })
}

/// Reads a file that clip_labels_save or `clip-run labels` wrote, which takes no text encoder. CLIP_ERROR_LABELS when it
/// is no such file, or when another model encoded the labels.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_load(
    model: *const clip_model,
    path: *const c_char,
    out: *mut *mut clip_labels,
) -> clip_status {
    unsafe {
        create_shared(out, || {
            let model = argument::reference(model, "model")?;
            let path = argument::path(path, "path", "a file of labels")?;
            clip_labels::new(model.clip.open_label_set(path)?)
        })
    }
}

/// Frees the labels; if clip_labels_retain was called, the last of so many calls does. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_free(labels: *mut clip_labels) {
    unsafe { release_shared(labels) }
}

/// The number of labels; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_count(labels: *const clip_labels) -> usize {
    unsafe { labels.as_ref() }.map_or(0, |labels| labels.names.len())
}

/// The label at `index`, counted from 0, or NULL when there is none. The string is valid until the labels are freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_labels_name(labels: *const clip_labels, index: usize) -> *const c_char {
    unsafe { labels.as_ref() }.map_or(ptr::null(), |labels| labels.name(index))
}
