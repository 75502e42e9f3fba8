//! `clip-export CHECKPOINT -o FOLDER`: the arguments, and what they ask of the library.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use clip_exporter::run::Runner;
use clip_exporter::{Form, Labels, OPSETS, Options, Tower, export, export_each, lay_out};
use clip_model::Manifest;
use clip_model::templates::{Template, parse_labels};
use clip_program::{Usage, input};

use crate::camera::CameraArguments;
use crate::classifier::ClassifierArguments;
use crate::convert::{To, convert};
use crate::layout::{self, LayoutArguments};
use crate::numbers::NumberArguments;
use crate::remedy::with_remedy;
use crate::screen::Screen;
use crate::source::SourceArguments;
use crate::triton::TritonArguments;
use crate::trt::TrtArguments;

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
        clip-export runs/mine -o engine --trt fp16 --labels things.txt\n  \
        clip-export runs/mine -o rtx --trt fp16 --rtx --sm 86,89,120\n  \
        clip-export runs/mine -o web/models/mine --layout transformers-js\n  \
        clip-export runs/mine -o mine --force --json\n  \
        clip-export inspect runs/mine --tensors\n  \
        clip-export verify small --against runs/mine\n  \
        clip-export runs/mine -o camera --only visual --uint8-input --labels things.txt --template \"a photo of a {}.\"\n  \
        clip-export runs/mine -o mine --labels things.txt --classifier\n  \
        clip-export runs/mine -o mine --triton repository/\n  \
        clip-export runs/mine -o cam --trt fp16 --camera nv12:1920x1080:2048 --camera-turn half\n\n\
        Exit status: 0 when all went well, 1 when something failed, 2 for wrong arguments."
)]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,

    /// The model folder to create
    #[arg(short, long, value_name = "FOLDER", value_parser = output_folder)]
    output: PathBuf,

    /// Write no model folder but the checkpoint itself in another layout, in single precision. Who opens it cleans the texts:
    /// open_clip makes curly quotation marks straight, and repairs HTML and wrong encodings; transformers does not
    #[arg(long, value_name = "LAYOUT", conflicts_with_all = [
        "name", "force", "only", "combined", "classifier", "camera", "triton", "labels", "uint8_input", "batch", "external_data", "precision", "calibration_images", "calibration_texts"
    ])]
    to: Option<To>,

    #[command(flatten)]
    layout: LayoutArguments,

    /// Name of the model, kept in clip.json [default: the checkpoint's file name, or its name on the hub]
    #[arg(long, value_name = "NAME", value_parser = model_name)]
    name: Option<String>,

    #[command(flatten)]
    numbers: NumberArguments,

    #[command(flatten)]
    trt: TrtArguments,

    /// Export one encoder alone
    #[arg(long, value_name = "ENCODER")]
    only: Option<Only>,

    /// Also write clip.onnx, one graph of both encoders, for other programs: image and ids in; image_embedding,
    /// text_embedding and logits_per_image out
    #[arg(long)]
    combined: bool,

    #[command(flatten)]
    classifier: ClassifierArguments,

    #[command(flatten)]
    camera: CameraArguments,

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

    #[command(flatten)]
    triton: TritonArguments,

    /// Replace FOLDER if it is a model folder; the old one stays until the new one is complete
    #[arg(long)]
    force: bool,

    /// Print the folder and its manifest as JSON instead of the path alone
    #[arg(long)]
    json: bool,
}

/// An encoder that is exported alone.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Only {
    /// The image encoder
    Visual,
    /// The text encoder
    Text,
}

