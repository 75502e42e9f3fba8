//! `clip-export verify`: whether a model folder is whole, and how close it is to its checkpoint.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clip_checkpoint::Checkpoint;
use clip_data::choose_lines;
use clip_exporter::compare::{self, Samples};
use clip_exporter::run::Runner;
use clip_model::Manifest;
use clip_model::manifest;
use clip_program::input;
use serde_json::json;

use crate::numbers::pictures;
use crate::remedy::with_remedy;
use crate::source::refused;
use crate::thresholds::ThresholdArguments;

/// Check a model folder: its hashes, that its encoders run and, with --against, how close they are to fp32
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The model folder
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// The checkpoint that it was exported from
    #[arg(long, value_name = "CHECKPOINT")]
    against: Option<PathBuf>,

    /// Pictures to compare on: a folder or a tar file [default: generated ones]
    #[arg(long, value_name = "PATH", requires = "against")]
    images: Option<PathBuf>,

    /// Texts to compare on, one a line [default: built-in ones]
    #[arg(long, value_name = "FILE", requires = "against")]
    texts: Option<PathBuf>,

    /// Pictures and texts to take at most, evenly chosen
    #[arg(long, value_name = "N", default_value_t = 64, requires = "against")]
    count: usize,

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
    let manifest = Manifest::read(folder)?;
    // Opening checks every hash.
    Runner::Here.try_out(folder).with_context(|| format!("{} cannot be used", folder.display()))?;
    let whole = format!("{}: hashes are right, and its encoders run", folder.display());
    let Some(checkpoint) = &arguments.against else {
        let json = json!({ "folder": folder, "whole": true });
        return print(if arguments.json { serde_json::to_string_pretty(&json)? } else { whole });
    };
    let checkpoint = Checkpoint::open(checkpoint).map_err(|error| refused(error, checkpoint))?;
    let mut samples = Samples::generated(&checkpoint.preprocess)?;
    if let Some(path) = &arguments.images {
        samples.images = pictures(path, &checkpoint.preprocess, arguments.count)?;
    }
    if let Some(path) = &arguments.texts {
        samples.texts = choose_lines(&input::read_text(path)?, path, arguments.count)?;
    }
    let (thresholds, scratch) =
        (arguments.thresholds.of(compare::precision(&manifest)), std::env::temp_dir());
    let report = compare::against(&checkpoint, folder, &samples, thresholds, scratch, &Runner::Here)
        .map_err(with_remedy)?;
    let json = json!({ "folder": folder, "whole": true, "report": report });
    print(match arguments.json {
        true => serde_json::to_string_pretty(&json)?,
        false => format!("{whole}\n{}", report.summary()),
    })?;
    if !report.failures.is_empty() {
        bail!("{} is too far from the checkpoint in single precision", folder.display());
    }
    Ok(())
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
