//! Model folders.

use std::ffi::c_char;

use clip_runtime::{Clip, Options};

use crate::argument;
use crate::error::Error;
use crate::guard::{create, release};
use crate::status::clip_status;

/// An open model folder. Calls from several threads that run the same encoder, image or text, take turns, because each call
/// computes with all of the model's threads. To serve many small requests side by side, open the folder several times with
/// `threads` 1.
pub struct clip_model(pub(crate) Clip);

/// How to open a model folder. Start from CLIP_OPEN_OPTIONS_INIT, then set the fields that matter to you. A field that is 0 or
/// NULL has its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct clip_open_options {
    /// sizeof(clip_open_options). It tells the library which fields the program knows, so that programs built with an older
    /// header go on working.
    pub struct_size: usize,
    /// Threads that one call computes with, at most 1024. The default is one for each physical core that the process may
    /// use. There are never more than processors that it may use.
    pub threads: usize,
    /// Path of libonnxruntime.so, version 1.17 or later. The default is the path in the environment variable
    /// ORT_DYLIB_PATH, else the first that is found beside this library, beside the program, in ../lib of a program in a
    /// folder bin, and where the system looks. A process can hold only one: the first model that is opened decides.
    pub onnxruntime: *const c_char,
    /// Pixels of the largest image that is decoded. The default, and the most, is what the model folder allows, usually
    /// 179 million.
    pub max_pixels: usize,
    /// By default, the SHA-256 of every file in the folder is checked each time. Not 0: files are skipped that have had the
    /// same size, times and inode number since they were last checked with this option. That is remembered in the
    /// folder, in .checked.json, or, if it cannot be written, under $XDG_CACHE_HOME or ~/.cache.
    pub trust_unchanged: usize,
}

// SAFETY: numbers and a pointer; NULL and zeros are what a caller leaves unset.
unsafe impl argument::Options for clip_open_options {
    const SMALLEST: usize = std::mem::offset_of!(clip_open_options, onnxruntime);
}

/// Opens the model folder at `path`, which clip-export wrote, and checks its files. `options` may be NULL.
///
/// The first call in a process also opens ONNX Runtime and sets the environment variable ORT_DISABLE_TELEMETRY to 1, if it is
/// not set, so that ONNX Runtime sends no data. So make this call before other threads use getenv or setenv.
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

/// Closes the model. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_free(model: *mut clip_model) {
    unsafe { release(model) }
}

/// The number of floats in one embedding; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_embed_dim(model: *const clip_model) -> usize {
    unsafe { model.as_ref() }.map_or(0, |model| model.0.embed_dim())
}

/// Width and height, in pixels, of the square to which images of any size are resized; 0 for NULL or when the folder has no
/// image encoder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_image_size(model: *const clip_model) -> usize {
    let manifest = unsafe { model.as_ref() }.map(|model| model.0.manifest());
    manifest.and_then(|m| m.image.as_ref().map(|_| m.preprocess.size)).unwrap_or(0)
}

/// The number of tokens, start and end included, after which texts are cut; 0 for NULL or when the folder has no text
/// encoder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_context_length(model: *const clip_model) -> usize {
    let manifest = unsafe { model.as_ref() }.map(|model| model.0.manifest());
    manifest.and_then(|m| m.tokenizer.as_ref()).map_or(0, |tokenizer| tokenizer.context_length)
}
