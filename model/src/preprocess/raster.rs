//! Decoded pixels before they are an [`Image`]: grey or RGB, with or without alpha, 8 bits a sample.

use super::{Image, RgbaImage};
use crate::error::{Error, Result};
use crate::memory;
use crate::orientation::Orientation;

/// Packed 8-bit samples, rows top-down.
#[derive(Debug)]
pub(super) struct Raster {
    width: usize,
    height: usize,
    /// 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
    channels: usize,
    samples: Vec<u8>,
}

/// What a picture decodes to.
pub(super) enum Pixels {
    /// Every pixel is opaque.
    Opaque(Image),
    /// The picture has an alpha channel.
    Alpha(RgbaImage),
}

/// Refuses pictures over the limit, and empty ones.
pub(super) fn check_pixels(width: u32, height: u32, limit: u64) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::Image(format!("the picture is {width}x{height} pixels")));
    }
    if u64::from(width) * u64::from(height) > limit {
        return Err(Error::ImageTooLarge { width, height, limit });
    }
    Ok(())
}

impl Raster {
    /// Takes `width * height * channels` samples.
    pub(super) fn new(width: u32, height: u32, channels: usize, samples: Vec<u8>) -> Result<Raster> {
        let (width, height) = (width as usize, height as usize);
        if !(1..=4).contains(&channels) || samples.len() != width * height * channels {
            return Err(Error::Image(format!(
                "{} samples for {width}x{height} pixels with {channels} channels",
                samples.len()
            )));
        }
        Ok(Raster { width, height, channels, samples })
    }

    /// Its samples, and how many a pixel and a row have.
    pub(super) fn parts(&self) -> (&[u8], usize, usize) {
        (&self.samples, self.channels, self.channels * self.width)
    }

    /// Turned and mirrored to how it is to be looked at.
    pub(super) fn oriented(self, orientation: Orientation) -> Result<Raster> {
        if orientation == Orientation::Normal {
            return Ok(self);
        }
        let mut samples = memory::filled("turning a picture", 0, self.samples.len())?;
        match self.channels {
            1 => turn::<1>(&self, orientation, &mut samples),
            2 => turn::<2>(&self, orientation, &mut samples),
            3 => turn::<3>(&self, orientation, &mut samples),
            _ => turn::<4>(&self, orientation, &mut samples),
        }
        let (width, height) = match orientation.swaps_sides() {
            true => (self.height, self.width),
            false => (self.width, self.height),
        };
        Ok(Raster { width, height, channels: self.channels, samples })
    }

    /// To RGB or RGBA.
    pub(super) fn into_pixels(self) -> Result<Pixels> {
        let Raster { width, height, channels, samples } = self;
        let count = width * height;
        Ok(match channels {
            1 => {
                let mut rgb = memory::with_capacity("a grey picture as RGB", 3 * count)?;
                rgb.extend(samples.iter().flat_map(|&v| [v; 3]));
                Pixels::Opaque(Image::new(width, height, rgb)?)
            }
            2 => {
                let mut rgba = memory::with_capacity("a grey picture as RGB with alpha", 4 * count)?;
                rgba.extend(samples.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]));
                Pixels::Alpha(RgbaImage::new(width, height, rgba)?)
            }
            3 => Pixels::Opaque(Image::new(width, height, samples)?),
            _ => Pixels::Alpha(RgbaImage::new(width, height, samples)?),
        })
    }
}

/// Writes the pixels of `raster` to where they are in the turned picture. In squares, because one of the two pictures
/// is walked down its columns.
fn turn<const CHANNELS: usize>(raster: &Raster, orientation: Orientation, turned: &mut [u8]) {
    const SQUARE: usize = 32;
    let (width, height) = (raster.width, raster.height);
    let source = raster.samples.as_chunks::<CHANNELS>().0;
    let turned = turned.as_chunks_mut::<CHANNELS>().0;
    for top in (0..height).step_by(SQUARE) {
        for left in (0..width).step_by(SQUARE) {
            for y in top..(top + SQUARE).min(height) {
                for x in left..(left + SQUARE).min(width) {
                    let (right, below) = (width - 1 - x, height - 1 - y);
                    let at = match orientation {
                        Orientation::Normal => y * width + x,
                        Orientation::MirroredSideways => y * width + right,
                        Orientation::UpsideDown => below * width + right,
                        Orientation::MirroredUpDown => below * width + x,
                        Orientation::Transposed => x * height + y,
                        Orientation::TurnedRight => x * height + below,
                        Orientation::Transversed => right * height + below,
                        Orientation::TurnedLeft => right * height + y,
                    };
                    turned[at] = source[y * width + x];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_orientation_is_the_standards() {
        // A picture of 3x2 pixels, and where the eight orientations bring them (Exif 2.3, tag 274).
        let expected: [(u8, usize, &[u8]); 8] = [
            (1, 3, &[1, 2, 3, 4, 5, 6]),
            (2, 3, &[3, 2, 1, 6, 5, 4]),
            (3, 3, &[6, 5, 4, 3, 2, 1]),
            (4, 3, &[4, 5, 6, 1, 2, 3]),
            (5, 2, &[1, 4, 2, 5, 3, 6]),
            (6, 2, &[4, 1, 5, 2, 6, 3]),
            (7, 2, &[6, 3, 5, 2, 4, 1]),
            (8, 2, &[3, 6, 2, 5, 1, 4]),
        ];
        for (value, width, samples) in expected {
            let raster = Raster::new(3, 2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
            let turned = raster.oriented(Orientation::from_exif(u64::from(value)).unwrap()).unwrap();
            assert_eq!((turned.width, &turned.samples[..]), (width, samples), "{value}");
        }
    }

    #[test]
    fn large_pictures_turn_back() {
        let samples: Vec<u8> = (0..100 * 70 * 3).map(|v| (v % 251) as u8).collect();
        let raster = Raster::new(100, 70, 3, samples.clone()).unwrap();
        let turned = raster.oriented(Orientation::TurnedRight).unwrap();
        assert_eq!((turned.width, turned.height), (70, 100));
        assert_eq!(turned.oriented(Orientation::TurnedLeft).unwrap().samples, samples);
    }
}
