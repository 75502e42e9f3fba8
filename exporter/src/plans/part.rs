//! What becomes a plan.

use clip_model::Manifest;
use clip_model::manifest::Encoder;
use serde::{Deserialize, Serialize};

/// A part of a model folder that may become a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// The image encoder.
    Image,
    /// The text encoder.
    Text,
    /// The classifier for other programs.
    Classifier,
}

impl Part {
    /// In the order in which they are built.
    pub const ALL: [Part; 3] = [Part::Image, Part::Text, Part::Classifier];

    /// Name of its graph's file.
    pub fn graph(self) -> &'static str {
        match self {
            Part::Image => "visual.onnx",
            Part::Text => "text.onnx",
            Part::Classifier => "classifier.onnx",
        }
    }

    /// Name of its plan's file.
    pub fn plan(self) -> &'static str {
        match self {
            Part::Image => "visual.plan",
            Part::Text => "text.plan",
            Part::Classifier => "classifier.plan",
        }
    }

    /// How a manifest describes it, where it is there.
    pub fn of(self, manifest: &Manifest) -> Option<&Encoder> {
        match self {
            Part::Image => manifest.image.as_ref(),
            Part::Text => manifest.text.as_ref(),
            Part::Classifier => manifest.classifier.as_ref().map(|classifier| &classifier.encoder),
        }
    }

    /// The same, to be changed.
    pub fn of_mut(self, manifest: &mut Manifest) -> Option<&mut Encoder> {
        match self {
            Part::Image => manifest.image.as_mut(),
            Part::Text => manifest.text.as_mut(),
            Part::Classifier => manifest.classifier.as_mut().map(|classifier| &mut classifier.encoder),
        }
    }
}
