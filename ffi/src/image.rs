//! Images.

use std::ffi::c_char;

use clip_runtime::Image;

use crate::argument;
use crate::guard::{create, release};
use crate::model::clip_model;
use crate::status::clip_status;

/// A decoded image, 8-bit RGB. Any model can use it.
pub struct clip_image(pub(crate) Image);

impl std::borrow::Borrow<Image> for &clip_image {
    fn borrow(&self) -> &Image {
        &self.0
    }
}

/// Reads an image file: JPEG, PNG, WebP, GIF (its first frame), BMP, TIFF or PNM. `model` decides how transparency
/// and EXIF orientation are treated and how many pixels are allowed.
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
            Ok(clip_image(model.clip.open_image(path)?))
        })
    }
}

/// Does the same with an image file in memory, `size` bytes at `data`.
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
            Ok(clip_image(model.clip.decode_image(data)?))
        })
    }
}

/// Copies an image from pixels of three bytes each: red, green, blue. The first row is the top one, and each row
/// begins `stride` bytes after the one before it: 3 * width when there is no padding. `size` is the number of bytes
/// at `pixels`, at least stride * (height - 1) + 3 * width.
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

/// Frees the image. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_image_free(image: *mut clip_image) {
    unsafe { release(image) }
}