impl From<Only> for Tower {
    fn from(only: Only) -> Tower {
        match only {
            Only::Visual => Tower::Image,
            Only::Text => Tower::Text,
        }
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

impl Arguments {
    /// The model folders to create, one for each precision.
    fn folders(&self) -> Vec<PathBuf> {
        match self.numbers.precision.as_slice() {
            [_] => vec![self.output.clone()],
            several => several.iter().map(|precision| self.output.join(precision.name())).collect(),
        }
    }

    /// The options, but for what depends on the checkpoint and the precision.
    fn options(&self) -> anyhow::Result<Options> {
        Ok(Options {
            replace: self.force,
            only: self.only.map(Tower::from),
            form: Form { opset: self.opset, batch: self.batch, bytes: self.uint8_input, ..Form::default() },
            external_data: self.external_data,
            combined: self.combined,
            plans: self.trt.plans(),
            classifier: self.classifier.values(self.uint8_input),
            camera: self.camera.camera(),
            labels: self.labels()?,
            // In a process of its own, so that this one never holds a whole model.
            runner: std::env::current_exe().map_or(Runner::Here, Runner::Apart),
            ..Options::default()
        })
    }

    fn labels(&self) -> anyhow::Result<Option<Labels>> {
        let Some(file) = &self.labels else { return Ok(None) };
        input::check_once([file].into_iter().chain(&self.templates_file).map(PathBuf::as_path))?;
        let mut templates = self.templates.clone();
        if let Some(file) = &self.templates_file {
            templates.extend(Template::parse_list(&input::read_text(file)?, file)?);
        }
        Ok(Some(Labels { labels: parse_labels(&input::read_text(file)?, file)?, templates }))
    }
}

/// Exports, and prints the folder.
pub fn run(mut arguments: Arguments) -> anyhow::Result<()> {
    arguments.trt.check(arguments.batch)?;
    arguments.camera.check()?;
    if !arguments.trt.trt.is_empty() {
        arguments.numbers.for_tensorrt(&arguments.trt.trt);
    }
    let arguments = &arguments;
    let Arguments { source, to, output, name, numbers, json, .. } = arguments;
    let mut screen = Screen::new();
    if let Some(to) = to {
        return convert(&source.open(&mut screen)?.checkpoint, output, *to, *json);
    }
    // What can be refused is refused before anything is fetched.
    numbers.check()?;
    let mut options = arguments.options()?;
    let folders = arguments.folders();
    arguments.layout.check(numbers.precision.len())?;
    let check = |folder: &PathBuf| arguments.layout.check_destination(folder, options.replace);
    folders.iter().try_for_each(check).map_err(with_remedy)?;
    let source = source.open(&mut screen)?;
    options.model = match name {
        Some(name) => name.clone(),
        None => model_name(&source.name).map_err(|reason| {
            anyhow::anyhow!("{:?} cannot name the model: {reason}; give it one with --name", source.name)
        })?,
    };
    arguments.triton.check(&folders, &options)?;
    options.samples = numbers.samples(&source.checkpoint.preprocess, options.only)?;
    let wanted: Vec<Options> = numbers.each(&options);
    let mut show = |step| screen.show(step);
    let refused = |error| {
        let error = with_remedy(error);
        if error.is::<Usage>() {
            error
        } else {
            error.context(format!("cannot export {}", source.path.display()))
        }
    };
    if let (Some(program), [options]) = (arguments.layout.program(), wanted.as_slice()) {
        let record = lay_out(&source.checkpoint, output, program, options, &mut show).map_err(refused)?;
        screen.finish();
        return layout::print(output, &record, *json);
    }
    let manifests = match wanted.as_slice() {
        [one] => export(&source.checkpoint, output, one, &mut show).map(|manifest| vec![manifest]),
        several => export_each(&source.checkpoint, output, several, &mut show),
    };
    let manifests = manifests.map_err(refused)?;
    screen.finish();
    let mut models = Vec::new();
    for folder in &folders {
        models.extend(arguments.triton.add(folder, options.replace)?);
    }
    print(&folders.into_iter().zip(manifests).collect::<Vec<_>>(), &models, &arguments.trt, *json)
}

/// Prints the folders, and the models that were added to a repository; or the command lines that were asked for.
fn print(
    made: &[(PathBuf, Manifest)],
    models: &[PathBuf],
    trt: &TrtArguments,
    json: bool,
) -> anyhow::Result<()> {
    let value = |(folder, manifest): &(PathBuf, Manifest)| {
        let mut value = serde_json::json!({ "folder": folder, "manifest": manifest });
        if !models.is_empty() {
            value["models"] = serde_json::json!(models);
        }
        let lines = trt.command_lines(folder, manifest);
        if !lines.is_empty() {
            value["trtexec"] = lines.into();
        }
        value
    };
    let values: Vec<_> = made.iter().map(value).collect();
    let paths = made.iter().map(|(folder, _)| folder).chain(models);
    let folders = paths.map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n");
    let lines: Vec<String> =
        made.iter().flat_map(|(folder, manifest)| trt.command_lines(folder, manifest)).collect();
    let text = match values.as_slice() {
        _ if !json && !lines.is_empty() => lines.join("\n"),
        _ if !json => folders.clone(),
        [one] => serde_json::to_string_pretty(one)?,
        several => serde_json::to_string_pretty(several)?,
    };
    clip_program::print(&text, &format!("{} is complete", folders.replace('\n', " and ")))
}
