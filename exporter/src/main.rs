//! `clip-export`: a checkpoint becomes a model folder.

mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use clip_exporter::{Options, export};
use clip_model::{Checkpoint, Manifest};

use report::Report;

/// Turn a checkpoint into a model folder that clip-run, libclip and clip-runtime open.
///
/// The folder holds both towers as float32 ONNX graphs (visual.onnx, text.onnx), the tokenizer (tokenizer.json), and
/// clip.json, which says everything else: preprocessing, sizes, logit scale, and the hash of each file. It appears
/// only after both towers have run once; a failure leaves nothing behind.
///
/// The folder's path is printed on standard output, progress on standard error.
#[derive(Debug, Parser)]
#[command(
    name = "clip-export",
    version,
    after_help = "Examples:\n  \
        clip-export models/emoji-tiny -o emoji\n  \
        clip-export ViT-B-32.safetensors -o vit-b-32 --name ViT-B/32\n  \
        clip-export runs/mine -o mine --force --json"
)]
struct Arguments {
    /// The checkpoint: a folder in OpenCLIP's layout (open_clip_config.json, open_clip_model.safetensors, and
    /// tokenizer.json where the vocabulary is not OpenAI's), or a lone .safetensors file of one of OpenAI's models
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,

    /// The model folder to create
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,

    /// Name of the model, kept in clip.json [default: the checkpoint's file name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Replace FOLDER if it is a model folder; the old one stays until the new one is complete
    #[arg(long)]
    force: bool,

    /// Print the folder and its manifest as JSON instead of the path alone
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clip-export: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { checkpoint: path, output, name, force, json } = arguments;
    let checkpoint =
        Checkpoint::open(path).with_context(|| format!("cannot open the checkpoint {}", path.display()))?;
    let model = match name {
        Some(name) => name.clone(),
        None => default_name(path)?,
    };
    let options = Options { model, replace: *force };
    let mut report = Report::new();
    let manifest = export(&checkpoint, output, &options, &mut |progress| report.show(progress))
        .with_context(|| format!("cannot export {}", path.display()))?;
    report.finish();
    print(output, &manifest, *json)
}

/// The last part of the checkpoint's path, as the user would call it.
fn default_name(path: &std::path::Path) -> anyhow::Result<String> {
    let whole = path.canonicalize().with_context(|| format!("cannot open {}", path.display()))?;
    let name = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
    Ok(name.map_or_else(|| "CLIP".to_owned(), |name| name.to_string_lossy().into_owned()))
}

fn print(folder: &std::path::Path, manifest: &Manifest, json: bool) -> anyhow::Result<()> {
    use std::io::Write;
    let text = if json {
        let value = serde_json::json!({ "folder": folder, "manifest": manifest });
        serde_json::to_string_pretty(&value)?
    } else {
        folder.display().to_string()
    };
    writeln!(std::io::stdout(), "{text}").context("cannot write to standard output")
}
