//! `clip-export engines`: engines for a model folder that is there already.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clip_exporter::compare::Samples;
use clip_exporter::plans;
use clip_exporter::run::Runner;
use clip_model::Manifest;
use serde_json::json;

use crate::remedy::with_remedy;
use crate::screen::Screen;
use crate::trt::PlanArguments;

/// Build engines of TensorRT for a model folder that is there already, on the device that will run them
///
/// The folder may come from another machine: it holds the graphs that the engines are built of, in the number format that it was
/// exported in. It stays as it is until the engines are built and, where a GPU runs them, found to give what their graphs do.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The model folder
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    #[command(flatten)]
    plans: PlanArguments,

    /// Print the folder and its manifest as JSON instead of the path alone
    #[arg(long)]
    json: bool,
}

/// Builds, and prints the folder.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { folder, plans, json } = arguments;
    let runner = std::env::current_exe().map_or(Runner::Here, Runner::Apart);
    let mut screen = Screen::new();
    let samples = Samples::generated(&Manifest::read(folder)?.preprocess)?;
    let manifest = plans::add_to(folder, &plans.plans(), &samples, &runner, &mut |step| screen.show(step))
        .map_err(with_remedy)
        .with_context(|| format!("cannot build engines for {}", folder.display()))?;
    screen.finish();
    let text = match json {
        true => serde_json::to_string_pretty(&json!({ "folder": folder, "manifest": manifest }))?,
        false => folder.display().to_string(),
    };
    clip_program::print(&text, &format!("{} is complete", folder.display()))
}
