//! `clip-run`: classifies images and computes embeddings with a model folder that `clip-export` wrote.

mod classify;
mod embed;
mod images;
mod info;
mod npy;

use std::path::Path;
use std::process::ExitCode;

use clap::builder::RangedU64ValueParser;
use clap::{Parser, Subcommand};
use clip_runtime::{Clip, Error, MAX_THREADS, Options, Part};

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
  clip-run info emoji

`clip-export CHECKPOINT -o emoji` makes the folder. ONNX Runtime (libonnxruntime.so) is looked for at ORT_DYLIB_PATH,
beside the program, in ../lib of a program in a folder bin, in .deps/onnxruntime/lib of the source tree that it was
built in, and where the system looks.

Exit status: 0 when all went well, 1 when something failed, 2 for wrong arguments.";

#[derive(Subcommand)]
enum Command {
    Classify(classify::Arguments),
    Embed(embed::Arguments),
    Info(info::Arguments),
}

/// Options of every command.
#[derive(clap::Args)]
struct Common {
    /// Threads to compute with [default: one for each physical core]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=MAX_THREADS as u64))]
    threads: Option<usize>,
    /// Pixels of the largest image to decode, where that is fewer than the model folder allows
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    max_pixels: Option<u64>,
    /// Hash only files of the folder that changed since they were last found whole with this option; what was found is
    /// kept in the folder, or in the user's cache folder
    #[arg(long)]
    trust_unchanged: bool,
}

impl Common {
    fn open(&self, folder: &Path) -> clip_runtime::Result<Clip> {
        let options = Options::new()
            .threads(self.threads)
            .max_pixels(self.max_pixels)
            .trust_unchanged(self.trust_unchanged);
        Clip::open_with(folder, &options)
    }
}

fn main() -> ExitCode {
    clip_program::start();
    let done = match Arguments::parse().command {
        Command::Classify(arguments) => classify::run(&arguments),
        Command::Embed(arguments) => embed::run(&arguments),
        Command::Info(arguments) => info::run(&arguments),
    };
    clip_program::finish(done.map_err(advised))
}

/// An error together with the option of clip-export that would have prevented it, where there is one.
fn advised(error: anyhow::Error) -> anyhow::Error {
    let Some(Error::Missing { what, .. }) = error.downcast_ref() else { return error };
    let option = match what {
        Part::ImageEncoder => "without --only text",
        Part::TextEncoder => "without --only visual",
        Part::StoredLabels => "with --labels",
    };
    anyhow::anyhow!("{error:#} (clip-export {option})")
}
