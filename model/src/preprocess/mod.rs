//! stub
use crate::error::Result;
use serde::{Deserialize, Serialize};
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    pub size: usize,
    pub resize_mode: ResizeMode,
    pub interpolation: Interpolation,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub background: [u8; 3],
    pub apply_exif_orientation: bool,
    pub max_pixels: u64,
}
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum ResizeMode {
    Shortest,
    Squash,
}
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Interpolation {
    Bicubic,
    Bilinear,
}
impl Default for Preprocess {
    fn default() -> Self {
        Preprocess {
            size: 224,
            resize_mode: ResizeMode::Shortest,
            interpolation: Interpolation::Bicubic,
            mean: [0.; 3],
            std: [1.; 3],
            background: [255; 3],
            apply_exif_orientation: true,
            max_pixels: 1 << 28,
        }
    }
}
impl Preprocess {
    pub fn validate(&self) -> Result<()> {
        Ok(())
    }
}
