//! `clip-export verify`: whether a model folder is whole, and how close it is to its checkpoint.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clip_checkpoint::Checkpoint;
use clip_data::choose_lines;
use clip_exporter::compare::{self, Samples};
use clip_exporter::plans;
use clip_exporter::run::Runner;
use clip_model::{Manifest, Preprocess, manifest};
use clip_program::{Usage, input};
use serde_json::json;

use crate::numbers::pictures;
use crate::remedy::with_remedy;
use crate::source::{note_resized, refused};
use crate::thresholds::ThresholdArguments;

/// Check a model folder: its hashes, that its encoders run, that engines give what their graphs do and, with --against, how
/// close the encoders are to fp32
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The model folder
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// The checkpoint that it was exported from
    #[arg(long, value_name = "CHECKPOINT")]
    against: Option<PathBuf>,

    /// Pictures to compare on: a folder or a tar file [default: generated ones]
    #[arg(long, value_name = "PATH")]
    images: Option<PathBuf>,

    /// Texts to compare on, one a line [default: built-in ones]
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,

    /// Pictures and texts to take at most, evenly chosen
    #[arg(long, value_name = "N", default_value_t = 64)]
    count: usize,

    /// The library of TensorRT, or the folder that it is in [default: the newest one that the system finds]
    #[arg(long, value_name = "PATH")]
    trt_library: Option<PathBuf>,

    #[command(flatten)]
    thresholds: ThresholdArguments,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Checks, prints what was found, and fails when something is missed.
pub fn run(arguments: &Arguments) -> Result<()> {
    let folder = &arguments.folder;
    if !folder.join(manifest::FILE).exists() {
        return Err(no_model(folder));
    }
    let mut manifest = Manifest::read(folder)?;
    let plans = manifest.towers().any(|(_, encoder)| encoder.plan().is_some());
    if arguments.against.is_none()
        && !plans
        && manifest.camera.is_none()
        && (arguments.images.is_some() || arguments.texts.is_some())
    {
        let reason =
            "--images and --texts are to compare on: say --against which checkpoint, or leave them out";
        return Err(Usage(reason.to_owned()).into());
    }
    // Opening checks every hash.
    let tensorrt = arguments.trt_library.as_deref();
    Runner::Here.try_out(folder, tensorrt).with_context(|| format!("{} cannot be used", folder.display()))?;
    let mut lines = vec![format!("{}: hashes are right, and its encoders run", folder.display())];
    let mut json = json!({ "folder": folder, "whole": true });
    let mut far = Vec::new();
    let samples = arguments.samples(&manifest.preprocess)?;
    let framed = compare::camera(folder, &samples, tensorrt, &Runner::Here).map_err(with_remedy)?;
    if let Some(found) = framed {
        lines.push(format!(
            "{:3} frames  cosine of the camera's graph to the image encoder {:.6} (lowest {:.6}), largest difference {:.1e}",
            found.count, found.mean_cosine, found.min_cosine, found.max_difference
        ));
        json["camera"] = json!(found);
    }
    if plans {
        let thresholds = arguments.thresholds.of(compare::precision(&manifest));
        let found = plans::verify(folder, &mut manifest, (&samples, thresholds), tensorrt, &Runner::Here);
        let found = found.map_err(with_remedy)?;
        lines.push(found.report.summary("its graph"));
        lines.extend((found.image_ms > 0.0).then(|| format!("{:.2} ms an image", found.image_ms)));
        json["plans"] = json!(found);
        far.extend((!found.report.failures.is_empty()).then_some("its graphs"));
    }
    if let Some(checkpoint) = &arguments.against {
        let checkpoint = Checkpoint::open(checkpoint).map_err(|error| refused(error, checkpoint))?;
        note_resized(&checkpoint);
        let (thresholds, scratch) =
            (arguments.thresholds.of(compare::precision(&manifest)), std::env::temp_dir());
        let report = compare::against(&checkpoint, folder, &samples, thresholds, scratch, &Runner::Here)
            .map_err(with_remedy)?;
        lines.push(report.summary("fp32"));
        json["report"] = json!(report);
        far.extend((!report.failures.is_empty()).then_some("the checkpoint in single precision"));
    }
    print(if arguments.json { serde_json::to_string_pretty(&json)? } else { lines.join("\n") })?;
    match far.as_slice() {
        [] => Ok(()),
        far => bail!("{} is too far from {}", folder.display(), far.join(" and from ")),
    }
}

impl Arguments {
    fn samples(&self, preprocess: &Preprocess) -> Result<Samples> {
        let mut samples = Samples::generated(preprocess)?;
        if let Some(path) = &self.images {
            samples.images = pictures(path, preprocess, self.count)?;
        }
        if let Some(path) = &self.texts {
            samples.texts = choose_lines(&input::read_text(path)?, path, self.count)?;
        }
        Ok(samples)
    }
}

fn print(text: String) -> Result<()> {
    clip_program::print(&text, "the folder was checked")
}

/// Why a folder without a manifest cannot be verified.
fn no_model(folder: &Path) -> anyhow::Error {
    let path = folder.display();
    match (folder.exists(), Checkpoint::open(folder).is_ok()) {
        (false, _) => anyhow!("there is no {path}"),
        (_, true) => anyhow!(
            "{path} is a checkpoint and no model folder yet: export it first (clip-export {path} -o FOLDER)"
        ),
        _ => anyhow!("{path} is no model folder: it has no {}", manifest::FILE),
    }
}
