//! `clip-run embed`: images or texts to a NumPy file of embeddings.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail, ensure};
use clip_program::{Kept, Progress, Usage, input, print};
use clip_runtime::{Clip, Embeddings, Image};
use serde_json::json;

use crate::model::ModelOptions;
use crate::{images, npy, output};

/// Write the embeddings of images or texts to a NumPy file
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Model folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    input: Input,
    /// File to write; "-" writes to standard output
    #[arg(short, long, value_name = "FILE.npy")]
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

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Input {
    /// Images; "-" reads one from standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    images: Vec<PathBuf>,
    /// Texts
    #[arg(long, value_name = "TEXT", num_args = 1..)]
    texts: Vec<String>,
    /// File with one text a line, blank lines included; "-" reads standard input
    #[arg(long, value_name = "FILE")]
    texts_file: Option<PathBuf>,
}

const HELP: &str = "\
The file holds float32 [N, D] (NPY version 1.0): one row for each image or text, in their order, of length one, so
that the product of two rows is their cosine similarity. It appears whole or not at all: when an image
cannot be read, every such image is reported and nothing is written.

With --json, one line: {\"file\":\"images.npy\",\"dtype\":\"float32\",\"shape\":[3,512],\"model\":\"emoji-tiny\"}

Examples:
  clip-run embed emoji --images *.jpg -o images.npy
  clip-run embed emoji --texts \"a red car\" \"a blue car\" -o texts.npy
  clip-run embed emoji --texts-file captions.txt -o captions.npy
  python3 -c 'import numpy; print(numpy.load(\"images.npy\") @ numpy.load(\"texts.npy\").T)'";

pub fn run(arguments: &Arguments) -> Result<()> {
    let output = &arguments.output;
    if input::is_stdio(output) && arguments.json {
        let reason = "--json prints to standard output, which takes the embeddings here: name a file with -o";
        return Err(Usage(reason.to_owned()).into());
    }
    output::check(output, arguments.force)?;
    input::check_once(arguments.input.images.iter().map(PathBuf::as_path))?;
    let texts = texts(&arguments.input)?;
    let clip = arguments.model.open_for_images(&arguments.folder, arguments.input.images.len())?;
    let embeddings = match texts {
        Some(texts) => encode(&clip, &texts)?,
        None => images(&clip, &arguments.input.images)?,
    };
    let columns = clip.embed_dim();
    if input::is_stdio(output) {
        let mut out = io::BufWriter::new(io::stdout().lock());
        return npy::write_to(&mut out, &embeddings, columns).and_then(|()| out.flush()).on_stdout();
    }
    npy::write(output, &embeddings, columns)?;
    let rows = embeddings.len() / columns;
    let line = match arguments.json {
        true => {
            let (file, model) = (output.to_string_lossy(), &clip.manifest().model);
            json!({ "file": file, "dtype": "float32", "shape": [rows, columns], "model": model }).to_string()
        }
        false => format!("{}: float32 [{rows}, {columns}]", output.display()),
    };
    print(&line, &format!("{} is written", output.display()))
}

/// The texts, when texts are asked for.
fn texts(input: &Input) -> Result<Option<Vec<String>>> {
    if !input.texts.is_empty() {
        return Ok(Some(input.texts.clone()));
    }
    let Some(path) = &input.texts_file else { return Ok(None) };
    let content = input::read_text(path)?;
    let content = content.trim_start_matches('\u{feff}');
    ensure!(!content.is_empty(), "{} has no text: write one a line", path.display());
    Ok(Some(content.lines().map(str::to_owned).collect()))
}

/// Texts that are encoded between two reports of progress; equally long ones among them run together.
const TEXTS_AT_ONCE: usize = 4096;

fn encode(clip: &Clip, texts: &[String]) -> Result<Vec<f32>> {
    let mut progress = Progress::new("texts encoded", texts.len());
    let mut values = Vec::with_capacity(texts.len() * clip.embed_dim());
    for texts in texts.chunks(TEXTS_AT_ONCE) {
        values.extend_from_slice(clip.encode_texts(texts)?.as_slice());
        progress.set(values.len() / clip.embed_dim());
    }
    Ok(values)
}

/// The embeddings of pictures, `[paths, embed_dim]`.
pub fn images(clip: &Clip, paths: &[PathBuf]) -> Result<Vec<f32>> {
    let mut values = Vec::with_capacity(paths.len() * clip.embed_dim());
    let (mut failed, mut done) = (0, 0);
    let progress = RefCell::new(Progress::new("images encoded", paths.len()));
    // Nothing is written when an image cannot be read; the others are still looked at, to report them all.
    let is_lost = AtomicBool::new(false);
    let encode = |read: &[Result<Image>]| {
        let images: Vec<&Image> = read.iter().flatten().collect();
        if images.len() < read.len() {
            is_lost.store(true, Ordering::Relaxed);
        }
        match is_lost.load(Ordering::Relaxed) {
            true => Ok(None),
            false => Ok(Some(clip.encode_images(&images)?)),
        }
    };
    images::each(clip, paths, &|line| progress.borrow().note(line), encode, |run| {
        failed += run.images.iter().filter(|image| image.is_err()).count();
        values.extend_from_slice(run.made.as_ref().map_or(&[], Embeddings::as_slice));
        done += run.paths.len();
        progress.borrow_mut().set(done);
        Ok(())
    })?;
    drop(progress);
    if failed > 0 {
        bail!("{failed} of {} images could not be read; nothing was written", paths.len());
    }
    Ok(values)
}
