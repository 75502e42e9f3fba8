//! `clip-export`: a checkpoint becomes a model folder; `clip-export inspect` says what one is.

mod activation;
mod convert;
mod inspect;
mod numbers;
mod report;
mod source;
mod thresholds;
mod verify;

use std::io::{BufReader, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clip_exporter::evaluation::Inputs;
use clip_exporter::onnx::OPSETS;
use clip_exporter::tower::Form;
use clip_exporter::{Error, Labels, Only, Options, apart, check_destination, export, export_each};
use clip_model::Manifest;
use clip_model::templates::{Template, parse_labels};
use clip_program::{Usage, input};

use convert::{To, convert};
use numbers::{NumberArguments, Precision};
use report::Report;
use source::SourceArguments;

/// Turn a checkpoint into a model folder that clip-run, libclip and clip-runtime open.
///
/// The folder holds both towers as ONNX graphs (visual.onnx, text.onnx), the tokenizer (tokenizer.json), and clip.json,
/// which says everything else: preprocessing, sizes, logit scale, and the hash of each file. It appears only after both
/// towers have run once and, below single precision, after they were compared with the checkpoint in single
/// precision (report.json); a failure leaves nothing behind.
///
/// The folder's path is printed on standard output, progress on standard error.
#[derive(Debug, Parser)]
#[command(
    name = "clip-export",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  \
        clip-export models/emoji-tiny -o emoji\n  \
        clip-export openai/clip-vit-base-patch32 -o vit-b-32\n  \
        clip-export ViT-B-32.pt -o vit-b-32 --name ViT-B/32\n  \
        clip-export epoch_32.pt -o mine --gelu\n  \
        clip-export runs/mine -o mine-hf --to hf\n  \
        clip-export runs/mine -o small --precision int8 --calibration-images photos/ --calibration-texts captions.txt\n  \
        clip-export runs/mine -o mine --force --json\n  \
        clip-export inspect runs/mine --tensors\n  \
        clip-export verify small --against runs/mine\n  \
        clip-export runs/mine -o camera --only visual --uint8-input --labels things.txt --template \"a photo of a {}.\"\n\n\
        Exit status: 0 when all went well, 1 when something failed, 2 for wrong arguments."
)]
struct Arguments {
    #[command(flatten)]
    source: SourceArguments,

    /// The model folder to create
    #[arg(short, long, value_name = "FOLDER", value_parser = output_folder)]
    output: PathBuf,

    /// Write no model folder but the checkpoint itself in another layout, in single precision. Who opens it cleans the texts:
    /// open_clip makes curly quotation marks straight, and repairs HTML and wrong encodings; transformers does not
    #[arg(long, value_name = "LAYOUT", conflicts_with_all = [
        "name", "force", "only", "combined", "labels", "uint8_input", "batch", "external_data", "precision", "calibration_images", "calibration_texts"
    ])]
    to: Option<To>,

    /// Name of the model, kept in clip.json [default: the checkpoint's file name, or its name on the hub]
    #[arg(long, value_name = "NAME", value_parser = model_name)]
    name: Option<String>,

    #[command(flatten)]
    numbers: NumberArguments,

    /// Export one encoder alone
    #[arg(long, value_name = "ENCODER")]
    only: Option<Only>,

    /// Also write clip.onnx, one graph of both encoders, for other programs: image and ids in; image_embedding,
    /// text_embedding and logits_per_image out
    #[arg(long)]
    combined: bool,

    /// File of labels, one a line, to be encoded once, in single precision whatever the folder's is, and kept in it:
    /// pictures are then classified without a text encoder
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,

    /// Text around a stored label, with {} in its place; given several times, the embeddings are averaged
    /// [default: {}]
    #[arg(long = "template", value_name = "TEXT", requires = "labels")]
    templates: Vec<Template>,

    /// File with one template a line, in addition to --template
    #[arg(long = "templates", value_name = "FILE", requires = "labels")]
    templates_file: Option<PathBuf>,

    /// The image encoder takes packed RGB bytes, [batch, S, S, 3], and normalises them itself
    #[arg(long)]
    uint8_input: bool,

    /// Fix the number of images, or texts, of every run
    #[arg(long, value_name = "N")]
    batch: Option<usize>,

    /// Version of ONNX's operator set, 17 to 21
    #[arg(long, value_name = "N", default_value_t = *OPSETS.start())]
    opset: i64,

    /// Write weights into files beside the graphs (visual.onnx.data); always done where a graph passes 2 GB
    #[arg(long)]
    external_data: bool,

    /// Replace FOLDER if it is a model folder; the old one stays until the new one is complete
    #[arg(long)]
    force: bool,

    /// Print the folder and its manifest as JSON instead of the path alone
    #[arg(long)]
    json: bool,
}

// What the program does besides exporting. (A doc comment would take the place of the description in --help.)
#[derive(Debug, Subcommand)]
enum Command {
    Inspect(inspect::Arguments),
    Verify(verify::Arguments),
}

fn main() -> ExitCode {
    clip_program::start();
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == apart::ARGUMENT)
        && let (Some(folder), None) = (arguments.next(), arguments.next())
    {
        return try_out(folder.as_ref());
    }
    clip_program::finish(dispatch())
}

