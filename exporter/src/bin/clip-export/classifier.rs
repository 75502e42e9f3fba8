//! `--classifier`: one graph from pictures to probabilities, for programs that are none of ours.

use clap::{Args, ValueEnum};
use clip_model::manifest::Values;

/// Whether there is a classifier, and what it takes.
#[derive(Debug, Args)]
pub struct ClassifierArguments {
    /// Also write classifier.onnx, one graph from pictures to the probabilities of the --labels, for other programs: image in,
    /// probabilities out. Beside it lie labels.txt, what GStreamer's onnxinference wants to know (classifier.onnx.modelinfo)
    /// and, where DeepStream's nvinfer can give it what it takes, that one's configuration (config_infer_classifier.txt)
    #[arg(long)]
    classifier: bool,

    /// What the classifier takes [default: bytes with --uint8-input, else normalised]
    #[arg(long, value_name = "VALUES", requires = "classifier")]
    classifier_input: Option<Input>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Input {
    /// Normalised numbers, float32 [batch, 3, S, S]
    Normalised,
    /// Packed RGB bytes, uint8 [batch, S, S, 3]
    Bytes,
    /// The same numbers from 0 to 255 as float32 [batch, 3, S, S]: for DeepStream, which cannot normalise each channel by itself
    Pixels,
}

impl ClassifierArguments {
    /// What the classifier takes, if there is to be one; `bytes` is what the image encoder does.
    pub fn values(&self, bytes: bool) -> Option<Values> {
        self.classifier.then_some(match self.classifier_input {
            Some(Input::Normalised) => Values::Normalised,
            Some(Input::Pixels) => Values::Pixels,
            Some(Input::Bytes) => Values::Bytes,
            None if bytes => Values::Bytes,
            None => Values::Normalised,
        })
    }
}
