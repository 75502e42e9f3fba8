//! Answers requests for embeddings of one model folder, for tests/parity/towers.py.
//!
//!     embed DIR < requests > replies
//!
//! Each line of the requests is one batch, `{"images": [FILE...]}` or `{"texts": [TEXT...]}`, and each line of the
//! replies its embeddings, `[[number, ...], ...]`.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clip_runtime::Clip;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Request {
    Images(Vec<PathBuf>),
    Texts(Vec<String>),
}

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("usage: embed DIR < requests > replies")?;
    let clip = Clip::open(folder)?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let embeddings = match serde_json::from_str(&line?)? {
            Request::Images(paths) => {
                let images: Result<Vec<_>, _> = paths.iter().map(|path| clip.open_image(path)).collect();
                clip.encode_images(&images?)?
            }
            Request::Texts(texts) => clip.encode_texts(&texts)?,
        };
        let rows: Vec<&[f32]> = (0..embeddings.len()).map(|i| embeddings.row(i)).collect();
        serde_json::to_writer(&mut out, &rows)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}