fn dispatch() -> anyhow::Result<()> {
    // Exporting, the main use, needs no subcommand.
    let parser = Command::augment_subcommands(Arguments::command());
    let matches = parser.subcommand_required(false).arg_required_else_help(false).get_matches();
    if matches.subcommand_name().is_none() {
        return run(&Arguments::from_arg_matches(&matches).unwrap_or_else(|e| e.exit()));
    }
    match Command::from_arg_matches(&matches).unwrap_or_else(|e| e.exit()) {
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
    }
}

fn output_folder(path: &str) -> Result<PathBuf, String> {
    match path {
        input::STDIO => Err("a folder cannot be written to standard output".to_owned()),
        "" => Err("the path of a folder cannot be empty".to_owned()),
        path => Ok(path.into()),
    }
}

/// A model's name is shown in lists and messages, on one line.
fn model_name(name: &str) -> Result<String, String> {
    match name {
        _ if name.trim().is_empty() => Err("the name of a model cannot be empty".to_owned()),
        _ if name.contains(char::is_control) => {
            Err("the name of a model is one line without control characters".to_owned())
        }
        name => Ok(name.to_owned()),
    }
}

/// The other side of [`apart::run`].
fn try_out(folder: &Path) -> ExitCode {
    let outcome = || -> anyhow::Result<String> {
        let mut input = BufReader::new(stdin());
        let inputs = Inputs::read(&mut input)?;
        clip_program::end_with(input);
        Ok(serde_json::to_string(&inputs.run(folder)?)?)
    };
    match outcome() {
        Ok(outcome) => clip_program::finish(clip_program::print(&outcome, "")),
        Err(error) => {
            clip_program::note(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    /// The model folders to create, one for each precision.
    fn folders(&self) -> Vec<PathBuf> {
        match self.numbers.precision.as_slice() {
            [_] => vec![self.output.clone()],
            several => several.iter().map(|precision| self.output.join(precision.name())).collect(),
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { source, to, output, name, json, .. } = arguments;
    let mut report = Report::new();
    if let Some(to) = to {
        return convert(&source.open(&mut report)?.checkpoint, output, *to, *json);
    }
    // What can be refused is refused before anything is fetched.
    arguments.numbers.check()?;
    let mut options = options(arguments)?;
    for folder in arguments.folders() {
        check_destination(&folder, options.replace)?;
    }
    let source = source.open(&mut report)?;
    options.model = match name {
        Some(name) => name.clone(),
        None => model_name(&source.name).map_err(|reason| {
            anyhow::anyhow!("{:?} cannot name the model: {reason}; give it one with --name", source.name)
        })?,
    };
    options.samples = arguments.numbers.samples(&source.checkpoint.preprocess, arguments.only)?;
    let refused = |error| match error {
        Error::Options(what) => Usage(what).into(),
        error => anyhow::Error::from(error).context(format!("cannot export {}", source.path.display())),
    };
    let with_numbers = |&precision: &Precision| {
        let numbers = arguments.numbers.numbers(precision);
        let thresholds = Some(arguments.numbers.thresholds(numbers));
        Options { numbers, thresholds, ..options.clone() }
    };
    let wanted: Vec<Options> = arguments.numbers.precision.iter().map(with_numbers).collect();
    let mut show = |progress| report.show(progress);
    let manifests = match wanted.as_slice() {
        [one] => export(&source.checkpoint, output, one, &mut show).map(|manifest| vec![manifest]),
        several => export_each(&source.checkpoint, output, several, &mut show),
    };
    let made: Vec<_> = arguments.folders().into_iter().zip(manifests.map_err(refused)?).collect();
    report.finish();
    print(&made, *json)
}

/// The options, but for the model's name.
fn options(arguments: &Arguments) -> anyhow::Result<Options> {
    let labels = match &arguments.labels {
        Some(file) => {
            input::check_once(
                [Some(file), arguments.templates_file.as_ref()].into_iter().flatten().map(PathBuf::as_path),
            )?;
            let mut templates = arguments.templates.clone();
            if let Some(file) = &arguments.templates_file {
                templates.extend(Template::parse_list(&input::read_text(file)?, file)?);
            }
            Some(Labels { labels: parse_labels(&input::read_text(file)?, file)?, templates })
        }
        None => None,
    };
    let Arguments { force, only, combined, external_data, .. } = *arguments;
    let form = Form {
        opset: arguments.opset,
        batch: arguments.batch,
        bytes: arguments.uint8_input,
        ..Form::default()
    };
    // In a process of its own, so that this one never holds a whole model.
    let runner = std::env::current_exe().ok();
    Ok(Options { replace: force, only, form, external_data, combined, labels, runner, ..Options::default() })
}

fn print(made: &[(PathBuf, Manifest)], json: bool) -> anyhow::Result<()> {
    let values: Vec<_> = made
        .iter()
        .map(|(folder, manifest)| serde_json::json!({ "folder": folder, "manifest": manifest }))
        .collect();
    let folders = made.iter().map(|(folder, _)| folder.display().to_string()).collect::<Vec<_>>().join("\n");
    let text = match values.as_slice() {
        _ if !json => folders.clone(),
        [one] => serde_json::to_string_pretty(one)?,
        several => serde_json::to_string_pretty(several)?,
    };
    clip_program::print(&text, &format!("{} is complete", folders.replace('\n', " and ")))
}
