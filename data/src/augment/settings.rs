//! What is changed at random, and how much.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Random changes to the training data, all off by default. A probability is per visit of a sample; a range is drawn from
/// uniformly, those of sizes and aspects uniformly in their logarithm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// A square as large as the shorter side, anywhere along the longer one, instead of the centre: the paper's only change to
    /// pictures (Radford et al. 2021, arXiv 2103.00020, section 2.3). Not together with `crop_scale`.
    pub square_crop: bool,
    /// A random part of the picture with this share of its area, as torchvision's `RandomResizedCrop`: `[0.9, 1.0]` in
    /// OpenCLIP.
    pub crop_scale: Option<[f32; 2]>,
    /// The aspect ratio (width over height) of that part.
    pub crop_ratio: [f32; 2],

    /// Probability of the mirror image, left for right: for photos, not for what has text or an orientation in it.
    pub flip: f32,
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

    /// Probability of a random background behind transparent pixels, instead of the model's.
    pub background: f32,

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

    /// Probability of dark strokes along the edges, as pen drawings have them.
    pub ink: f32,
    /// Of the pictures with strokes, the share whose areas become white, so that lines alone are left.
    pub ink_only: f32,

    /// Probability of the first caption; the others share the rest. Without it all are equally probable.
    pub first_caption: Option<f32>,
    /// Of a caption that lists words between commas (`a, b, c`) up to so many are drawn in random order; 0 leaves it
    /// as it is. The first caption is never changed.
    pub keywords: usize,
}

impl Default for Augment {
    fn default() -> Self {
        Augment {
            square_crop: false,
            crop_scale: None,
            crop_ratio: [3.0 / 4.0, 4.0 / 3.0],
            flip: 0.0,
            rotation: 0.0,
            zoom: [1.0, 1.0],
            stretch: 0.0,
            shear: 0.0,
            shift: 0.0,
            background: 0.0,
            color: 0.0,
            hue: 0.0,
            saturation: [1.0, 1.0],
            contrast: [1.0, 1.0],
            brightness: 0.0,
            grayscale: 0.0,
            ink: 0.0,
            ink_only: 0.0,
            first_caption: None,
            keywords: 0,
        }
    }
}

impl Augment {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Options`] with the first one out of its range.
    pub fn validate(&self) -> Result<()> {
        for (name, [low, high], least, most) in [
            ("crop_scale", self.crop_scale.unwrap_or([1.0, 1.0]), 1e-3, 1.0),
            ("crop_ratio", self.crop_ratio, 0.01, 100.0),
            ("zoom", self.zoom, 0.05, 20.0),
            ("saturation", self.saturation, 0.0, 10.0),
            ("contrast", self.contrast, 0.0, 10.0),
        ] {
            if !(low >= least && low <= high && high <= most) {
                let what =
                    format!("augment.{name} is [{low}, {high}], expected a range within {least} to {most}");
                return Err(Error::Options(what));
            }
        }
        for (name, value, most) in [
            ("flip", self.flip, 1.0),
            ("rotation", self.rotation, 180.0),
            ("stretch", self.stretch, 3.0),
            ("shear", self.shear, 3.0),
            ("shift", self.shift, 1.0),
            ("background", self.background, 1.0),
            ("color", self.color, 1.0),
            ("hue", self.hue, 180.0),
            ("brightness", self.brightness, 1.0),
            ("grayscale", self.grayscale, 1.0),
            ("ink", self.ink, 1.0),
            ("ink_only", self.ink_only, 1.0),
            ("first_caption", self.first_caption.unwrap_or(0.0), 1.0),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(Error::Options(format!("augment.{name} is {value}, expected 0 to {most}")));
            }
        }
        if self.square_crop && self.crop_scale.is_some() {
            let what =
                "augment.square_crop and augment.crop_scale are both given: one of them cuts out a part";
            return Err(Error::Options(what.to_owned()));
        }
        Ok(())
    }

    /// Whether the picture is resampled with a map of its own.
    pub(super) fn moves(&self) -> bool {
        self.zoom != [1.0, 1.0]
            || [self.rotation, self.stretch, self.shear, self.shift].iter().any(|&most| most > 0.0)
    }

    /// Whether anything changes the pixels' colours.
    pub(super) fn paints(&self) -> bool {
        [self.background, self.color, self.grayscale, self.ink].iter().any(|&p| p > 0.0)
    }
}
