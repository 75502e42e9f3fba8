//! stub
use clip_model::Preprocess;
use clip_model::preprocess::RgbaImage;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Random changes to the pictures, all off by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {}

impl Augment {
    /// Checks the values.
    pub fn validate(&self) -> Result<()> {
        Ok(())
    }

    pub(super) fn apply(
        &self,
        picture: &RgbaImage,
        preprocess: &Preprocess,
        _random: &mut ChaCha8Rng,
        out: &mut [f32],
    ) -> Result<()> {
        Ok(preprocess.apply(&picture.over(preprocess.background), out)?)
    }
}
