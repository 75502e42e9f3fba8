//! What a run tells: a progress line on stderr, JSON lines in `DIR/log.jsonl`, TensorBoard events in `DIR/events/`.

mod bar;
mod figures;
mod stopwatch;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clip_model::files;
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::events::EventWriter;
use crate::settings::Change;
use crate::validate::Evaluation;
use bar::Bar;
pub use figures::StepFigures;
#[cfg(test)]
pub(crate) use figures::tests::figures;
pub use stopwatch::{Lap, Stopwatch};

/// The name of the JSON lines in the output folder.
pub const FILE: &str = "log.jsonl";

/// Where the TensorBoard events are in the output folder.
pub const EVENTS: &str = "events";

/// Figures of a validation.
#[derive(Debug, Serialize)]
struct Validation<'a> {
    step: u64,
    validation: &'a Evaluation,
}

/// A run is gone on with.
#[derive(Debug, Serialize)]
struct Resumed<'a> {
    step: u64,
    resumed: &'a [Change],
}

/// Something is wrong with the run.
#[derive(Debug, Serialize)]
struct Diagnosis<'a> {
    step: u64,
    diagnosis: &'a str,
}

/// The three outlets.
#[derive(Debug)]
pub struct Log {
    lines: std::fs::File,
    path: PathBuf,
    events: EventWriter,
    bar: Bar,
    steps: u64,
}

impl Log {
    /// Opens the outlets of a run of `steps` steps, of which `done` are done; what an earlier process logged past them
    /// is cut off, as those steps are done again.
    pub fn open(folder: &Path, done: u64, steps: u64) -> Result<Log> {
        let path = folder.join(FILE);
        if path.exists() {
            keep_until(&path, done)?;
        }
        let lines = OpenOptions::new().create(true).append(true).open(&path);
        let lines = lines.map_err(|e| Error::io("open", &path, e))?;
        let events = EventWriter::create(&folder.join(EVENTS), done + 1)?;
        Ok(Log { lines, path, events, bar: Bar::new(done, steps), steps })
    }

    /// The run goes on after `step` steps, with these things changed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn resumed(&mut self, step: u64, changes: &[Change]) -> Result<()> {
        self.write(&Resumed { step, resumed: changes })
    }

    /// Something is wrong with the run.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn diagnosis(&mut self, step: u64, text: &str) -> Result<()> {
        self.say(&format!("step {step}: warning: {text}"));
        self.write(&Diagnosis { step, diagnosis: text })
    }

    /// A step was done.
    pub fn tick(&self, step: u64) {
        self.bar.tick(step);
    }

    /// Reports the figures of a step.
    pub fn step(&mut self, line: &StepFigures) -> Result<()> {
        match self.bar.is_hidden() {
            true => self.say(&line.line(self.steps, self.bar.left(line.step))),
            false => self.bar.show(line),
        }
        self.write(line)?;
        for (tag, value) in [
            ("train/loss", line.loss),
            ("train/lr", line.lr),
            ("train/logit_scale", line.logit_scale),
            ("train/gradient_norm", line.gradient_norm),
            ("speed/samples_per_second", line.samples_per_second),
            ("speed/data_wait", line.data_wait),
            ("speed/save_seconds", line.save_seconds),
            ("speed/memory", line.memory as f64),
            ("data/samples", line.samples as f64),
            ("data/skipped", line.skipped as f64),
            ("data/bad_shards", line.bad_shards as f64),
            ("data/ready", line.data_ready as f64),
        ] {
            self.events.scalar(line.step, tag, value as f32)?;
        }
        self.events.flush()
    }

    /// Reports a validation. The last one is left to the program to tell, as its result.
    pub fn validation(&mut self, step: u64, validation: &Evaluation, last: bool) -> Result<()> {
        for figures in validation.all() {
            if !last {
                self.say(&format!("step {step}, {figures}"));
            }
            for (name, value) in figures.numbers() {
                self.events.scalar(step, &format!("{name}/{}", figures.shard), value as f32)?;
            }
        }
        self.write(&Validation { step, validation })?;
        self.events.flush()
    }

    /// A line for the user, above the progress bar. A run goes on when nobody listens any more.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{line}");
        });
    }

    fn write(&mut self, value: &impl Serialize) -> Result<()> {
        let io = |e: std::io::Error| Error::io("write", &self.path, e);
        let mut line = serde_json::to_vec(value).map_err(|e| io(e.into()))?;
        line.push(b'\n');
        self.lines.write_all(&line).map_err(io)
    }
}

/// Cuts off the lines of steps after `done`, and a last line that was only half written.
fn keep_until(path: &Path, done: u64) -> Result<()> {
    let text = files::read_text(path)?;
    let kept = text.lines().filter(|line| {
        let step = serde_json::from_str::<Value>(line).ok().and_then(|v| v["step"].as_u64());
        step.is_some_and(|step| step <= done)
    });
    let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
    Ok(files::write_atomically(path, |out| out.write_all(kept.as_bytes()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cut_back_to_the_last_save() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, "{\"step\":1}\n{\"step\":2,\"loss\":3.0}\n{\"step\":3}\n{\"st").unwrap();
        keep_until(&path, 2).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"step\":1}\n{\"step\":2,\"loss\":3.0}\n");
    }
}
