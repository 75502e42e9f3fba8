//! Model folders.

use std::ffi::c_char;

use clip_runtime::{Clip, Options};

use crate::argument;
use crate::guard::{Error, create, release};
use crate::status::clip_status;

/// An open model folder. Threads: this and the other handles never change once they are made, so any number of
/// threads may use one at the same time. Calls that run one model take turns, image and text encoder apart, since each
/// uses all of the model's threads; to serve many small requests side by side, open the folder several times with
/// `threads` 1. Free a handle once, after the last call that uses it has returned; handles may be freed in any order.
pub struct clip_model(pub(crate) Clip);

/// How to open a model folder. Zero it (`= {0}`), set struct_size, then the fields that matter to you.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct clip_open_options {
    /// sizeof(clip_open_options), so that programs built with an older header go on working.
    pub struct_size: usize,
    /// Threads that one call computes with; 0 for one for each physical core that the process may use. No more are
    /// started than there are processors that it may use; above 1024 is an error.
    pub threads: usize,
    /// Path of libonnxruntime.so, version 1.17 or later; NULL to look in the environment variable ORT_DYLIB_PATH,
    /// beside this library and the program, in ../lib of a program in a folder bin, and where the system looks.
    /// A process has one: the first model that is opened decides.
    pub onnxruntime: *const c_char,
    /// Pixels of the largest image that is decoded, where that is fewer than the model folder allows; 0 for what the
    /// folder allows, usually 179 million.
    pub max_pixels: usize,
    /// Not 0 to hash only files that changed since they were last found whole with this option: another size, time or
    /// inode number. What was found is kept in the folder as .checked.json, or, where that cannot be written, under
    /// $XDG_CACHE_HOME or ~/.cache. 0 hashes all files each time.
    pub trust_unchanged: usize,
}

// SAFETY: numbers and a pointer; NULL and zeros are what a caller leaves unset.
unsafe impl argument::Options for clip_open_options {
    const SMALLEST: usize = std::mem::offset_of!(clip_open_options, onnxruntime);
}

/// Opens the folder at `path`, written by clip-export. Checks the hashes of its files. `options` may be NULL.
/// The first call of a process also opens ONNX Runtime and, unless it is set, sets ORT_DISABLE_TELEMETRY=1 in the
/// environment, so that ONNX Runtime sends nothing: make it before other threads use setenv or getenv.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_open(
    path: *const c_char,
    options: *const clip_open_options,
    out: *mut *mut clip_model,
) -> clip_status {
    unsafe {
        create(out, || {
            let path = argument::path(path, "path", "a model folder, which holds a clip.json")?;
            let options = if options.is_null() { Options::default() } else { read(options)? };
            Ok(clip_model(Clip::open_with(path, &options)?))
        })
    }
}

unsafe fn read(options: *const clip_open_options) -> Result<Options, Error> {
    let options = unsafe { argument::options(options, "options") }?;
    let asked = Options::new()
        .threads((options.threads > 0).then_some(options.threads))
        .max_pixels((options.max_pixels > 0).then(|| u64::try_from(options.max_pixels).unwrap_or(u64::MAX)))
        .trust_unchanged(options.trust_unchanged != 0);
    Ok(match options.onnxruntime.is_null() {
        true => asked,
        false => {
            asked.library(unsafe { argument::path(options.onnxruntime, "options->onnxruntime", "a file") }?)
        }
    })
}

/// Closes the model. NULL is fine. In a fork of the process that opened it, its memory is kept.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_free(model: *mut clip_model) {
    unsafe { release(model) }
}

/// Floats in one embedding. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_embed_dim(model: *const clip_model) -> usize {
    unsafe { model.as_ref() }.map_or(0, |model| model.0.embed_dim())
}

/// Width and height, in pixels, of the square that the model sees. Images of any size are resized to it. 0 for NULL
/// and where there is no image encoder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_image_size(model: *const clip_model) -> usize {
    let manifest = unsafe { model.as_ref() }.map(|model| model.0.manifest());
    manifest.and_then(|m| m.image.as_ref().map(|_| m.preprocess.size)).unwrap_or(0)
}

/// Tokens, start and end included, after which texts are cut. 0 for NULL and where there is no text encoder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_context_length(model: *const clip_model) -> usize {
    let manifest = unsafe { model.as_ref() }.map(|model| model.0.manifest());
    manifest.and_then(|m| m.tokenizer.as_ref()).map_or(0, |tokenizer| tokenizer.context_length)
}
