//! Random changes to pictures and captions, all off by default.
//!
//! The order: colours, ink, then one resampling that rotates, scales, shears, shifts and flips, then the background,
//! then what a camera or a codec does (blur, noise, few colours, a covered part).

mod background;
mod blur;
mod canvas;
mod caption;
mod color;
mod crop;
mod draw;
mod erase;
mod geometry;
mod ink;
mod noise;
mod posterize;

use clip_model::Preprocess;
use clip_model::preprocess::RgbaImage;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use canvas::Canvas;
use draw::chance;
use geometry::Map;

/// Random changes to the training data, all off by default. A probability is per visit of a sample; a range is drawn from
/// uniformly, those of sizes and aspects uniformly in their logarithm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// A random part of the picture with this share of its area, as torchvision's `RandomResizedCrop`: `[0.9, 1.0]` in
    /// OpenCLIP.
    pub crop_scale: Option<[f32; 2]>,
    /// The aspect ratio (width over height) of that part.
    pub crop_ratio: [f32; 2],

    /// Largest rotation to either side, degrees.
    pub rotation: f32,
    /// Range of the factor that makes the picture's content larger or smaller.
    pub zoom: [f32; 2],
    /// Largest stretch: width over height is multiplied by up to `exp(stretch)`, or divided.
    pub stretch: f32,
    /// Largest shear: the shift of a row over its distance from the centre.
    pub shear: f32,
    /// Largest shift to each side, as a share of the picture's side.
    pub shift: f32,
    /// Probability of a left-right flip.
    pub flip: f32,

    /// Probability of a random background behind transparent pixels, instead of the model's.
    pub background: f32,
    /// Of the random backgrounds, the share with a gradient or with grain instead of one colour.
    pub background_pattern: f32,

    /// Probability of changed colours: hue, saturation, contrast and brightness together.
    pub color: f32,
    /// Largest rotation of the hue to either side, degrees.
    pub hue: f32,
    /// Range of the factor on the distance from grey.
    pub saturation: [f32; 2],
    /// Range of the factor on the distance from middle grey.
    pub contrast: [f32; 2],
    /// Largest change of brightness, of a full scale of 1.
    pub brightness: f32,
    /// Probability of a picture without colour.
    pub grayscale: f32,
    /// Probability of a negative.
    pub invert: f32,
    /// Probability of a random order of the three channels.
    pub permute: f32,

    /// Probability of dark strokes along the edges, as pen drawings have them.
    pub ink: f32,
    /// Of the pictures with strokes, the share whose areas become white, so that lines alone are left.
    pub ink_only: f32,

    /// Probability of a Gaussian blur.
    pub blur: f32,
    /// Range of its standard deviation, pixels of the model's input.
    pub blur_sigma: [f32; 2],
    /// Probability of few levels in each channel (2 to 6).
    pub posterize: f32,
    /// Largest standard deviation of Gaussian noise, of a full scale of 1.
    pub noise: f32,
    /// Probability that a random rectangle is covered with one colour.
    pub erase: f32,
    /// Range of the rectangle's share of the area.
    pub erase_scale: [f32; 2],

    /// Probability of the first caption; the others share the rest. Without it all are equally probable.
    pub first_caption: Option<f32>,
    /// Of a caption that lists words between commas (`a, b, c`) up to so many are drawn in random order; 0 leaves it
    /// as it is. The first caption is never changed.
    pub keywords: usize,
}

impl Default for Augment {
    fn default() -> Self {
        Augment {
            crop_scale: None,
            crop_ratio: [3.0 / 4.0, 4.0 / 3.0],
            rotation: 0.0,
            zoom: [1.0, 1.0],
            stretch: 0.0,
            shear: 0.0,
            shift: 0.0,
            flip: 0.0,
            background: 0.0,
            background_pattern: 0.0,
            color: 0.0,
            hue: 0.0,
            saturation: [1.0, 1.0],
            contrast: [1.0, 1.0],
            brightness: 0.0,
            grayscale: 0.0,
            invert: 0.0,
            permute: 0.0,
            ink: 0.0,
            ink_only: 0.0,
            blur: 0.0,
            blur_sigma: [0.1, 1.0],
            posterize: 0.0,
            noise: 0.0,
            erase: 0.0,
            erase_scale: [0.02, 0.2],
            first_caption: None,
            keywords: 0,
        }
    }
}

