//! Label sets.

use std::path::Path;
use std::sync::Arc;

use clip_model::labels::{Logits, StoredLabels};
use clip_model::manifest::{LabelsFile, ModelId};
use clip_model::{Manifest, files, memory};

use crate::embeddings::Embeddings;
use crate::error::{Error, Result};

/// What memory is taken for.
const WHAT: &str = "labels";

/// Bytes that a label takes besides its text and its embedding.
const LABEL: usize = size_of::<String>() + 32;

/// Labels encoded by one model, to be compared with any number of images. Made by [`crate::Clip::label_set`] and the functions beside it,
/// or stored in a model folder or a file.
///
/// It never changes: what changes something gives back another set. Sets share what they have in common, so that a clone costs
/// nothing, and are shareable between threads; [`crate::LabelSlot`] holds the one that is in use.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelSet {
    encoded: Arc<Encoded>,
    /// How many of the labels, the last ones, are background.
    background: usize,
    logits: Option<Logits>,
}

#[derive(Debug, PartialEq)]
struct Encoded {
    labels: Vec<String>,
    /// As text.
    templates: Vec<String>,
    /// `[labels, dim]`.
    embeddings: Embeddings,
    model: ModelId,
}

impl LabelSet {
    /// Reads and checks the label set of a model folder, if it has one.
    pub(crate) fn stored(folder: &Path, manifest: &Manifest) -> Result<Option<LabelSet>> {
        let Some(LabelsFile { file, count, .. }) = &manifest.labels else { return Ok(None) };
        let path = folder.join(file);
        available(&path, *count)?;
        let stored = StoredLabels::read(&path, *count, manifest.embed_dim)?;
        Ok(Some(Self::of_file(stored, ModelId::of(manifest), manifest.embed_dim)))
    }

    /// Reads and checks a file that [`LabelSet::save`] wrote, or one of a model folder that is this model's.
    pub(crate) fn open(path: &Path, manifest: &Manifest, id: &ModelId) -> Result<LabelSet> {
        available(path, 0)?;
        let stored = StoredLabels::open(path, manifest.embed_dim)?;
        let refuse = |reason: String| Err(clip_model::Error::Labels { path: path.to_owned(), reason }.into());
        match &stored.model {
            Some(model) if model.is_of(id) => {}
            Some(model) => {
                let (theirs, ours) = (&model.name, &id.name);
                return refuse(format!(
                    "model {theirs:?} encoded its labels, and its files are not those of this one, {ours:?}: encode the labels again"
                ));
            }
            None => {
                let own = manifest.labels.as_ref().map(|labels| &labels.sha256);
                if own != Some(&files::sha256(path)?) {
                    return refuse(
                        "it does not say which model encoded its labels, and is not this folder's: use it with its own folder, or encode \
                         the labels again"
                            .to_owned(),
                    );
                }
            }
        }
        Ok(Self::of_file(stored, id.clone(), manifest.embed_dim))
    }

    fn of_file(stored: StoredLabels, model: ModelId, dim: usize) -> LabelSet {
        let StoredLabels { labels, templates, embeddings, background, logits, .. } = stored;
        let embeddings = Embeddings::new(embeddings, dim);
        LabelSet { encoded: Arc::new(Encoded { labels, templates, embeddings, model }), background, logits }
    }

    /// A label set of embeddings that are computed already; `labels` and rows are equally many, and at least one.
    pub(crate) fn new(
        labels: &[impl AsRef<str>],
        templates: Vec<String>,
        embeddings: Embeddings,
        model: ModelId,
    ) -> Result<LabelSet> {
        if labels.is_empty() {
            return Err(Error::NoLabels);
        }
        let bytes: usize = labels.iter().map(|label| label.as_ref().len() + LABEL).sum();
        memory::available(WHAT, bytes)?;
        let mut kept = memory::with_capacity(WHAT, labels.len())?;
        for label in labels {
            kept.push(memory::text(WHAT, label.as_ref())?);
        }
        let encoded = Encoded { labels: kept, templates, embeddings, model };
        Ok(LabelSet { encoded: Arc::new(encoded), background: 0, logits: None })
    }

