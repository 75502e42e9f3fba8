//! `clip-run`: classifies images, computes embeddings and makes label sets with a model folder that `clip-export` wrote.

mod bench;
mod calibrate;
mod classify;
mod embed;
mod examples;
mod images;
mod in_order;
mod info;
mod label_options;
mod labels;
mod model;
mod npy;
mod output;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clip_runtime::{Error, Part, TensorRtError};

/// Classify images and compute embeddings with a model folder
#[derive(Parser)]
#[command(name = "clip-run", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  clip-run classify emoji photo.jpg --labels \"cat,dog,bicycle\" --template \"a photo of a {}.\" --top 3
  clip-run embed emoji --images *.jpg -o images.npy
  clip-run embed emoji --texts \"a red car\" \"a blue car\" -o texts.npy
  clip-run labels emoji --labels \"cat,dog,bicycle\" -o pets.safetensors
  clip-run calibrate emoji examples/ --label-set pets.safetensors -o calibrated.safetensors
  clip-run bench emoji --batch 1,8 --formats nv12 --size 1280x720
  clip-run info emoji

`clip-export CHECKPOINT -o emoji` makes the folder. ONNX Runtime (libonnxruntime.so) is looked for at ORT_DYLIB_PATH,
beside the program, in ../lib of a program in a folder bin, in .deps/onnxruntime/lib of the source tree that it was
built in, and where the system looks. TensorRT, for folders with its engines, and CUDA are where the system looks.

Exit status: 0 when all went well, 1 when something failed, 2 for wrong arguments.";

#[derive(Subcommand)]
enum Command {
    Classify(classify::Arguments),
    Embed(embed::Arguments),
    Labels(labels::Arguments),
    Calibrate(calibrate::Arguments),
    Bench(bench::Arguments),
    Info(info::Arguments),
}

fn main() -> ExitCode {
    clip_program::start();
    if let Some(status) = clip_program::pages::asked_for(Arguments::command) {
        return status;
    }
    let done = match Arguments::parse().command {
        Command::Classify(arguments) => classify::run(&arguments),
        Command::Embed(arguments) => embed::run(&arguments),
        Command::Labels(arguments) => labels::run(&arguments),
        Command::Calibrate(arguments) => calibrate::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Info(arguments) => info::run(&arguments),
    };
    clip_program::finish(done.map_err(advised))
}

/// An error together with the option that would prevent it, where there is one.
fn advised(error: anyhow::Error) -> anyhow::Error {
    let Some(found) = error.downcast_ref() else { return error };
    let option = match found {
        Error::Missing { what: Part::ImageEncoder, .. } => "clip-export without --only text",
        Error::Missing { what: Part::TextEncoder, .. } => "clip-export without --only visual",
        Error::Missing { what: Part::StoredLabels, .. } => "clip-export with --labels",
        Error::Misfit { .. } => "--rebuild does that, and --engine onnx runs the graph itself",
        Error::NoPlan { .. } => "--rebuild does that",
        Error::TextLength { .. } => "clip-export --trt-text-length; --engine onnx runs the graph itself",
        Error::Model(error) if is_of_a_checkpoint(error) => {
            "that is a checkpoint: `clip-export CHECKPOINT -o FOLDER` makes a model folder of it"
        }
        Error::TensorRt(error) if matches!(**error, TensorRtError::NotFound { .. }) => {
            "--trt-library says where it is"
        }
        _ => return error,
    };
    anyhow::anyhow!("{error:#} ({option})")
}

/// Whether a folder was opened in which there is no manifest, but what checkpoints have.
fn is_of_a_checkpoint(error: &clip_model::Error) -> bool {
    let clip_model::Error::Io { path, .. } = error else { return false };
    let Some(folder) = path.parent().filter(|_| path.ends_with(clip_model::manifest::FILE)) else {
        return false;
    };
    ["open_clip_config.json", "config.json", "model.safetensors"]
        .iter()
        .any(|file| folder.join(file).exists())
}
