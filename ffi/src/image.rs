//! Images.

use std::ffi::c_char;

use clip_runtime::Image;

use crate::argument;
use crate::guard::{create, release};
use crate::model::clip_model;
use crate::status::clip_status;

/// A decoded image, 8-bit RGB. Every model may use it, whichever made it.
pub struct clip_image(pub(crate) Image);

impl std::borrow::Borrow<Image> for &clip_image {
    fn borrow(&self) -> &Image {
        &self.0
    }
}

/// Reads an image file: JPEG, PNG, WebP, GIF (first frame), BMP, TIFF or PNM. `model` says how transparency and EXIF
/// orientation are treated and how many pixels are allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_image_open(
    model: *const clip_model,
    path: *const c_char,
    out: *mut *mut clip_image,
) -> clip_status {
    unsafe {
        create(out, || {
            let model = argument::reference(model, "model")?;
            let path = argument::path(path, "path", "an image file")?;
            Ok(clip_image(model.0.manifest().preprocess.open(path)?))
        })
    }
}

/// The same from the `size` bytes of an image file in memory. They are not needed after the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_image_decode(
    model: *const clip_model,
    data: *const u8,
    size: usize,
    out: *mut *mut clip_image,
) -> clip_status {
    unsafe {
        create(out, || {
            let model = argument::reference(model, "model")?;
            let data = argument::slice(data, size, "data")?;
            Ok(clip_image(model.0.manifest().preprocess.decode(data)?))
        })
    }
}

/// Copies an image from pixels: bytes R, G, B; rows from the top, each `stride` bytes after the one before
/// (3 * width when they lie close). `size` is how many bytes may be read, at least
/// stride * (height - 1) + 3 * width.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_image_from_rgb(
    pixels: *const u8,
    size: usize,
    width: usize,
    height: usize,
    stride: usize,
    out: *mut *mut clip_image,
) -> clip_status {
    unsafe {
        create(out, || {
            let pixels = argument::slice(pixels, size, "pixels")?;
            Ok(clip_image(Image::from_strided(width, height, stride, pixels)?))
        })
    }
}

/// Frees the image. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_image_free(image: *mut clip_image) {
    unsafe { release(image) }
}
