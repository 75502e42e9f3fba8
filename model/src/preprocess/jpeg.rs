//! JPEG, by libjpeg-turbo with its defaults (accurate integer IDCT, smooth chroma), which is what Pillow uses. See
//! docs/decisions/004-jpeg-decoder.md.

// Linked for the C library that it builds.
use mozjpeg_sys as _;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::raster::{Raster, check_pixels};
use crate::error::{Error, Result};
use crate::memory;

/// What `clip_jpeg_read` makes of the stored components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    /// Grey stays grey, three components become RGB and four CMYK, as the file's markers say.
    Converted = 0,
    /// They come as they are stored.
    AsStored = 1,
    /// They are YCbCr, whatever the markers say, and become RGB.
    FromYCbCr = 2,
    /// They are YCbCr and stay so; chroma is repeated, not smoothed.
    PlainYCbCr = 3,
}

/// As jpeg.c numbers them.
const DECODED: c_int = 0;
const NO_MEMORY: c_int = 3;

unsafe extern "C" {
    fn clip_jpeg_open(data: *const u8, length: usize) -> *mut c_void;
    fn clip_jpeg_close(decoder: *mut c_void);
    fn clip_jpeg_status(decoder: *const c_void) -> c_int;
    fn clip_jpeg_message(decoder: *const c_void) -> *const c_char;
    fn clip_jpeg_header(decoder: *const c_void, header: *mut u32);
    fn clip_jpeg_scale(decoder: *mut c_void, part: u32, size: *mut u32) -> c_int;
    fn clip_jpeg_read(decoder: *mut c_void, colour: c_int, pixels: *mut u8) -> c_int;
}

/// A JPEG whose header is read.
pub(super) struct Jpeg<'a> {
    decoder: NonNull<c_void>,
    /// Width, pixels.
    pub(super) width: u32,
    /// Height, pixels.
    pub(super) height: u32,
    /// Components of a pixel.
    pub(super) components: usize,
    encoded: PhantomData<&'a [u8]>,
}

impl Drop for Jpeg<'_> {
    fn drop(&mut self) {
        // SAFETY: `decoder` came from `clip_jpeg_open` and is closed once.
        unsafe { clip_jpeg_close(self.decoder.as_ptr()) }
    }
}