    /// Writes the labels and all that belongs to them to the file `path`, whole or not at all; a file that is there is replaced.
    /// [`crate::Clip::open_label_set`] reads it.
    ///
    /// # Errors
    /// [`clip_model::Error::Io`] when it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let Encoded { labels, templates, embeddings, model } = &*self.encoded;
        // Copies of all, and the file.
        memory::available(WHAT, self.bytes().saturating_mul(2))?;
        let stored = StoredLabels {
            labels: labels.clone(),
            templates: templates.clone(),
            embeddings: memory::copy(WHAT, embeddings.as_slice())?,
            background: self.background,
            model: Some(model.clone()),
            logits: self.logits,
        };
        stored.write(path.as_ref(), embeddings.dim())?;
        Ok(())
    }

    /// These labels and, behind them, those of `background`: things that an image may show and that nobody asked for, such as "a street" or
    /// "an empty table". They take their share of the probability, and where one of them is the best, [`crate::Rule`] says that the
    /// image shows none of the labels.
    ///
    /// # Errors
    /// [`Error::ForeignLabels`] when another model encoded `background`.
    pub fn with_background(&self, background: &LabelSet) -> Result<LabelSet> {
        background.check_model(self.model())?;
        let (a, b) = (&*self.encoded, &*background.encoded);
        memory::available(WHAT, self.bytes().saturating_add(background.bytes()))?;
        let values = [a.embeddings.as_slice(), b.embeddings.as_slice()].concat();
        let encoded = Encoded {
            labels: [&a.labels[..], &b.labels[..]].concat(),
            templates: a.templates.clone(),
            embeddings: Embeddings::new(values, a.embeddings.dim()),
            model: a.model.clone(),
        };
        let background = self.background + background.len();
        Ok(LabelSet { encoded: Arc::new(encoded), background, logits: self.logits })
    }

    /// The same labels, with probabilities made with `logits` in place of the model's [`crate::Clip::logits`]; `None` takes those
    /// again. [`crate::Examples`] finds the ones that fit pictures with known labels.
    ///
    /// # Errors
    /// [`Error::Logits`] when no probabilities can be made with them.
    pub fn with_logits(&self, logits: Option<Logits>) -> Result<LabelSet> {
        match logits {
            Some(logits) if !logits.is_valid() => Err(Error::Logits(logits)),
            _ => Ok(LabelSet { encoded: Arc::clone(&self.encoded), background: self.background, logits }),
        }
    }

    /// Refuses to be used by another model than `id`.
    pub(crate) fn check_model(&self, id: &ModelId) -> Result<()> {
        match self.model().is_of(id) {
            true => Ok(()),
            false => {
                Err(Error::ForeignLabels { set_model: self.model().name.clone(), model: id.name.clone() })
            }
        }
    }

    /// Bytes of all that is kept.
    fn bytes(&self) -> usize {
        let labels: usize = self.labels().iter().map(|label| label.len() + LABEL).sum();
        labels.saturating_add(size_of_val(self.embeddings().as_slice()))
    }

    /// The labels as they were given, duplicates included; those of the background come last.
    pub fn labels(&self) -> &[String] {
        &self.encoded.labels
    }

    /// How many labels, with those of the background; at least one.
    pub fn len(&self) -> usize {
        self.encoded.labels.len()
    }

    /// Always false: an empty list is refused when the set is made.
    pub fn is_empty(&self) -> bool {
        self.encoded.labels.is_empty()
    }

    /// How many of the labels, the last ones, are background.
    pub fn background(&self) -> usize {
        self.background
    }

    /// Whether the label at `index` is one of the background.
    pub fn is_background(&self, index: usize) -> bool {
        index >= self.len() - self.background
    }

    /// What the set has in place of the model's logits.
    pub fn logits(&self) -> Option<Logits> {
        self.logits
    }

    /// One normalised embedding a label, in the order of [`LabelSet::labels`].
    pub fn embeddings(&self) -> &Embeddings {
        &self.encoded.embeddings
    }

    /// Whose embeddings they are.
    pub fn model(&self) -> &ModelId {
        &self.encoded.model
    }
}

/// Makes sure of memory for a file of `count` labels: twice the file, for its JSON and the labels from it, and for each label a place.
fn available(path: &Path, count: usize) -> Result<()> {
    let needed = files::size(path).saturating_mul(2).saturating_add(count.saturating_mul(LABEL));
    Ok(memory::available(WHAT, needed)?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn model(image: &str) -> ModelId {
        let image = Some(image.to_owned());
        ModelId { name: format!("test {image:?}"), image, text: None, tokenizer: None, clean: None }
    }

    /// Labels that are called by their numbers.
    pub(crate) fn set(rows: &[[f32; 2]]) -> LabelSet {
        let labels: Vec<String> = (0..rows.len()).map(|i| i.to_string()).collect();
        LabelSet::new(&labels, Vec::new(), Embeddings::new(rows.concat(), 2), model("a")).unwrap()
    }

    #[test]
    fn a_background_comes_behind_the_labels() {
        let (labels, sky) = (set(&[[0.0, 1.0], [1.0, 0.0]]), set(&[[0.6, 0.8]]));
        let logits = Logits { scale: 3.0, bias: None };
        let both = labels.with_logits(Some(logits)).unwrap().with_background(&sky).unwrap();
        assert_eq!((both.len(), both.background(), both.logits()), (3, 1, Some(logits)));
        assert_eq!(both.labels(), ["0", "1", "0"]);
        assert_eq!(both.embeddings().row(2), sky.embeddings().row(0));
        assert_eq!([0, 1, 2].map(|i| both.is_background(i)), [false, false, true]);
        let more = both.with_background(&labels).unwrap();
        assert_eq!((more.len(), more.background()), (5, 3));
        assert_eq!((labels.background(), labels.is_background(1)), (0, false));

        let foreign = LabelSet::new(&["sky"], Vec::new(), Embeddings::new(vec![1.0, 0.0], 2), model("b"));
        let error = labels.with_background(&foreign.unwrap()).unwrap_err();
        assert!(matches!(error, Error::ForeignLabels { .. }), "{error}");
    }

    #[test]
    fn logits_that_make_no_probabilities_are_refused() {
        let labels = set(&[[0.0, 1.0]]);
        for (scale, bias) in [(0.0, None), (f32::NAN, None), (-2.0, Some(1.0)), (2.0, Some(f32::NAN))] {
            let error = labels.with_logits(Some(Logits { scale, bias })).unwrap_err();
            assert!(matches!(error, Error::Logits(_)), "{error}");
            assert!(error.to_string().contains(&format!("scale {scale}")), "{error}");
        }
        let own = labels.with_logits(Some(Logits { scale: 2.0, bias: Some(-1.0) })).unwrap();
        assert_eq!(own.with_logits(None).unwrap(), labels);
    }
}
