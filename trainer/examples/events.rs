//! Writes two event files into a folder, as a run does that is resumed, for `tests/parity/events.py`:
//! `events DIR < VALUES`, where each line has a step, a tag and a value; a line with a step alone starts another file, whose first
//! step that is.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clip_trainer::events::EventWriter;

fn main() -> Result<()> {
    let dir = PathBuf::from(std::env::args_os().nth(1).context("usage: events DIR < VALUES")?);
    let mut writer = EventWriter::create(&dir, 0)?;
    for line in std::io::stdin().lines() {
        let line = line?;
        if let Ok(first) = line.parse() {
            writer.flush()?;
            writer = EventWriter::create(&dir, first)?;
            continue;
        }
        let mut parts = line.split(' ');
        let mut next = || parts.next().with_context(|| format!("`{line}` is not a step, a tag and a value"));
        let (step, tag, value) = (next()?, next()?, next()?);
        writer.scalar(step.parse()?, tag, value.parse()?)?;
    }
    writer.flush()?;
    Ok(())
}
