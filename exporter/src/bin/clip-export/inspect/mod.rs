//! `clip-export inspect`: what a checkpoint or a model folder is.

mod checkpoint;
mod folder;
mod words;

use std::io::Write;

use anyhow::{Result, bail};
use clip_model::manifest;
use clip_program::Kept;

use crate::screen::Screen;
use crate::source::SourceArguments;

/// Say what a checkpoint or a model folder is: architecture, size, cost, tokenizer, preprocessing
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,

    /// List every tensor of a checkpoint: name, shape, number format
    #[arg(long)]
    tensors: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints what the user named is.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { source, tensors, json } = arguments;
    let path = &source.checkpoint;
    let inspection = match path.join(manifest::FILE).exists() {
        true if *tensors => {
            bail!("--tensors lists those of a checkpoint; {} is a model folder", path.display())
        }
        true => folder::describe(path)?,
        false => checkpoint::describe(&source.open(&mut Screen::new())?, *tensors)?,
    };
    let text = match json {
        true => serde_json::to_string_pretty(&inspection.json)?,
        false => inspection.table.join("\n"),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).on_stdout()
}
