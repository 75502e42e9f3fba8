//! The graphs of a model folder.

use clip_model::Manifest;
use clip_model::manifest::Encoder;
use serde::{Deserialize, Serialize};

/// A graph of a model folder that runs by itself: what becomes an engine, or a model on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Component {
    /// The image encoder.
    Image,
    /// The text encoder.
    Text,
    /// The classifier for other programs.
    Classifier,
    /// The image encoder for a camera's frames.
    Camera,
}

impl Component {
    /// In the order in which they are built.
    pub const ALL: [Component; 4] =
        [Component::Image, Component::Text, Component::Classifier, Component::Camera];

    /// What names that are made of its model's end with.
    pub fn suffix(self) -> &'static str {
        match self {
            Component::Image => "visual",
            Component::Text => "text",
            Component::Classifier => "classifier",
            Component::Camera => "camera",
        }
    }

    /// Name of its graph's file.
    pub fn graph(self) -> &'static str {
        match self {
            Component::Image => "visual.onnx",
            Component::Text => "text.onnx",
            Component::Classifier => "classifier.onnx",
            Component::Camera => "camera.onnx",
        }
    }

    /// Name of its plan's file.
    pub fn plan(self) -> &'static str {
        match self {
            Component::Image => "visual.plan",
            Component::Text => "text.plan",
            Component::Classifier => "classifier.plan",
            Component::Camera => "camera.plan",
        }
    }

    /// How a manifest describes it, where it is there.
    pub fn of(self, manifest: &Manifest) -> Option<&Encoder> {
        match self {
            Component::Image => manifest.image.as_ref(),
            Component::Text => manifest.text.as_ref(),
            Component::Classifier => manifest.classifier.as_ref().map(|classifier| &classifier.encoder),
            Component::Camera => manifest.camera.as_ref().map(|camera| &camera.encoder),
        }
    }

    /// The same, to be changed.
    pub fn of_mut(self, manifest: &mut Manifest) -> Option<&mut Encoder> {
        match self {
            Component::Image => manifest.image.as_mut(),
            Component::Text => manifest.text.as_mut(),
            Component::Classifier => manifest.classifier.as_mut().map(|classifier| &mut classifier.encoder),
            Component::Camera => manifest.camera.as_mut().map(|camera| &mut camera.encoder),
        }
    }
}
