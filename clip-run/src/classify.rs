//! `clip-run classify`: images to labels.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clip_model::templates::parse_labels;
use clip_program::{Kept, Progress, Usage, input, note};
use clip_runtime::{Clip, Image, LabelSet, Match, Template};
use serde::Serialize;

use crate::images;
use crate::model::ModelOptions;

/// Say which labels fit images best
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Model folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Images (JPEG, PNG, WebP, GIF, BMP, TIFF, PNM); "-" reads one from standard input
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// Labels, separated by commas; a label with a comma in it goes into a file [default: those stored in DIR]
    #[arg(long, value_name = "A,B,...", conflicts_with = "labels_file", group = "given")]
    labels: Option<String>,
    /// File with one label a line; "-" reads standard input
    #[arg(long, value_name = "FILE", group = "given")]
    labels_file: Option<PathBuf>,
    /// Text around a label, with {} in its place; given several times, the embeddings are averaged [default: {}]
    #[arg(long = "template", value_name = "TEXT", requires = "given")]
    templates: Vec<Template>,
    /// File with one template a line, in addition to --template; "-" reads standard input
    #[arg(long, value_name = "FILE", requires = "given")]
    templates_file: Option<PathBuf>,
    /// Labels to print for each image
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    top: usize,
    /// Print one JSON object a line for each image
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelOptions,
}

const HELP: &str = "\
Prints the path of each image and below it the best labels with their probabilities (softmax of the model's logit
scale times cosine similarity, over all labels given; of a SigLIP model, a sigmoid for each label).

With --json, one line for each image, in their order:
  {\"image\":\"a.jpg\",\"labels\":[{\"label\":\"cat\",\"index\":0,\"probability\":0.97,\"similarity\":0.31}]}
  {\"image\":\"b.jpg\",\"error\":\"...\"}

An image that cannot be read is reported on standard error; the others are classified, and the exit status is 1.

Examples:
  clip-run classify emoji photo.jpg --labels \"cat,dog,bicycle\" --template \"a photo of a {}.\" --top 3
  clip-run classify emoji *.png --labels-file names.txt --json
  curl -s https://example.org/photo.jpg | clip-run classify emoji - --labels \"day,night\"";

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    image: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<Match<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let lists = [&arguments.labels_file, &arguments.templates_file].into_iter().flatten();
    input::check_once(arguments.images.iter().chain(lists).map(PathBuf::as_path))?;
    let labels = labels(arguments)?;
    let templates = templates(arguments)?;
    let clip = arguments.model.open_noting(&arguments.folder)?;
    let labels = match labels {
        Some(labels) => {
            let mut progress = Progress::new("labels encoded", labels.len());
            clip.label_set_with(&labels, &templates, &mut |done| progress.set(done))?
        }
        None => stored(&clip, &arguments.folder)?,
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut failed = 0;
    for paths in arguments.images.chunks(images::AT_ONCE) {
        let read = images::read(&clip, paths, &note);
        let images: Vec<&Image> = read.iter().flatten().collect();
        let mut matches = clip.classify_batch(&images, &labels, arguments.top)?.into_iter();
        for (path, read) in paths.iter().zip(&read) {
            let found = read.as_ref().map(|_| matches.next().unwrap_or_default());
            failed += usize::from(found.is_err());
            match (found, arguments.json) {
                (found, true) => write_json(&mut out, path, found),
                (Ok(found), false) => write_text(&mut out, path, &found),
                (Err(_), false) => Ok(()),
            }
            .on_stdout()?;
        }
        out.flush().on_stdout()?;
    }
    if failed > 0 {
        bail!("{failed} of {} images could not be read", arguments.images.len());
    }
    Ok(())
}

/// The labels that are stored in the model folder.
fn stored(clip: &Clip, folder: &Path) -> Result<LabelSet> {
    let stored = clip.stored_labels().cloned();
    let missing = "has no stored labels: name some with --labels or --labels-file";
    stored.with_context(|| format!("{} {missing}", folder.display()))
}

/// The labels that the arguments name, if they do.
fn labels(arguments: &Arguments) -> Result<Option<Vec<String>>> {
    if let Some(path) = &arguments.labels_file {
        return Ok(Some(parse_labels(&input::read_text(path)?, path)?));
    }
    let Some(list) = arguments.labels.as_deref() else { return Ok(None) };
    let labels: Vec<String> = list.split(',').map(|label| label.trim().to_owned()).collect();
    match labels.iter().position(String::is_empty) {
        None => Ok(Some(labels)),
        Some(empty) => {
            Err(Usage(format!("--labels {list:?}: label {} of {} is empty", empty + 1, labels.len())).into())
        }
    }
}

fn templates(arguments: &Arguments) -> Result<Vec<Template>> {
    let mut templates = arguments.templates.clone();
    if let Some(path) = &arguments.templates_file {
        templates.extend(Template::parse_list(&input::read_text(path)?, path)?);
    }
    Ok(templates)
}

fn write_text(out: &mut impl Write, path: &Path, found: &[Match]) -> io::Result<()> {
    writeln!(out, "{}", path.display())?;
    found.iter().try_for_each(|m| writeln!(out, "  {:5.1} %  {}", 100.0 * m.probability, m.label))
}

fn write_json(
    out: &mut impl Write,
    path: &Path,
    found: Result<Vec<Match>, &anyhow::Error>,
) -> io::Result<()> {
    let error = found.as_ref().err().map(|error| format!("{error:#}"));
    serde_json::to_writer(&mut *out, &Line { image: path.to_string_lossy(), labels: found.ok(), error })?;
    writeln!(out)
}
