//! Model folders.

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use ::clip_model::excerpt;
use clip_runtime::stream::Dispatcher;
use clip_runtime::{Clip, Device, EngineKind, Options, Precision, UnknownName};

use crate::argument;
use crate::error::Error;
use crate::guard::{create, release};
use crate::status::clip_status;

/// An open model folder. Any number of threads may call it at the same time. In TensorRT, `threads` calls run at once.
pub struct clip_model {
    pub(crate) clip: Arc<Clip>,
    dispatcher: Mutex<Option<Dispatcher>>,
    name: CString,
    engine: CString,
    engine_version: CString,
    device: CString,
    text_engine: Option<CString>,
}

impl clip_model {
    fn new(clip: Clip) -> clip_model {
        let text = |text: &str| CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
        let engine = clip.engine();
        let device = text(&engine.device.name());
        let (name, engine, engine_version) = (text(clip.name()), text(engine.name), text(&engine.version));
        let text_engine = clip.text_engine().map(|engine| text(&engine.to_string()));
        let (clip, dispatcher) = (Arc::new(clip), Mutex::default());
        clip_model { clip, dispatcher, name, engine, engine_version, device, text_engine }
    }

    /// What runs the model for its streams; it is started for the first of them.
    pub(crate) fn dispatcher(&self) -> clip_runtime::Result<Dispatcher> {
        let mut dispatcher = self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dispatcher) = &*dispatcher {
            return Ok(dispatcher.clone());
        }
        let started = Dispatcher::new(Arc::clone(&self.clip))?;
        Ok(dispatcher.insert(started).clone())
    }
}

/// How to open a model folder. Start from CLIP_OPEN_OPTIONS_INIT, then set the fields that matter to you. A field
/// that is 0 or NULL has its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct clip_open_options {
    /// sizeof(clip_open_options). It tells the library which fields the program knows, so that programs built with an
    /// older header go on working.
    pub struct_size: usize,
    /// Threads that one call computes with, at most 1024. The default is one for each physical core that the process
    /// may use. There are never more than processors that it may use.
    pub threads: usize,
    /// Path of libonnxruntime.so, version 1.17 or later. The default is the path in the environment variable
    /// ORT_DYLIB_PATH, else the first that is found beside this library, beside the program, in ../lib of a program
    /// in a folder bin, or where the system looks. A process can hold only one: the first model opened decides.
    pub onnxruntime: *const c_char,
    /// Pixels of the largest image that is decoded, at most and by default what the folder allows, usually 179 million.
    pub max_pixels: usize,
    /// By default, the SHA-256 of every file that is used is checked each time. If this is not 0, files are skipped
    /// whose size, times and inode number are as when they were last checked with this option. That is remembered in
    /// the folder, in .checked.json, or, if it cannot be written, under $XDG_CACHE_HOME or ~/.cache.
    pub trust_unchanged: usize,
    /// What runs the model: "onnx" (ONNX Runtime), "openvino" or "openvino-bf16" (in it), "tensorrt", or "rtx". The default
    /// is what each encoder was exported for. The first three run graphs, also those that engines of TensorRT were built of.
    pub engine: *const c_char,
    /// What is computed on: "cpu", or "cuda:0", the first CUDA device. The default is "cuda:0" for "tensorrt", "rtx".
    /// When an engine or a device cannot be had, opening fails: no other takes its place.
    pub device: *const c_char,
    /// If this is not 0, an engine of TensorRT that was built for another machine, is damaged, or that `engine` asks for of a graph, is
    /// built anew of that graph, which takes minutes, and kept under $XDG_CACHE_HOME or ~/.cache for the next time.
    pub rebuild: usize,
    /// Path of TensorRT's library or of the folder that it is in. The default is the one that the system finds.
    pub tensorrt: *const c_char,
    /// If not 0, ONNX Runtime's threads spin for 50 us before they sleep: faster for calls in a row, slower now and then.
    pub spinning: usize,
    /// If not 0, large JPEGs are decoded at a part of their size: faster, with embeddings that are not quite those of Pillow's pixels.
    /// clip_image_open and clip_image_decode then give images of the model's size.
    pub fast_decode: usize,
}

// SAFETY: numbers and pointers; NULL and zeros are what a caller leaves unset.
unsafe impl argument::Options for clip_open_options {
    const SMALLEST: usize = std::mem::offset_of!(clip_open_options, onnxruntime);
}

/// Opens the model folder at `path`, and checks its files: their weights are mapped, so replace files of an open folder
/// by renaming others, and never write into them. `options` may be NULL.
///
/// The first call in a process sets the environment variable ORT_DISABLE_TELEMETRY to 1, unless it is set, so that ONNX
/// Runtime sends no data. So make this call before other threads use getenv or setenv.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_open(
    path: *const c_char,
    options: *const clip_open_options,
    out: *mut *mut clip_model,
) -> clip_status {
    unsafe {
        create(out, || {
            let path = argument::path(path, "path", "a model folder, which holds a clip.json")?;
            let options = if options.is_null() { Options::new() } else { read(options)? };
            Ok(clip_model::new(Clip::open_with(path, &options)?))
        })
    }
}

