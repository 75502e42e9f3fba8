//! `clip-run embed`: images or texts to a NumPy file of embeddings.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clip_runtime::Clip;

use crate::{Common, images, npy};

/// Write the embeddings of images or texts to a NumPy file
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Model folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    input: Input,
    /// File to write
    #[arg(short, long, value_name = "FILE.npy")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
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

Examples:
  clip-run embed emoji --images *.jpg -o images.npy
  clip-run embed emoji --texts \"a red car\" \"a blue car\" -o texts.npy
  clip-run embed emoji --texts-file captions.txt -o captions.npy
  python3 -c 'import numpy; print(numpy.load(\"images.npy\") @ numpy.load(\"texts.npy\").T)'";

pub fn run(arguments: &Arguments) -> Result<()> {
    let output = &arguments.output;
    // The entry itself: what a link names is not looked at, since the link would be replaced.
    if let Ok(there) = output.symlink_metadata() {
        ensure!(
            there.is_file(),
            "{} is not a plain file: name a file to be written or replaced",
            output.display()
        );
        ensure!(
            arguments.force,
            "{} exists: name another file, or replace it with --force",
            output.display()
        );
    }
    images::check_paths(&arguments.input.images)?;
    let texts = texts(&arguments.input)?;
    let clip = arguments.common.open(&arguments.folder)?;
    let embeddings = match texts {
        Some(texts) => clip.encode_texts(&texts)?.as_slice().to_vec(),
        None => images(&clip, &arguments.input.images)?,
    };
    npy::write(output, &embeddings, clip.embed_dim())?;
    let rows = embeddings.len() / clip.embed_dim();
    Ok(writeln!(io::stdout(), "{}: float32 [{rows}, {}]", output.display(), clip.embed_dim())?)
}

/// The texts, when texts are asked for.
fn texts(input: &Input) -> Result<Option<Vec<String>>> {
    if !input.texts.is_empty() {
        return Ok(Some(input.texts.clone()));
    }
    let Some(path) = &input.texts_file else { return Ok(None) };
    let content = if path.as_os_str() == "-" { read_stdin() } else { std::fs::read_to_string(path) };
    let content = content.with_context(|| format!("cannot read {}", path.display()))?;
    let content = content.trim_start_matches('\u{feff}');
    ensure!(!content.is_empty(), "{} has no text: write one a line", path.display());
    Ok(Some(content.lines().map(str::to_owned).collect()))
}

fn read_stdin() -> io::Result<String> {
    let mut content = String::new();
    io::stdin().read_to_string(&mut content)?;
    Ok(content)
}

fn images(clip: &Clip, paths: &[PathBuf]) -> Result<Vec<f32>> {
    let mut values = Vec::with_capacity(paths.len() * clip.embed_dim());
    let mut failed = 0;
    for paths in paths.chunks(images::AT_ONCE) {
        let read = images::read(clip, paths);
        failed += read.iter().filter(|image| image.is_err()).count();
        if failed == 0 {
            let images: Vec<_> = read.into_iter().flatten().collect();
            values.extend_from_slice(clip.encode_images(&images)?.as_slice());
        }
    }
    if failed > 0 {
        bail!("{failed} of {} images could not be read; nothing was written", paths.len());
    }
    Ok(values)
}
