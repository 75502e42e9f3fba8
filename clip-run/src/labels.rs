//! `clip-run labels`: labels to a file.

use std::path::PathBuf;

use anyhow::Result;
use clip_program::{Usage, input, print};
use serde_json::json;

use crate::label_options::LabelOptions;
use crate::model::ModelOptions;
use crate::{embed, examples, output};

/// Encode labels and write them to a file, for devices without the text encoder
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Model folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    labels: LabelOptions,
    /// Labels that are shown instead of named: a folder with a folder of pictures for each, or a CSV file of pictures and labels; pictures
    /// of one label are averaged
    #[arg(long, value_name = "PATH", conflicts_with_all = ["given", "label_set"])]
    examples: Option<PathBuf>,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelOptions,
}

const HELP: &str = "\
The file holds the labels, their embeddings, and which model they are of. classify --label-set reads it,
clip_labels_load in C and Clip::open_label_set in Rust, also for a folder without the text encoder. It is
in the safetensors format.

Examples:
  clip-run labels emoji --labels-file things.txt --template \"a photo of a {}.\" -o things.safetensors
  clip-run labels emoji --labels \"person,car\" --background \"street,sky\" -o camera.safetensors
  clip-run labels emoji --examples parts/ -o parts.safetensors
  clip-run classify emoji photo.jpg --label-set things.safetensors";

pub fn run(arguments: &Arguments) -> Result<()> {
    let path = &arguments.output;
    if input::is_stdio(path) {
        return Err(Usage("-o -: labels are written to a file, name one".to_owned()).into());
    }
    output::check(path, arguments.force)?;
    input::check_once(arguments.labels.files())?;
    let labels = arguments.labels.read()?;
    let examples = arguments.examples.as_deref().map(examples::find).transpose()?;
    let clip = arguments.model.open_noting(&arguments.folder)?;
    let labels = match examples {
        None => labels.of(&clip, &arguments.folder)?,
        Some(examples) => {
            let embeddings = embed::images(&clip, &examples.pictures)?;
            let shown = clip.label_set_from_image_embeddings(&examples.labels, &embeddings)?;
            labels.with_background(&clip, shown)?
        }
    };
    labels.save(path)?;
    let (count, background) = (labels.len() - labels.background(), labels.background());
    let line = match (arguments.json, background) {
        (true, _) => {
            let file = path.to_string_lossy();
            json!({ "file": file, "labels": count, "background": background, "model": clip.name() })
                .to_string()
        }
        (false, 0) => format!("{}: {count} labels", path.display()),
        (false, _) => format!("{}: {count} labels, and {background} of a background", path.display()),
    };
    print(&line, &format!("{} is written", path.display()))
}
