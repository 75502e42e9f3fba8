//! `clip-train`: trains a CLIP model from image-text pairs, or evaluates a checkpoint.

mod evaluate;

use std::any::Any;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use clap::{CommandFactory, Parser, Subcommand};
use clip_checkpoint::Checkpoint;
use clip_data::{DataSet, Location, expand};
use clip_program::{input, note, stop};
use clip_trainer::mixture::mix;
use clip_trainer::settings::{Settings, reference};
use clip_trainer::train::train;
use clip_trainer::{Error, Job};
use clip_trainer::{device, memory, presets, start};

/// Trains a CLIP model from image-text pairs, or evaluates a checkpoint (--evaluate).
///
/// Data comes as WebDataset tars, plain or gzip: pictures, each with a .txt of the same name that holds one caption per
/// line. The output folder is a checkpoint in OpenCLIP's hub layout; clip-export turns it into a model folder.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0 when all went well, 1 when something failed, 2 for wrong arguments."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Settings, a TOML file
    #[arg(long, value_name = "FILE", required_unless_present = "evaluate")]
    config: Option<PathBuf>,
    /// Training data: tars, plain or gzip; folders of pictures; tables (.csv, .tsv, .parquet). {000..009}, {000..100..10}, {a..f} and
    /// {a,b} are expanded, a::b is both, @FILE names them one a line; s3://, gs://, http://, https:// and pipe:COMMAND are streamed
    #[arg(long, value_name = "SHARD", num_args = 1.., required_unless_present = "evaluate")]
    data: Vec<String>,
    /// Output folder
    #[arg(short, long, value_name = "DIR", required_unless_present = "evaluate", value_parser = output_folder)]
    out: Option<PathBuf>,
    /// Validation shards, each reported by itself and all together
    #[arg(long, value_name = "SHARD", num_args = 1..)]
    val: Vec<String>,
    /// cpu or cuda:N
    #[arg(long, default_value = "cpu", value_parser = device::parse)]
    device: tch::Device,
    /// Go on with the run in the output folder, as if it had never stopped
    #[arg(long)]
    resume: bool,
    /// With --resume: what may differ from the run that was stopped: settings (optim.steps) or sections (optim), shards,
    /// device; with commas between
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "resume")]
    resume_with: Vec<String>,
    /// A checkpoint to start from instead of random weights: its network, weights, vocabulary and preprocessing. A folder or
    /// file in any layout that clip-export opens, or the name of a model on the Hugging Face hub (ORGANISATION/NAME)
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "resume")]
    init: Option<PathBuf>,
    /// A checkpoint to learn from besides: its similarities of the batch's pictures and texts (optim.distill); named as for --init
    #[arg(long, value_name = "CHECKPOINT")]
    teacher: Option<PathBuf>,
    /// Train a byte-level BPE vocabulary of N tokens from the captions, whatever the settings say
    #[arg(long, value_name = "N")]
    vocab_size: Option<usize>,
    /// Threads that compute, and threads that decode pictures [default: the processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    #[command(flatten)]
    evaluation: evaluate::Options,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints every setting of one of the paper's models with its meaning as TOML, to be changed and given to --config
    Settings {
        /// The network, by one of the published names, RN50 to ViT-L/14@336px
        #[arg(default_value = "ViT-B/32")]
        preset: String,
    },
    /// Writes the average of two checkpoints' weights: what a fine-tuned model was before, and what it has become (WiSE-FT)
    Mix {
        /// The checkpoint that fine-tuning started from: a folder, a file, or a name on the hub, as for --init
        #[arg(value_name = "START")]
        first: PathBuf,
        /// The fine-tuned checkpoint
        #[arg(value_name = "FINE_TUNED")]
        second: PathBuf,
        /// Share of the second one, 0 to 1
        #[arg(long, default_value_t = 0.5)]
        share: f64,
        /// Folder to be made
        #[arg(short, long, value_name = "DIR", value_parser = output_folder)]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    memory::keep_freed();
    clip_program::start();
    if let Some(status) = clip_program::pages::asked_for(Arguments::command) {
        return status;
    }
    let arguments = Arguments::parse();
    // What panics is told below, in one line.
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = std::panic::catch_unwind(|| run(&arguments));
    clip_program::finish(outcome.unwrap_or_else(|panic| Err(failure(panic.as_ref()))))
}

fn output_folder(path: &str) -> Result<PathBuf, String> {
    match path {
        input::STDIO => Err("a folder cannot be written to standard output".to_owned()),
        path => Ok(path.into()),
    }
}

/// A panic as an error. `tch` panics where libtorch refuses an operation, and hands on its message with a C++ backtrace.
fn failure(panic: &(dyn Any + Send)) -> anyhow::Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    // The message of a `TchError` is shown as a Rust string, its line ends escaped.
    let first = text.split(['\n']).next().and_then(|line| line.split("\\n").next()).unwrap_or(text);
    anyhow!("the computation failed: {first}; where memory ran out, a smaller optim.batch needs less")
}

fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Some(Command::Settings { preset }) => {
            return clip_program::print(
                preset_settings(preset)?.trim_end(),
                "the settings were put together",
            );
        }
        Some(Command::Mix { first, second, share, out }) => return mixed(first, second, *share, out),
        None => {}
    }
    let device = arguments.device;
    device::open(device)?;
    let threads = match arguments.threads {
        Some(n) => usize::from(n),
        None => {
            std::thread::available_parallelism().context("cannot count the processors; give --threads")?.get()
        }
    };
    tch::set_num_threads(threads as i32);
    let val = expand(&arguments.val)?.into_iter().map(file).collect::<Result<Vec<_>>>()?;
    let validation = match (arguments.evaluation.checkpoint(), &arguments.config, &arguments.out) {
        (Some(checkpoint), _, _) => arguments.evaluation.run(checkpoint, &val, device, threads)?,
        (None, Some(config), Some(out)) => {
            let settings = settings(config, arguments.vocab_size)?;
            let job = Job {
                data: DataSet::parse(&arguments.data, &settings.data.weights)?,
                settings,
                val,
                out: out.clone(),
                device,
                resume: arguments.resume,
                resume_with: arguments.resume_with.clone(),
                init: arguments.init.as_deref().map(|name| start::find(name, note)).transpose()?,
                teacher: arguments.teacher.as_deref().map(|name| start::find(name, note)).transpose()?,
                decode_threads: threads,
                warn: note,
                stop: stop::asked,
            };
            match train(&job) {
                // The program ends by the signal that asked for it.
                Err(stopped @ Error::Stopped { .. }) => {
                    note(&format!("{stopped}; --resume goes on from there"));
                    return Ok(());
                }
                result => result.map_err(with_option)?,
            }
        }
        _ => bail!("--config, --data and -o are needed"),
    };
    let lines = match arguments.json {
        true => vec![serde_json::to_string_pretty(&validation)?],
        false => validation.all().map(ToString::to_string).collect(),
    };
    let kept = match &arguments.out {
        Some(out) => format!("the checkpoint {} is written", out.display()),
        None => "the evaluation was done".to_owned(),
    };
    lines.iter().try_for_each(|line| clip_program::print(line, &kept))
}

/// Writes the average of two checkpoints.
fn mixed(first: &Path, second: &Path, share: f64, out: &Path) -> Result<()> {
    let (first, second) = (start::find(first, note)?, start::find(second, note)?);
    mix(&Checkpoint::open(first)?, (&second, &Checkpoint::open(&second)?), share, out)?;
    note(&format!("the checkpoint is {}", out.display()));
    Ok(())
}

/// The settings of a named network, the paper's, with comments.
fn preset_settings(name: &str) -> Result<String> {
    let Some(preset) = presets::of(name) else {
        bail!("there are no settings for {name}, only for {}", presets::ALL.map(|(name, _)| name).join(", "));
    };
    Ok(reference::toml(&Settings::parse(preset)?)?)
}

/// An error of a run with the option that helps, which the library does not know.
fn with_option(error: Error) -> anyhow::Error {
    let advice = match &error {
        Error::RunExists(_) => "go on with it (--resume) or choose another folder".to_owned(),
        Error::NoRun(_) => "start the run without --resume".to_owned(),
        Error::SettingsChanged { names, .. } => {
            format!("or ask for another run from here on with --resume-with {names}")
        }
        Error::Fixed { .. } => "which --init takes".to_owned(),
        _ => return error.into(),
    };
    anyhow!("{error}; {advice}")
}

/// The path of a shard for validation.
fn file(shard: Location) -> Result<PathBuf> {
    match shard {
        Location::File(path) => Ok(path),
        other => bail!("{other}: shards for validation are read from files; fetch it first"),
    }
}

fn settings(path: &Path, vocab_size: Option<usize>) -> Result<Settings> {
    let mut settings = Settings::read(path)?;
    if let Some(tokens) = vocab_size {
        let Some(text) = &mut settings.model.text else {
            bail!(
                "--vocab-size needs [model.text] in {}: a named model's vocabulary is fixed",
                path.display()
            );
        };
        text.vocab_size = tokens;
        settings.data.tokenizer = "train".into();
        settings.validate()?;
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    #[test]
    fn what_libtorch_refuses_becomes_one_line() {
        let tensors = [[2, 3], [4, 5]].map(|shape| Tensor::ones(shape, (Kind::Float, tch::Device::Cpu)));
        let panic = std::panic::catch_unwind(|| tensors[0].matmul(&tensors[1])).unwrap_err();
        let message = failure(panic.as_ref()).to_string();
        assert!(message.contains("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"), "{message}");
        assert!(message.lines().count() == 1 && message.len() < 300, "{message}");
    }
}
