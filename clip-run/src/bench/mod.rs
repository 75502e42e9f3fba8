//! `clip-run bench`: how fast a model folder runs here.

mod case;
mod inputs;
mod machine;
mod measure;
mod random;
mod report;
mod start;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clip_program::note;
use clip_runtime::{Clip, Error, MAX_THREADS, Part, PixelFormat};

use crate::model::ModelOptions;
use case::{Case, Input};
use inputs::{Picture, Planes, Size};
use machine::{Machine, peak_memory};
use measure::Plan;
use report::Report;

/// Measure how fast a model folder runs on this machine
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Model folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// What to measure, separated by commas [default: all that the folder has encoders for]
    #[arg(long, value_name = "WHAT,...", value_delimiter = ',')]
    only: Vec<Kind>,
    /// Images in a call
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 8], value_parser = count(4096))]
    batch: Vec<usize>,
    /// Labels in a call of "texts"
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = count(100_000))]
    labels: usize,
    /// Threads that call at the same time, each with a batch of its own
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1], value_parser = count(MAX_THREADS))]
    callers: Vec<usize>,
    /// Formats of frames: rgb, bgr, rgba, bgra, rgbp, gray8, gray16, nv12, nv21, i420, yuyv, uyvy, or all
    #[arg(long, value_name = "FORMAT,...", default_value = "rgb,nv12", value_parser = formats)]
    formats: Formats,
    /// Size of the frames, and of the picture where none is given
    #[arg(long, value_name = "WxH", default_value = "1920x1080")]
    size: Size,
    /// The picture to decode [default: a JPEG that is made, with detail at every scale]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Seconds that each row of the report is measured for
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// Turns that they are divided into, and processes that are started
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = count(1000))]
    rounds: usize,
    /// Let the engine's threads look for work for a moment before they sleep, as clip-run embed and classify do; without, a model that waits costs nothing,
    /// as in a camera's stream
    #[arg(long)]
    spin: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Be the process that is started to be timed
    #[arg(long, hide = true)]
    fresh: bool,
    #[command(flatten)]
    model: ModelOptions,
}

const HELP: &str = "\
What is measured (--only):
  encode    images of the model's size to embeddings
  picture   an encoded picture to embeddings: decoding, resizing and the encoder
  frames    frames of a camera, in each format, to embeddings
  texts     labels to embeddings, tokenizer included
  start     fresh processes, one after the other, until they have opened the model, encoded three labels where none are stored, and found the label of
            a frame of 640x480 pixels; the files are in the system's cache then

Rows take turns in an order that changes from round to round, 50 ms apart, so that what disturbs one for a while disturbs
all. A turn begins with a call that does not count. p50, p95 and p99 are of all calls of a row: half of them, and 95 and 99 of 100,
took at most that. Images per second are the median of the rounds, beside the lowest and the highest. Compare figures of one
run; on a machine that does other work, those of two runs say little. A frame or picture is the same in each call.

With --json, one object: \"model\", \"clip_run\", \"machine\", \"runs_on\", \"settings\", \"measurements\" (each with
\"what\", \"input\", \"batch\", \"callers\", \"calls\", \"milliseconds\" and \"per_second\"), \"start\", and \"peak_memory_bytes\" of
a fresh process and of this one.

Examples:
  clip-run bench emoji
  clip-run bench emoji --only frames --formats all --size 3840x2160 --batch 1 --threads 1
  clip-run bench emoji --only encode,picture --image photo.jpg --callers 1,4 --json";

/// What there is to measure.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Encode,
    Picture,
    Frames,
    Texts,
    Start,
}

#[derive(Clone)]
struct Formats(Vec<PixelFormat>);

fn formats(text: &str) -> Result<Formats, String> {
    if text == "all" {
        return Ok(Formats(PixelFormat::all().collect()));
    }
    let format = |name: &str| name.trim().parse().map_err(|error| format!("{name:?}: {error}, or all"));
    Ok(Formats(text.split(',').map(format).collect::<Result<_, String>>()?))
}

