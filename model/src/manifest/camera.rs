//! How a manifest describes a graph that takes a camera's frames as they lie in memory.

use serde::{Deserialize, Serialize};

use super::encoder::{Element, Encoder, Layout};
use crate::frame::{FrameLayout, PixelFormat, View};

/// The image tower with all that makes its input of a frame in front of it: for frames of one size, in one format, seen in one way. A GPU runs it
/// on frames in its own memory; on a processor [`crate::Preprocess::fit_frame`] and the image encoder take a tenth of the work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// The file, and the input of the first plane; what comes out is what comes out of the image encoder.
    pub encoder: Encoder,
    /// Names of the inputs, one for each plane: uint8 `[B, rows, stride]`, where [`PixelFormat::plane`] says how many rows a plane has.
    pub inputs: Vec<String>,
    /// What its frames are.
    pub layout: FrameLayout,
    /// How they are seen.
    pub view: View,
}

impl Camera {
    /// Name and SHA-256 of all its files.
    pub fn all_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.encoder.all_files()
    }

    /// Whether it takes such frames, seen so. What says nothing about them is not compared: strides of planes that they do not have, colours of
    /// frames that are not YUV, and levels of any but [`PixelFormat::Gray16`].
    pub fn takes(&self, layout: &FrameLayout, view: &View) -> bool {
        let own = &self.layout;
        let planes = own.format.planes();
        let size = |layout: &FrameLayout| (layout.format, layout.width, layout.height);
        size(own) == size(layout)
            && own.strides[..planes] == layout.strides[..planes]
            && (!own.format.is_yuv() || own.color == layout.color)
            && (own.format != PixelFormat::Gray16 || own.levels == layout.levels)
            && self.view.orientation == view.orientation
            && self.view.part(own) == view.part(layout)
    }

    /// Rows and bytes of a row of each plane, in the order of [`Camera::inputs`].
    pub fn planes(&self) -> Vec<[usize; 2]> {
        let FrameLayout { format, width, height, strides, .. } = self.layout;
        let rows = |plane| format.plane(plane, width, height).map_or(0, |(_, rows)| rows);
        (0..format.planes()).map(|plane| [rows(plane), strides[plane]]).collect()
    }

    /// Says what makes no sense; the caller has said whose it is.
    pub(super) fn check(&self) -> Result<(), String> {
        let Camera { encoder, inputs, layout, view } = self;
        layout.check().and_then(|()| view.check(layout)).map_err(|error| format!("frame: {error}"))?;
        let planes = layout.format.planes();
        if inputs.len() != planes || inputs.first() != Some(&encoder.input.name) {
            return Err(format!(
                "inputs are {inputs:?}, expected {planes}, {:?} the first",
                encoder.input.name
            ));
        }
        if (encoder.input.layout, encoder.input.element) != (Layout::Planes, Element::Uint8) {
            return Err("input is not planes of uint8".to_owned());
        }
        Ok(())
    }
}
