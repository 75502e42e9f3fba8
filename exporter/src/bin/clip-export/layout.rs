//! `--layout`: a folder for another program in the place of a model folder.

use std::path::Path;

use clap::{Args, ValueEnum};
use clip_exporter::layout::{self, Program, Record};
use clip_exporter::{Result, check_destination};
use clip_program::Usage;

/// The program that the folder is for, if it is for none of ours.
#[derive(Debug, Args)]
pub struct LayoutArguments {
    /// Write no model folder but one that another program opens: the same graphs, verified the same way, under the names of files,
    /// inputs and outputs that it expects, with the descriptions that it reads. clip-layout.json lists the files
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = [
        "to", "combined", "classifier", "camera", "triton", "labels", "uint8_input", "batch", "trt"
    ])]
    layout: Option<ProgramName>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProgramName {
    /// `@huggingface/transformers`, in browsers and Node.js
    TransformersJs,
    /// The machine learning service of Immich; the folder has to get the name of a model that it knows
    Immich,
    /// fastembed, in Python and Rust: a folder for each encoder
    Fastembed,
    /// optimum.onnxruntime, in Python
    Optimum,
}

impl LayoutArguments {
    /// The program.
    pub fn program(&self) -> Option<Program> {
        Some(match self.layout? {
            ProgramName::TransformersJs => Program::TransformersJs,
            ProgramName::Immich => Program::Immich,
            ProgramName::Fastembed => Program::Fastembed,
            ProgramName::Optimum => Program::Optimum,
        })
    }

    /// Refuses a destination for whatever is to be written there.
    pub fn check_destination(&self, folder: &Path, replace: bool) -> Result<()> {
        match self.layout {
            Some(_) => layout::check(folder, replace),
            None => check_destination(folder, replace),
        }
    }

    /// Refuses several number formats: each would be another folder.
    pub fn check(&self, precisions: usize) -> Result<(), Usage> {
        match self.layout {
            Some(_) if precisions > 1 => Err(Usage(
                "--layout writes the model of one precision: give one with --precision, or leave it out"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

/// Prints the folder, or it and what is in it as JSON.
pub fn print(folder: &Path, record: &Record, json: bool) -> anyhow::Result<()> {
    let text = match json {
        true => serde_json::to_string_pretty(&serde_json::json!({ "folder": folder, "layout": record }))?,
        false => folder.display().to_string(),
    };
    clip_program::print(&text, &format!("{} is complete", folder.display()))
}
