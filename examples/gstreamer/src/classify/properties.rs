//! The properties of `clipclassify`, as gst-inspect-1.0 shows them.

use std::path::PathBuf;

use gstreamer::glib::{self, ParamFlags, ParamSpec, Value};
use gstreamer::prelude::*;

use crate::settings::{Latency, Messages, Mode, Settings};

/// What a change of a property asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It counts from the next start on.
    AtStart,
    /// Labels are encoded anew.
    Labels,
    /// It counts at once.
    Now,
}

/// Properties that count when the element starts, and those that count at once.
const READY: ParamFlags = gstreamer::PARAM_FLAG_MUTABLE_READY;
const PLAYING: ParamFlags = gstreamer::PARAM_FLAG_MUTABLE_PLAYING;

/// All properties.
pub fn specs() -> Vec<ParamSpec> {
    let text = |name: &str, nick: &str, about: &str| {
        glib::ParamSpecString::builder(name).nick(nick).blurb(about).mutable_ready().build()
    };
    let live = |name: &str, nick: &str, about: &str| {
        glib::ParamSpecString::builder(name).nick(nick).blurb(about).mutable_playing().build()
    };
    let count = |name: &str, nick: &str, about: &str, least: u32, default: u32, flags: ParamFlags| {
        let spec = glib::ParamSpecUInt::builder(name).nick(nick).blurb(about).minimum(least).maximum(10_000);
        spec.default_value(default).flags(flags | ParamFlags::READWRITE).build()
    };
    let number = |name: &str, nick: &str, about: &str, (least, most): (f32, f32), default: f32| {
        let spec = glib::ParamSpecFloat::builder(name).nick(nick).blurb(about).minimum(least).maximum(most);
        spec.default_value(default).mutable_ready().build()
    };
    vec![
        text("model", "Model", "Folder that clip-export wrote"),
        text(
            "engine",
            "Engine",
            "What runs the model: onnx, openvino, openvino-bf16, tensorrt or rtx (none: what each file was made for)",
        ),
        text(
            "device",
            "Device",
            "What is computed on: cpu, or cuda:0 for the first GPU (none: cuda:0 for tensorrt and rtx, else cpu)",
        ),
        count("threads", "Threads", "Threads to compute with (0: one for each physical core)", 0, 0, READY),
        live(
            "labels",
            "Labels",
            "Labels to look for, with commas between them (none of labels, labels-file and label-set: those stored in the model folder)",
        ),
        live("labels-file", "File of labels", "Text file with one label a line"),
        live("label-set", "Label set", "File of encoded labels, as clip-run labels and calibrate write them"),
        live(
            "background",
            "Background",
            "What pictures may show besides, with commas between; it counts as none of the labels",
        ),
        live("template", "Template", "Text around a label, with {} in its place (none: {})"),
        glib::ParamSpecEnum::builder_with_default("mode", Mode::Frame)
            .nick("Mode")
            .blurb("What is classified")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("latency", Latency::Sync)
            .nick("Latency")
            .blurb("When a buffer goes on")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("messages", Messages::All)
            .nick("Messages")
            .blurb("Which outcomes are told on the bus")
            .mutable_playing()
            .build(),
        count("interval", "Interval", "Of how many buffers one is classified", 1, 1, PLAYING),
        count("top-k", "Labels told", "How many labels an outcome tells, best first", 1, 5, READY),
        number(
            "threshold",
            "Least probability",
            "Probability that a label needs to be shown",
            (0.0, 1.0),
            0.0,
        ),
        number(
            "min-similarity",
            "Least similarity",
            "Cosine similarity that a label needs to be shown",
            (-1.0, 1.0),
            -1.0,
        ),
        number(
            "smoothing",
            "Smoothing",
            "Share of the past in what is compared with the labels, an exponential average of embeddings",
            (0.0, 0.999),
            0.0,
        ),
        count(
            "hold",
            "Hold",
            "Frames in a row in which another label has to be found until it is shown",
            1,
            1,
            READY,
        ),
        count(
            "refresh",
            "Refresh",
            "Of how many frames with the same track the model sees one, with mode=objects",
            1,
            1,
            READY,
        ),
        glib::ParamSpecBoolean::builder("embedding")
            .nick("Embedding")
            .blurb("Attach the embedding to buffers as a GstTensorMeta, which GStreamer has from 1.26 on")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("text")
            .nick("Text")
            .blurb("The last outcome in words")
            .read_only()
            .build(),
        glib::ParamSpecUInt64::builder("classified")
            .nick("Classified")
            .blurb("Buffers that were classified since the start")
            .read_only()
            .build(),
        glib::ParamSpecUInt64::builder("dropped")
            .nick("Dropped")
            .blurb("Buffers that had to go unclassified since the start, with latency=async")
            .read_only()
            .build(),
    ]
}

/// Sets a property.
pub fn set(settings: &mut Settings, name: &str, value: &Value) -> Changed {
    let text = || value.get::<Option<String>>().ok().flatten().filter(|text| !text.is_empty());
    let path = || text().map(PathBuf::from);
    let number = || value.get::<f32>().unwrap_or_default();
    let count = || value.get::<u32>().unwrap_or_default();
    match name {
        "model" => settings.model = path(),
        "engine" => settings.engine = text(),
        "device" => settings.device = text(),
        "threads" => settings.threads = count(),
        "labels" => settings.labels = text(),
        "labels-file" => settings.labels_file = path(),
        "label-set" => settings.label_set = path(),
        "background" => settings.background = text(),
        "template" => settings.template = text(),
        "mode" => settings.mode = value.get().unwrap_or_default(),
        "latency" => settings.latency = value.get().unwrap_or_default(),
        "messages" => settings.messages = value.get().unwrap_or_default(),
        "interval" => settings.interval = count(),
        "top-k" => settings.top = count(),
        "threshold" => settings.threshold = number(),
        "min-similarity" => settings.min_similarity = number(),
        "smoothing" => settings.smoothing = number(),
        "hold" => settings.hold = count(),
        "refresh" => settings.refresh = count(),
        "embedding" => settings.embedding = value.get().unwrap_or_default(),
        _ => {}
    }
    match name {
        "labels" | "labels-file" | "label-set" | "background" | "template" => Changed::Labels,
        "messages" | "interval" => Changed::Now,
        _ => Changed::AtStart,
    }
}

/// A property of the settings; none of another name.
pub fn get(settings: &Settings, name: &str) -> Option<Value> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string()).to_value();
    Some(match name {
        "model" => path(&settings.model),
        "engine" => settings.engine.to_value(),
        "device" => settings.device.to_value(),
        "threads" => settings.threads.to_value(),
        "labels" => settings.labels.to_value(),
        "labels-file" => path(&settings.labels_file),
        "label-set" => path(&settings.label_set),
        "background" => settings.background.to_value(),
        "template" => settings.template.to_value(),
        "mode" => settings.mode.to_value(),
        "latency" => settings.latency.to_value(),
        "messages" => settings.messages.to_value(),
        "interval" => settings.interval.to_value(),
        "top-k" => settings.top.to_value(),
        "threshold" => settings.threshold.to_value(),
        "min-similarity" => settings.min_similarity.to_value(),
        "smoothing" => settings.smoothing.to_value(),
        "hold" => settings.hold.to_value(),
        "refresh" => settings.refresh.to_value(),
        "embedding" => settings.embedding.to_value(),
        _ => return None,
    })
}