fn count(most: usize) -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=most as u64)
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.001..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "expected a number from 0.001 to 3600".to_owned())
}

impl Arguments {
    fn open(&self) -> Result<Clip> {
        Ok(Clip::open_with(&self.folder, &self.model.options().spinning(self.spin))?)
    }

    /// Whether something is to be measured: because it was asked for, or the model has what it takes.
    fn measures(&self, kind: Kind) -> bool {
        self.only.is_empty() || self.only.contains(&kind)
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.fresh {
        return start::be_fresh(|| arguments.open());
    }
    let clip = arguments.open()?;
    check(arguments, &clip)?;
    let has_images = clip.image_engine().is_some();
    let measures = |kind| has_images && arguments.measures(kind);
    let picture = match (measures(Kind::Encode) || measures(Kind::Picture), &arguments.image) {
        (false, _) => None,
        (true, Some(path)) => Some(Picture::read(&clip, path)?),
        (true, None) => Some(Picture::make(&clip, arguments.size)?),
    };
    let formats = if measures(Kind::Frames) { arguments.formats.0.as_slice() } else { &[] };
    let planes = formats.iter().map(|&format| Ok((format, Planes::make(format, arguments.size)?)));
    let planes: Vec<(PixelFormat, Planes)> = planes.collect::<Result<_>>()?;
    let texts = inputs::texts(arguments.labels);

    let mut inputs = Vec::new();
    let picture = picture.as_ref();
    inputs.extend(picture.filter(|_| measures(Kind::Encode)).map(Input::Fitted));
    inputs.extend(picture.filter(|_| measures(Kind::Picture)).map(Input::Encoded));
    inputs.extend(planes.iter().map(|(format, planes)| Input::Frame(*format, planes)));
    if clip.text_engine().is_some() && arguments.measures(Kind::Texts) {
        inputs.push(Input::Texts(&texts));
    }
    let cases = cases(arguments, &inputs);
    let plan = Plan { seconds: arguments.seconds, rounds: arguments.rounds };
    if !cases.is_empty() {
        let (rows, seconds) = (cases.len(), cases.len() as f64 * arguments.seconds);
        note(&format!("{rows} rows, each measured for {} s: {seconds:.0} s and more", arguments.seconds));
    }
    let times = measure::all(&clip, &cases, plan)?;
    let start = arguments.measures(Kind::Start).then(|| start::measure(arguments.rounds)).transpose()?;
    let machine = Machine::of_this();
    let rows = cases.iter().zip(&times).collect();
    let spins = arguments.spin;
    Report { clip: &clip, machine, plan, spins, rows, start, peak_memory: peak_memory() }
        .print(arguments.json)
}

/// Refuses what the model lacks, where it was asked for.
fn check(arguments: &Arguments, clip: &Clip) -> Result<()> {
    for kind in &arguments.only {
        let (what, engine) = match kind {
            Kind::Encode | Kind::Picture | Kind::Frames => (Part::ImageEncoder, clip.image_engine()),
            Kind::Texts => (Part::TextEncoder, clip.text_engine()),
            Kind::Start => continue,
        };
        if engine.is_none() {
            return Err(Error::Missing { model: clip.name().to_owned(), what }.into());
        }
    }
    Ok(())
}

/// Every input with every batch and number of callers.
fn cases<'a>(arguments: &Arguments, inputs: &[Input<'a>]) -> Vec<Case<'a>> {
    let mut cases = Vec::new();
    for &input in inputs {
        let labels = [arguments.labels];
        let batches = if matches!(input, Input::Texts(_)) { &labels[..] } else { &arguments.batch };
        for &batch in batches {
            let callers = arguments.callers.iter();
            cases.extend(callers.map(|&callers| Case { input, batch, callers }));
        }
    }
    cases
}
