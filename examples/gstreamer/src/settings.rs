//! What the properties of `clipclassify` are set to.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use clip_model::templates::{Template, parse_labels};
use clip_runtime::stream::{StreamOptions, WhenFull};
use clip_runtime::{Clip, Device, EngineKind, LabelSet, Options, Rule};
use gstreamer::glib;

use crate::error::Error;

/// What is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstClipMode")]
#[repr(i32)]
pub enum Mode {
    /// The whole picture.
    #[default]
    #[enum_value(name = "The whole picture", nick = "frame")]
    Frame = 0,
    /// What an element before has found in it.
    #[enum_value(name = "Each region that an element before has found", nick = "objects")]
    Objects = 1,
}

/// When a buffer goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstClipLatency")]
#[repr(i32)]
pub enum Latency {
    /// With its own outcome.
    #[default]
    #[enum_value(name = "A buffer waits for its own outcome", nick = "sync")]
    Sync = 0,
    /// At once.
    #[enum_value(
        name = "A buffer goes on at once, with the outcome of one before; frames for which the model has no time are dropped from classification",
        nick = "async"
    )]
    Async = 1,
}

/// Which outcomes are told on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstClipMessages")]
#[repr(i32)]
pub enum Messages {
    /// Every one.
    #[default]
    #[enum_value(name = "Of every outcome", nick = "all")]
    All = 0,
    /// Those with another label than before.
    #[enum_value(name = "Of outcomes with another label than before", nick = "changed")]
    Changed = 1,
    /// None.
    #[enum_value(name = "None", nick = "none")]
    None = 2,
}

/// What the properties are set to.
#[derive(Debug, Clone)]
pub struct Settings {
    pub model: Option<PathBuf>,
    pub engine: Option<String>,
    pub device: Option<String>,
    pub threads: u32,
    pub labels: Option<String>,
    pub labels_file: Option<PathBuf>,
    pub label_set: Option<PathBuf>,
    pub background: Option<String>,
    pub template: Option<String>,
    pub mode: Mode,
    pub latency: Latency,
    pub messages: Messages,
    pub interval: u32,
    pub top: u32,
    pub threshold: f32,
    pub min_similarity: f32,
    pub smoothing: f32,
    pub hold: u32,
    pub refresh: u32,
    pub embedding: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            model: None,
            engine: None,
            device: None,
            threads: 0,
            labels: None,
            labels_file: None,
            label_set: None,
            background: None,
            template: None,
            mode: Mode::default(),
            latency: Latency::default(),
            messages: Messages::default(),
            interval: 1,
            top: 5,
            threshold: 0.0,
            min_similarity: -1.0,
            smoothing: 0.0,
            hold: 1,
            refresh: 1,
            embedding: false,
        }
    }
}

impl Settings {
    /// How the model is opened.
    pub fn options(&self) -> Result<Options, Error> {
        let engine: Option<EngineKind> =
            named("engine", &self.engine, "onnx, openvino, openvino-bf16, tensorrt or rtx")?;
        let device: Option<Device> = named("device", &self.device, "cpu, or cuda:0 for the first GPU")?;
        let threads = (self.threads > 0).then_some(self.threads as usize);
        Ok(Options::new().engine(engine).device(device).threads(threads))
    }

    /// How the stream treats its frames.
    pub fn stream_options(&self) -> Result<StreamOptions, Error> {
        let when_full = match self.latency {
            Latency::Sync => WhenFull::Block,
            Latency::Async => WhenFull::DropOldest,
        };
        Ok(StreamOptions::new()
            .when_full(when_full)
            .capacity(1)
            .smoothing(self.smoothing)
            .hold(self.hold as usize)
            .top(self.top as usize)
            .refresh(self.refresh as usize)
            .rule(Rule::new(self.threshold, self.min_similarity)?))
    }

    /// The labels that are asked for, encoded; those stored in the model folder where none are.
    pub fn label_set(&self, clip: &Clip) -> Result<Arc<LabelSet>, Error> {
        let templates: Vec<Template> =
            self.template.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let set = match (&self.labels, &self.labels_file, &self.label_set) {
            (None, None, None) => clip.stored_labels().ok_or(Error::NoLabels)?.clone(),
            (Some(names), None, None) => clip.label_set(&listed(names), &templates)?,
            (None, Some(file), None) => {
                let text = std::fs::read_to_string(file);
                let text = text.map_err(|source| Error::LabelsFile { file: file.clone(), source })?;
                clip.label_set(&parse_labels(&text, file)?, &templates)?
            }
            (None, None, Some(file)) => clip.open_label_set(file)?,
            _ => return Err(Error::ManyLabels),
        };
        Ok(Arc::new(match &self.background {
            Some(names) => set.with_background(&clip.label_set(&listed(names), &templates)?)?,
            None => set,
        }))
    }
}

/// What a property names, where it is set.
fn named<T: FromStr>(
    property: &'static str,
    found: &Option<String>,
    expected: &'static str,
) -> Result<Option<T>, Error> {
    let unknown = |found: &String| Error::Name { property, found: found.clone(), expected };
    found.as_ref().map(|name| name.parse().map_err(|_| unknown(name))).transpose()
}

/// The names in a list with commas.
fn listed(names: &str) -> Vec<&str> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}
