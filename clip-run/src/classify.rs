//! `clip-run classify`: images to labels.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clip_program::{Kept, Usage, input, note};
use clip_runtime::{Image, Match, Rule};
use serde::Serialize;

use crate::images;
use crate::label_options::LabelOptions;
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
    #[command(flatten)]
    labels: LabelOptions,
    /// Say that an image shows none of the labels when the best has a smaller probability, 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    min_probability: f32,
    /// The same for its similarity, -1 to 1; of a model without a logit bias it says more
    #[arg(long, value_name = "S", default_value_t = -1.0, allow_negative_numbers = true)]
    min_similarity: f32,
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

With --min-probability, --min-similarity or a background, an image whose best label is below it or of the
background has a line \"none of the labels\" before the others; with --json, \"shows\" is the label or null.

An image that cannot be read is reported on standard error; the others are classified, and the exit status is 1.

Examples:
  clip-run classify emoji photo.jpg --labels \"cat,dog,bicycle\" --template \"a photo of a {}.\" --top 3
  clip-run classify emoji *.png --labels-file names.txt --json
  clip-run classify emoji *.png --labels \"person,car\" --background \"street,sky\" --min-similarity 0.2
  curl -s https://example.org/photo.jpg | clip-run classify emoji - --labels \"day,night\"";

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    image: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<Match<'a>>>,
    /// The label that the image shows, or none, where that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    shows: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    input::check_once(arguments.images.iter().map(PathBuf::as_path).chain(arguments.labels.files()))?;
    let rule = Rule::new(arguments.min_probability, arguments.min_similarity);
    let rule = rule.map_err(|error| Usage(format!("{error} (--min-probability, --min-similarity)")))?;
    let labels = arguments.labels.read()?;
    let clip = arguments.model.open_for_images(&arguments.folder, arguments.images.len())?;
    let labels = labels.of(&clip, &arguments.folder)?;
    let decides = labels.background() > 0 || rule != Rule::default();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut failed = 0;
    let classify = |read: &[Result<Image>]| {
        let images: Vec<&Image> = read.iter().flatten().collect();
        Ok(clip.classify_batch(&images, &labels, arguments.top)?)
    };
    images::each(&clip, &arguments.images, &note, classify, |run| {
        let mut matches = run.made.into_iter();
        for (path, read) in run.paths.iter().zip(&run.images) {
            let found = read.as_ref().map(|_| matches.next().unwrap_or_default());
            failed += usize::from(found.is_err());
            let best = found.as_ref().ok().and_then(|found| found.first());
            let shown = best.filter(|best| rule.accepts(&labels, (**best).into())).map(|best| best.label);
            let shows = (decides && found.is_ok()).then_some(shown);
            match (found, arguments.json) {
                (found, true) => write_json(&mut out, path, found, shows),
                (Ok(found), false) => write_text(&mut out, path, &found, shows),
                (Err(_), false) => Ok(()),
            }
            .on_stdout()?;
        }
        out.flush().on_stdout()
    })?;
    if failed > 0 {
        bail!("{failed} of {} images could not be read", arguments.images.len());
    }
    Ok(())
}

fn write_text(
    out: &mut impl Write,
    path: &Path,
    found: &[Match],
    shows: Option<Option<&str>>,
) -> io::Result<()> {
    writeln!(out, "{}", path.display())?;
    if shows == Some(None) {
        writeln!(out, "           none of the labels")?;
    }
    found.iter().try_for_each(|m| writeln!(out, "  {:5.1} %  {}", 100.0 * m.probability, m.label))
}

fn write_json(
    out: &mut impl Write,
    path: &Path,
    found: Result<Vec<Match>, &anyhow::Error>,
    shows: Option<Option<&str>>,
) -> io::Result<()> {
    let error = found.as_ref().err().map(|error| format!("{error:#}"));
    serde_json::to_writer(
        &mut *out,
        &Line { image: path.to_string_lossy(), labels: found.ok(), shows, error },
    )?;
    writeln!(out)
}