impl<'a> Jpeg<'a> {
    /// Reads the header.
    pub(super) fn open(encoded: &'a [u8]) -> Result<Jpeg<'a>> {
        // SAFETY: the pointer and length are those of `encoded`, which outlives the decoder by this type's lifetime.
        let decoder = NonNull::new(unsafe { clip_jpeg_open(encoded.as_ptr(), encoded.len()) })
            .ok_or_else(|| Error::Memory { what: "decoding a JPEG picture".to_owned(), bytes: 4096 })?;
        let mut jpeg = Jpeg { decoder, width: 0, height: 0, components: 0, encoded: PhantomData };
        // SAFETY: an open decoder.
        jpeg.check(unsafe { clip_jpeg_status(decoder.as_ptr()) })?;
        let mut header = [0; 4];
        // SAFETY: an open decoder whose header is read, and room for the four numbers.
        unsafe { clip_jpeg_header(decoder.as_ptr(), header.as_mut_ptr()) };
        let [width, height, components, bits] = header;
        if bits != 8 {
            return Err(Error::Image(format!("JPEG: {bits} bits a sample, expected 8")));
        }
        (jpeg.width, jpeg.height, jpeg.components) = (width, height, components as usize);
        Ok(jpeg)
    }

    /// Has the picture decoded at a half, a quarter or an eighth of its width and height, of each eight by eight samples only the lowest frequencies:
    /// as small as it can be with sides of at least `least` pixels. Gives what it is divided by, 1 where it stays as it is.
    fn shrink(&mut self, least: usize) -> Result<usize> {
        let shorter = self.width.min(self.height) as usize;
        let Some(part) = [8, 4, 2].into_iter().find(|part| shorter / part >= least) else { return Ok(1) };
        let mut size = [0; 2];
        // SAFETY: an open decoder whose header is read, and room for the two numbers.
        self.check(unsafe { clip_jpeg_scale(self.decoder.as_ptr(), part as u32, size.as_mut_ptr()) })?;
        [self.width, self.height] = size;
        Ok(part)
    }

    /// Decodes to packed pixels of [`Self::components`] bytes.
    pub(super) fn read(self, colour: Colour) -> Result<Vec<u8>> {
        let allowed: &[usize] = match colour {
            Colour::Converted => &[1, 3, 4],
            Colour::AsStored => &[1, 2, 3, 4],
            Colour::FromYCbCr | Colour::PlainYCbCr => &[3],
        };
        if !allowed.contains(&self.components) {
            return Err(Error::Image(format!(
                "JPEG: {} components, expected 1 (grey), 3 or 4 (CMYK)",
                self.components
            )));
        }
        let bytes = self.width as usize * self.height as usize * self.components;
        let mut pixels = memory::filled("a JPEG picture", 0, bytes)?;
        // SAFETY: an open decoder whose header is read, and as many bytes as jpeg.c asks for.
        self.check(unsafe { clip_jpeg_read(self.decoder.as_ptr(), colour as c_int, pixels.as_mut_ptr()) })?;
        Ok(pixels)
    }

    fn check(&self, status: c_int) -> Result<()> {
        match status {
            DECODED => Ok(()),
            // Coefficients of 16 bits are what a picture in several scans needs most of its memory for.
            NO_MEMORY => Err(Error::Memory {
                what: format!("decoding a JPEG picture of {}x{} pixels", self.width, self.height),
                bytes: 2 * self.width as usize * self.height as usize * self.components,
            }),
            _ => {
                // SAFETY: an open decoder; the message ends in a zero and lives as long as the decoder.
                let message = unsafe { CStr::from_ptr(clip_jpeg_message(self.decoder.as_ptr())) };
                Err(Error::Image(format!("JPEG: {}", message.to_string_lossy())))
            }
        }
    }
}

/// Decodes to grey or RGB.
pub(super) fn decode(encoded: &[u8], max_pixels: u64) -> Result<Raster> {
    let jpeg = Jpeg::open(encoded)?;
    check_pixels(jpeg.width, jpeg.height, max_pixels)?;
    raster(jpeg)
}

/// A picture that was decoded at a part of its size.
pub(super) struct Reduced {
    /// Grey or RGB; each pixel stands for a square of the picture's, the last ones for what is left.
    pub(super) raster: Raster,
    /// Pixels of the picture along a side of such a square: 1, 2, 4 or 8.
    pub(super) part: usize,
    /// The picture's own width and height.
    pub(super) size: (usize, usize),
}

/// [`decode`], as small as it can be with sides of at least `least` pixels.
pub(super) fn decode_reduced(encoded: &[u8], max_pixels: u64, least: usize) -> Result<Reduced> {
    let mut jpeg = Jpeg::open(encoded)?;
    check_pixels(jpeg.width, jpeg.height, max_pixels)?;
    let size = (jpeg.width as usize, jpeg.height as usize);
    let part = jpeg.shrink(least)?;
    Ok(Reduced { raster: raster(jpeg)?, part, size })
}

fn raster(jpeg: Jpeg) -> Result<Raster> {
    let (width, height, components) = (jpeg.width, jpeg.height, jpeg.components);
    let mut pixels = jpeg.read(Colour::Converted)?;
    if components == 4 {
        // Adobe stores ink upside down, and everybody else does as Adobe.
        pixels.iter_mut().for_each(|ink| *ink = 255 - *ink);
        cmyk_to_rgb(&mut pixels);
    }
    Raster::new(width, height, if components == 4 { 3 } else { components }, pixels)
}

/// Ink (0 is none) to RGB in place, as Pillow does it, without colour profiles.
pub(super) fn cmyk_to_rgb(pixels: &mut Vec<u8>) {
    let count = pixels.len() / 4;
    for pixel in 0..count {
        let black = pixels[4 * pixel + 3];
        let paper = 255 - u32::from(black);
        for channel in 0..3 {
            // ink * paper / 255, rounded to nearest.
            let product = u32::from(pixels[4 * pixel + channel]) * paper + 128;
            pixels[3 * pixel + channel] = (paper - (((product >> 8) + product) >> 8)) as u8;
        }
    }
    pixels.truncate(3 * count);
}