impl Augment {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Settings`] with the first one out of its range.
    pub fn validate(&self) -> Result<()> {
        let range = |name: &str, [low, high]: [f32; 2], least: f32, most: f32| {
            if low >= least && low <= high && high <= most {
                return Ok(());
            }
            let what =
                format!("augment.{name} is [{low}, {high}], expected a range within {least} to {most}");
            Err(Error::Settings(what))
        };
        let value = |name: &str, value: f32, most: f32| {
            if (0.0..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::Settings(format!("augment.{name} is {value}, expected 0 to {most}")))
        };
        if let Some(scale) = self.crop_scale {
            range("crop_scale", scale, 1e-3, 1.0)?;
        }
        range("crop_ratio", self.crop_ratio, 0.01, 100.0)?;
        range("zoom", self.zoom, 0.05, 20.0)?;
        range("saturation", self.saturation, 0.0, 10.0)?;
        range("contrast", self.contrast, 0.0, 10.0)?;
        range("blur_sigma", self.blur_sigma, 0.0, 50.0)?;
        range("erase_scale", self.erase_scale, 0.0, 1.0)?;
        for (name, number, most) in [
            ("rotation", self.rotation, 180.0),
            ("stretch", self.stretch, 3.0),
            ("shear", self.shear, 3.0),
            ("shift", self.shift, 1.0),
            ("flip", self.flip, 1.0),
            ("background", self.background, 1.0),
            ("background_pattern", self.background_pattern, 1.0),
            ("color", self.color, 1.0),
            ("hue", self.hue, 180.0),
            ("brightness", self.brightness, 1.0),
            ("grayscale", self.grayscale, 1.0),
            ("invert", self.invert, 1.0),
            ("permute", self.permute, 1.0),
            ("ink", self.ink, 1.0),
            ("ink_only", self.ink_only, 1.0),
            ("blur", self.blur, 1.0),
            ("posterize", self.posterize, 1.0),
            ("noise", self.noise, 1.0),
            ("erase", self.erase, 1.0),
            ("first_caption", self.first_caption.unwrap_or(0.0), 1.0),
        ] {
            value(name, number, most)?;
        }
        Ok(())
    }

    /// A picture to normalised pixels `[3,S,S]`. With nothing switched on, exactly [`Preprocess::apply`].
    pub(super) fn apply(
        &self,
        picture: &RgbaImage,
        preprocess: &Preprocess,
        random: &mut ChaCha8Rng,
        out: &mut [f32],
    ) -> Result<()> {
        let size = preprocess.size;
        let crop = self.crop(random, picture.width(), picture.height());
        if !self.moves() && !self.paints() {
            return Ok(
                preprocess.normalize(&crop::fit(picture, crop, preprocess, preprocess.background)?, out)?
            );
        }
        let mut canvas = if self.moves() {
            Canvas::new(picture, 2 * size)
        } else {
            Canvas::fitted(picture, crop, preprocess)?
        };
        self.color(random, &mut canvas);
        self.ink(random, &mut canvas);
        if self.moves() {
            let map = Map::draw(self, random, (picture.width(), picture.height()), crop, preprocess);
            canvas = map.sample(&canvas, size);
        }
        self.fill_background(random, &mut canvas, preprocess.background);
        self.blur(random, &mut canvas);
        self.posterize(random, &mut canvas);
        self.noise(random, &mut canvas);
        self.erase(random, &mut canvas);
        Ok(preprocess.normalize(&canvas.to_image()?, out)?)
    }

    /// Whether the picture is resampled with a map of its own.
    fn moves(&self) -> bool {
        self.rotation > 0.0
            || self.zoom != [1.0, 1.0]
            || [self.stretch, self.shear, self.shift, self.flip].iter().any(|&most| most > 0.0)
    }

    /// Whether anything changes the pixels' colours.
    fn paints(&self) -> bool {
        [
            self.background,
            self.color,
            self.grayscale,
            self.invert,
            self.permute,
            self.ink,
            self.blur,
            self.posterize,
            self.noise,
            self.erase,
        ]
        .iter()
        .any(|&p| p > 0.0)
    }
}
