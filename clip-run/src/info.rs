//! `clip-run info`: what a model folder is, and what would run it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clip_model::manifest::Encoder;
use clip_program::Kept;
use clip_runtime::{Clip, EngineInfo};
use serde_json::{Value, json};

use crate::model::{ModelOptions, remedy};

/// Open a model folder, and say what it is and what runs it
#[derive(clap::Args)]
pub struct Arguments {
    /// Model folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let clip = arguments.model.open(&arguments.folder)?;
    let manifest = clip.manifest();
    let image = Runs::new(clip.image_engine().zip(clip.image_file()), &clip);
    let text = Runs::new(clip.text_engine().zip(clip.text_file()), &clip);
    let mut out = io::stdout().lock();
    if arguments.json {
        let [image_json, text_json] = [&image, &text].map(|runs| runs.as_ref().map(Runs::json));
        let runs_on = json!({ "image": image_json, "text": text_json, "threads": clip.threads() });
        return writeln!(out, "{}", json!({ "manifest": manifest, "runs_on": runs_on })).on_stdout();
    }
    let side = manifest.preprocess.size;
    let pixels = manifest.image.as_ref().map(|e| format!("{side}x{side} pixels, {}", precision(e)));
    let tokens = manifest.text.as_ref().zip(manifest.tokenizer.as_ref());
    let tokens = tokens.map(|(e, t)| format!("up to {} tokens, {}", t.context_length, precision(e)));
    let scale = match manifest.logit_bias {
        Some(bias) => format!("{}, bias {bias}: a sigmoid for each label", manifest.logit_scale),
        None => manifest.logit_scale.to_string(),
    };
    let none = || "no encoder".to_owned();
    let mut lines = vec![
        ("model", manifest.model.clone()),
        ("written by", manifest.producer.clone()),
        ("embedding", format!("{} numbers", manifest.embed_dim)),
        ("image", pixels.unwrap_or_else(none)),
        ("text", tokens.unwrap_or_else(none)),
        ("labels", clip.stored_labels().map_or_else(|| "none stored".to_owned(), |l| l.len().to_string())),
        ("logit scale", scale),
        ("threads", clip.threads().to_string()),
    ];
    if let Some(camera) = &manifest.camera {
        let layout = &camera.layout;
        let runs = match clip.camera() {
            Some(device) => device.engine().to_string(),
            None => "not run here: the processor resizes frames itself".to_owned(),
        };
        lines.push((
            "camera",
            format!("{} of {}x{} pixels, {runs}", layout.format, layout.width, layout.height),
        ));
    }
    let mut libraries: Vec<&Path> = Vec::new();
    let towers = [("image engine", image), ("text engine", text)];
    for (name, runs) in towers.into_iter().filter_map(|(name, runs)| Some((name, runs?))) {
        lines.push((name, format!("{}: {}", runs.engine, runs.file.display())));
        if runs.unverified {
            lines.push(("", format!("unverified{}", remedy(runs.file, &arguments.folder))));
        }
        libraries.extend(Some(&*runs.engine.library).filter(|library| !libraries.contains(library)));
    }
    lines.extend(libraries.into_iter().map(|library| ("library", library.display().to_string())));
    lines.iter().try_for_each(|(name, value)| writeln!(out, "{name:<12} {value}")).on_stdout()
}

/// What runs a tower.
struct Runs<'a> {
    engine: &'a EngineInfo,
    file: &'a Path,
    /// Whether it is an engine of TensorRT that nobody has compared with its graph.
    unverified: bool,
}

impl<'a> Runs<'a> {
    fn new(tower: Option<(&'a EngineInfo, &'a Path)>, clip: &Clip) -> Option<Runs<'a>> {
        tower.map(|(engine, file)| Runs { engine, file, unverified: clip.unverified().contains(&file) })
    }

    fn json(&self) -> Value {
        let EngineInfo { name, version, library, device, device_name, .. } = self.engine;
        json!({
            "engine": name,
            "version": version,
            "library": library.to_string_lossy(),
            "device": device.name(),
            "device_name": device_name,
            "file": self.file.to_string_lossy(),
            "verified": !self.unverified,
        })
    }
}

/// Number format and what is fixed of an encoder.
fn precision(encoder: &Encoder) -> String {
    let precision = encoder.precision.name();
    encoder.batch.map_or_else(|| precision.to_owned(), |n| format!("{precision}, batches of {n}"))
}
