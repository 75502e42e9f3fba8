//! Writes the settings of today into the documentation: `reference docs/training.md`.

use anyhow::{Context, Result};
use clip_trainer::settings::reference;

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("usage: reference DOCUMENT.md")?;
    let document = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(std::fs::write(&path, reference::renew(&document)?)?)
}