unsafe fn read(options: *const clip_open_options) -> Result<Options, Error> {
    let given = unsafe { argument::options(options, "options") }?;
    let mut options = Options::new()
        .threads((given.threads > 0).then_some(given.threads))
        .max_pixels((given.max_pixels > 0).then(|| u64::try_from(given.max_pixels).unwrap_or(u64::MAX)))
        .trust_unchanged(given.trust_unchanged != 0)
        .rebuild(given.rebuild != 0)
        .spinning(given.spinning != 0)
        .fast_decode(given.fast_decode != 0);
    if !given.onnxruntime.is_null() {
        let path = unsafe { argument::path(given.onnxruntime, "options->onnxruntime", "a file") }?;
        options = options.library(path);
    }
    if !given.tensorrt.is_null() {
        let path = unsafe { argument::path(given.tensorrt, "options->tensorrt", "a file or a folder") }?;
        options = options.tensorrt(path.to_owned());
    }
    if !given.engine.is_null() {
        options = options.engine(unsafe { word::<EngineKind>(given.engine, "options->engine") }?);
    }
    if !given.device.is_null() {
        options = options.device(unsafe { word::<Device>(given.device, "options->device") }?);
    }
    Ok(options)
}

/// One of the words that an option can be.
unsafe fn word<T: FromStr<Err = UnknownName>>(
    pointer: *const c_char,
    name: &'static str,
) -> Result<T, Error> {
    let text = unsafe { argument::text(pointer, name) }?;
    text.parse().map_err(|e| Error::Argument(format!("{name} is {:?}, {e}", excerpt(text))))
}

/// Closes the model. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_free(model: *mut clip_model) {
    unsafe { release(model) }
}

/// The model's name. This string and those of the next six functions are valid until the model is closed. For NULL,
/// these functions return NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_name(model: *const clip_model) -> *const c_char {
    unsafe { text(model, |model| Some(&model.name)) }
}

/// What runs the image encoder, or the text encoder if there is no other, such as "ONNX Runtime" or "TensorRT".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_engine(model: *const clip_model) -> *const c_char {
    unsafe { text(model, |model| Some(&model.engine)) }
}

/// Its version, such as "1.31.0".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_engine_version(model: *const clip_model) -> *const c_char {
    unsafe { text(model, |model| Some(&model.engine_version)) }
}

/// What it computes on, in the words of clip_open_options: "cpu" or "cuda:0".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_device(model: *const clip_model) -> *const c_char {
    unsafe { text(model, |model| Some(&model.device)) }
}

/// What runs the text encoder, in a line such as "ONNX Runtime 1.31.0, CPU". NULL when there is no text encoder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_text_engine(model: *const clip_model) -> *const c_char {
    unsafe { text(model, |model| model.text_engine.as_deref()) }
}

/// The number format of the image encoder: "fp32", "fp16" or "int8". NULL when the folder has no image encoder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_image_precision(model: *const clip_model) -> *const c_char {
    unsafe { text(model, |model| model.clip.image_precision().map(precision)) }
}

/// The number format of the text encoder. NULL when the folder has no text encoder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_text_precision(model: *const clip_model) -> *const c_char {
    unsafe { text(model, |model| model.clip.text_precision().map(precision)) }
}

/// How many encoders are engines of TensorRT that `clip-export verify` has not passed on such a device; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_unverified(model: *const clip_model) -> usize {
    unsafe { model.as_ref() }.map_or(0, |model| model.clip.unverified().len())
}

/// The number of floats in one embedding; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_embed_dim(model: *const clip_model) -> usize {
    unsafe { model.as_ref() }.map_or(0, |model| model.clip.embed_dim())
}

/// Pixels along each side of the square to which images are resized; 0 for NULL or when there is no image encoder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_image_size(model: *const clip_model) -> usize {
    let manifest = unsafe { model.as_ref() }.map(|model| model.clip.manifest());
    manifest.and_then(|m| m.image.as_ref().map(|_| m.preprocess.size)).unwrap_or(0)
}

/// The number of tokens, start and end included, after which texts are cut; 0 for NULL or when the folder has no text
/// encoder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_model_context_length(model: *const clip_model) -> usize {
    let manifest = unsafe { model.as_ref() }.map(|model| model.clip.manifest());
    manifest.and_then(|m| m.tokenizer.as_ref()).map_or(0, |tokenizer| tokenizer.context_length)
}

/// A string that lives as long as the model.
unsafe fn text(model: *const clip_model, of: impl FnOnce(&clip_model) -> Option<&CStr>) -> *const c_char {
    unsafe { model.as_ref() }.and_then(of).map_or(ptr::null(), CStr::as_ptr)
}

fn precision(precision: Precision) -> &'static CStr {
    match precision {
        Precision::Fp32 => c"fp32",
        Precision::Fp16 => c"fp16",
        Precision::Int8 => c"int8",
    }
}
