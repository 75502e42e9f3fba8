//! What is measured with: a picture, frames and texts that are made here, or the user's picture.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use clip_model::{files, shown};
use clip_program::input;
use clip_runtime::{Clip, Frame, FrameLayout, Image, PixelFormat};
use jpeg_encoder::{ColorType, Encoder};

use super::random::Random;

/// Of the picture that is made, as cameras have it.
const JPEG_QUALITY: u8 = 90;

/// Width and height, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let side = |text: &str| text.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
        let sides = text.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
        let (width, height) =
            sides.ok_or_else(|| format!("expected WIDTHxHEIGHT, each 1 to {MAX_SIDE} pixels"))?;
        Ok(Size { width, height })
    }
}

/// What frames are made of up to.
const MAX_SIDE: usize = 16384;

/// An encoded picture, and what to call it.
pub struct Picture {
    pub name: String,
    pub encoded: Vec<u8>,
    /// The same as the model takes it.
    pub fitted: Image,
}

impl Picture {
    /// The user's.
    pub fn read(clip: &Clip, path: &Path) -> Result<Picture> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let encoded = input::read(path, files::IMAGE_LIMIT)?;
        Picture::new(clip, name, encoded).with_context(|| shown(path).into_owned())
    }

    /// A JPEG of that size with detail at every scale, as photos have it.
    pub fn make(clip: &Clip, size: Size) -> Result<Picture> {
        let Size { width, height } = size;
        let rgb = detailed(size);
        let mut encoded = Vec::new();
        // Sides are at most 16384.
        Encoder::new(&mut encoded, JPEG_QUALITY)
            .encode(&rgb, width as u16, height as u16, ColorType::Rgb)
            .map_err(|error| anyhow!("cannot make a JPEG of {width}x{height} pixels: {error}"))?;
        Picture::new(clip, format!("{width}x{height} jpeg"), encoded)
    }

    fn new(clip: &Clip, name: String, encoded: Vec<u8>) -> Result<Picture> {
        let fitted = clip.manifest().preprocess.fit(&clip.decode_image(&encoded)?)?;
        Ok(Picture { name, encoded, fitted })
    }
}

/// A frame's bytes.
pub struct Planes {
    layout: FrameLayout,
    planes: Vec<Vec<u8>>,
}

impl Planes {
    /// Of that format, with random samples: what they are has no influence on how long it takes.
    pub fn make(format: PixelFormat, size: Size) -> Result<Planes> {
        let layout = FrameLayout::new(format, size.width, size.height)?;
        let mut random = Random(1);
        let mut plane = |number| {
            let words = layout.bytes(number).div_ceil(8);
            let mut bytes: Vec<u8> = (0..words).flat_map(|_| random.next().to_ne_bytes()).collect();
            bytes.truncate(layout.bytes(number));
            bytes
        };
        let planes = (0..format.planes()).map(&mut plane).collect();
        Ok(Planes { layout, planes })
    }

    pub fn layout(&self) -> &FrameLayout {
        &self.layout
    }

    pub fn frame(&self) -> Result<Frame<'_>> {
        let planes: Vec<&[u8]> = self.planes.iter().map(Vec::as_slice).collect();
        Ok(Frame::new(self.layout, &planes)?)
    }
}

/// As many texts as labels have in a template: 6 to 10 words of English.
pub fn texts(count: usize) -> Vec<String> {
    const FIRST: [&str; 8] = ["red", "small", "wooden", "northern", "old", "golden", "wild", "electric"];
    const SECOND: [&str; 8] =
        ["fox", "water bottle", "piano", "owl", "sports car", "tree", "street sign", "bus stop"];
    const PLACE: [&str; 5] = ["", " in the snow", " on a table", " at night in the city", " by the sea"];
    let text = |i: usize| {
        let (first, second) = (FIRST[i % 8], SECOND[i / 8 % 8]);
        format!("a photo of a {first} {second}{}.", PLACE[i % 5])
    };
    (0..count).map(text).collect()
}

/// Packed RGB: noise in squares of 4, 16, 64 and 256 pixels, which overlap; the larger they are, the more they count.
fn detailed(Size { width, height }: Size) -> Vec<u8> {
    const SQUARES: [(usize, u16); 4] = [(4, 1), (16, 3), (64, 5), (256, 7)];
    const WEIGHTS: u16 = 16;
    let mut random = Random(2);
    let noise = SQUARES.map(|(square, weight)| {
        let columns = width.div_ceil(square);
        let count = columns * height.div_ceil(square);
        let colours: Vec<[u8; 8]> = (0..count).map(|_| random.next().to_le_bytes()).collect();
        (square, weight, columns, colours)
    });
    let mut rgb = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            let mut sum = [0; 3];
            for (square, weight, columns, colours) in &noise {
                let found = &colours[y / square * columns + x / square];
                sum.iter_mut().zip(found).for_each(|(sum, part)| *sum += weight * u16::from(*part));
            }
            rgb.extend(sum.map(|sum| (sum / WEIGHTS) as u8));
        }
    }
    rgb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_two_numbers() {
        assert_eq!("1920x1080".parse(), Ok(Size { width: 1920, height: 1080 }));
        for text in ["", "1920", "x", "0x5", "5x", "-1x5", "16385x1", "1x1x1"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn frames_of_every_format_are_whole() {
        for format in PixelFormat::all() {
            Planes::make(format, Size { width: 7, height: 5 }).unwrap().frame().unwrap();
        }
    }

    #[test]
    fn texts_differ() {
        let texts = texts(64);
        assert!(texts.iter().enumerate().all(|(i, text)| !texts[..i].contains(text)), "{texts:?}");
    }
}
