//! What can go wrong.

use std::path::PathBuf;
use std::sync::Arc;

/// Why the element does not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The property is not set.
    #[error("no model: set the property model to a folder that clip-export wrote")]
    NoModel,
    /// The model folder cannot be used.
    #[error("cannot open the model {folder}: {source}")]
    Model {
        /// The property model.
        folder: PathBuf,
        /// Why not.
        source: Box<clip_runtime::Error>,
    },
    /// A property is no name that is known.
    #[error("{property} is \"{found}\", expected {expected}")]
    Name {
        /// The property.
        property: &'static str,
        /// What it is set to.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// There are no labels.
    #[error("the model folder holds no labels: set labels, labels-file or label-set")]
    NoLabels,
    /// Labels from more than one place.
    #[error("labels come from one place: set one of labels, labels-file and label-set")]
    ManyLabels,
    /// A file of labels cannot be read.
    #[error("cannot read {file}: {source}")]
    LabelsFile {
        /// The property labels-file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A picture, or what the caps say of pictures, that is not libclip's to read.
    #[error("{0}")]
    Picture(String),
    /// The engine failed on a picture.
    #[error("the model failed: {0}")]
    Failed(Arc<clip_runtime::Error>),
    /// A function of a newer GStreamer was asked for.
    #[error("embedding needs GStreamer 1.26 or newer: {0}")]
    Tensors(String),
    /// The library refuses it.
    #[error("{0}")]
    Clip(#[source] Box<clip_runtime::Error>),
}

impl From<clip_runtime::Error> for Error {
    fn from(error: clip_runtime::Error) -> Error {
        Error::Clip(Box::new(error))
    }
}

impl From<clip_model::Error> for Error {
    fn from(error: clip_model::Error) -> Error {
        clip_runtime::Error::from(error).into()
    }
}

impl Error {
    /// With its causes, as far as it does not name them itself.
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let reason = error.to_string();
            if !text.contains(&reason) {
                text = format!("{text}: {reason}");
            }
            cause = error.source();
        }
        text
    }
}
