//! `clip-run calibrate`: probabilities that are what they say, learnt from pictures with known labels.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clip_program::{Usage, input, print};
use clip_runtime::{Clip, Examples, LabelSet, Logits};
use serde_json::{Value, json};

use crate::examples::Labelled;
use crate::label_options::LabelOptions;
use crate::model::ModelOptions;
use crate::{embed, examples, output};

/// Fit the probabilities of labels to pictures whose labels are known
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Model folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A folder with a folder of pictures for each label, called by it, or a CSV file with lines of a picture and its label
    #[arg(value_name = "EXAMPLES")]
    examples: PathBuf,
    #[command(flatten)]
    labels: LabelOptions,
    /// Give each label a probability of its own, by a sigmoid, so that an image may show several labels or none; for SigLIP that is so
    /// anyway
    #[arg(long)]
    independent: bool,
    /// File to write the labels with their fitted numbers to
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Print the figures as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelOptions,
}

const HELP: &str = "\
What a model calls 90 % is rarely right in 90 of 100 cases. This finds the logit scale under which
it is, for these labels and pictures like these (temperature scaling, Guo et al. 2017: the temperature
is the model's logit scale over the one found), or with --independent a scale and a bias (Platt 1999).
The order of the labels stays as it is. The file is a label set as `clip-run labels` writes it, whose
probabilities are made with these numbers wherever it is used.

Figures are of the same pictures: the loss is the mean negative log-likelihood, and the calibration
error how far probabilities are from how often they are right, over 15 bins. It takes some hundred
pictures, as the camera gives them, and not only easy ones.

Examples:
  clip-run calibrate emoji examples/ --labels \"cat,dog,bicycle\" -o calibrated.safetensors
  clip-run calibrate emoji examples.csv --label-set pets.safetensors -o calibrated.safetensors
  clip-run classify emoji photo.jpg --label-set calibrated.safetensors --min-probability 0.8";

pub fn run(arguments: &Arguments) -> Result<()> {
    let path = &arguments.output;
    if input::is_stdio(path) {
        return Err(Usage("-o -: labels are written to a file, name one".to_owned()).into());
    }
    output::check(path, arguments.force)?;
    input::check_once(arguments.labels.files().chain([arguments.examples.as_path()]))?;
    let labels = arguments.labels.read()?;
    let found = examples::find(&arguments.examples)?;
    let clip = arguments.model.open_for_images(&arguments.folder, found.pictures.len())?;
    let labels = labels.of(&clip, &arguments.folder)?;
    let truth = truth(&labels, &found)?;
    let examples = Examples::new(&labels, &embed::images(&clip, &found.pictures)?, &truth)?;
    let before = labels.logits().unwrap_or(clip.logits());
    let after = match arguments.independent || before.bias.is_some() {
        true => examples.fit_sigmoid()?,
        false => examples.fit_softmax()?,
    };
    let calibrated = labels.with_logits(Some(after))?;
    calibrated.save(path)?;
    let line = match arguments.json {
        true => in_json(arguments, &clip, &calibrated, &examples, before, after).to_string(),
        false => in_words(arguments, &clip, &calibrated, &examples, before, after)?,
    };
    print(&line, &format!("{} is written", path.display()))
}

/// The index of each example's label.
fn truth(labels: &LabelSet, examples: &Labelled) -> Result<Vec<usize>> {
    let names = &labels.labels()[..labels.len() - labels.background()];
    let index = |(label, picture): (&String, &PathBuf)| {
        names.iter().position(|name| name == label).with_context(|| {
            let known = names.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if names.len() > 10 { ", ..." } else { "" };
            format!(
                "{} is said to show {label:?}, which is none of the labels ({known}{more})",
                picture.display()
            )
        })
    };
    examples.labels.iter().zip(&examples.pictures).map(index).collect()
}

/// The loss before, where it is of the same kind as that afterwards.
fn loss_before(examples: &Examples, before: Logits, after: Logits) -> Option<f64> {
    (before.bias.is_some() == after.bias.is_some()).then(|| examples.loss(before))
}

fn in_json(
    arguments: &Arguments,
    clip: &Clip,
    labels: &LabelSet,
    examples: &Examples,
    before: Logits,
    after: Logits,
) -> Value {
    let temperature = after.bias.is_none().then(|| clip.logits().scale / after.scale);
    json!({
        "file": arguments.output.to_string_lossy(),
        "labels": labels.len() - labels.background(),
        "examples": examples.len(),
        "accuracy": examples.accuracy(),
        "logit_scale": after.scale,
        "logit_bias": after.bias,
        "temperature": temperature,
        "loss": { "before": loss_before(examples, before, after), "after": examples.loss(after) },
        "calibration_error": {
            "before": examples.calibration_error(before),
            "after": examples.calibration_error(after),
        },
    })
}

fn in_words(
    arguments: &Arguments,
    clip: &Clip,
    labels: &LabelSet,
    examples: &Examples,
    before: Logits,
    after: Logits,
) -> Result<String> {
    let mut text = format!("{}: {} labels", arguments.output.display(), labels.len() - labels.background());
    let (count, accuracy) = (examples.len(), 100.0 * examples.accuracy());
    write!(text, "\nexamples           {count}, of which {accuracy:.1} % are nearest to their own label")?;
    match after.bias {
        Some(bias) => write!(text, "\nlogit scale, bias  {}, {bias}", after.scale)?,
        None => {
            let temperature = clip.logits().scale / after.scale;
            write!(text, "\nlogit scale        {} (temperature {temperature:.3})", after.scale)?;
        }
    }
    let loss = loss_before(examples, before, after);
    let was = loss.map_or_else(String::new, |loss| format!(", was {loss:.4}"));
    write!(text, "\nloss               {:.4}{was}", examples.loss(after))?;
    let [now, was] = [after, before].map(|logits| 100.0 * examples.calibration_error(logits));
    write!(text, "\ncalibration error  {now:.1} %, was {was:.1} %")?;
    Ok(text)
}
