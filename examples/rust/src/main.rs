//! Classifies a picture with a model folder that `clip-export` wrote:
//!
//!     clip-example MODEL-FOLDER PICTURE [LABEL...]
//!
//! Without labels, those that are stored in the folder are compared.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result, bail};
use clip_runtime::{Clip, Template};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, picture, labels @ ..] = arguments.as_slice() else {
        bail!("usage: clip-example MODEL-FOLDER PICTURE [LABEL...]");
    };

    // Once: open the model and encode the labels. Both can be shared between threads.
    let clip = Clip::open(folder)?;
    let template: Template = "a photo of a {}.".parse()?;
    let labels = match clip.stored_labels() {
        Some(stored) if labels.is_empty() => stored.clone(),
        _ => clip.label_set(labels, &[template])?,
    };

    // For each picture: decode it, and compare it with the labels. A picture that is in memory already, as packed
    // 8-bit RGB, becomes an image by `clip_runtime::Image::new`.
    let image = clip.open_image(picture)?;
    let mut out = std::io::stdout().lock();
    for found in clip.classify(&image, &labels, 5)? {
        match writeln!(out, "{:5.1} %  {}", 100.0 * found.probability, found.label) {
            // Whoever read our output has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            written => written.context("cannot write to standard output")?,
        }
    }
    Ok(())
}
