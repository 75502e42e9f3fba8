//! Each encoder runs once before a folder gets its name.

use std::path::Path;

use clip_model::preprocess::Image;

use crate::error::{Error, Result};
use crate::evaluation::{self, Inputs};

/// Runs the encoders of `folder` once, in `program` when there is one, see [`crate::apart`].
///
/// # Errors
/// [`Error::Trial`] and [`Error::TrialApart`].
pub fn run(folder: &Path, program: Option<&Path>) -> Result<()> {
    let texts = ["a photo of a cat", ""].map(str::to_owned).to_vec();
    let inputs = Inputs { images: vec![gradient()?], texts, ..Inputs::default() };
    evaluation::run(folder, &inputs, program).map(drop)
}

/// A picture with something to see in every channel.
fn gradient() -> Result<Image> {
    const SIDE: usize = 64;
    let pixel = |i: usize| [i % SIDE * 4, i / SIDE * 4, ((i % SIDE) ^ (i / SIDE)) * 4].map(|v| v as u8);
    Image::new(SIDE, SIDE, (0..SIDE * SIDE).flat_map(pixel).collect()).map_err(Error::Model)
}
