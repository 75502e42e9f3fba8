//! What a run tells: a progress line on stderr, JSON lines in `DIR/log.jsonl`, TensorBoard events in `DIR/events/`.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clip_model::files;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::events::EventWriter;
use crate::validate::Evaluation;

/// The name of the JSON lines in the output folder.
pub const FILE: &str = "log.jsonl";

/// Where the TensorBoard events are in the output folder.
pub const EVENTS: &str = "events";

/// The figures of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepFigures {
    /// Steps done.
    pub step: u64,
    /// The contrastive loss of the step's batch.
    pub loss: f64,
    /// The learning rate of the step.
    pub lr: f64,
    /// The factor on cosine similarities after the step.
    pub logit_scale: f64,
    /// Global norm of the step's gradients, before clipping.
    pub gradient_norm: f64,
    /// Samples per second since the line before.
    pub samples_per_second: f64,
    /// Share of that time that was spent waiting for data, 0 to 1.
    pub data_wait: f64,
    /// Samples left out so far because they could not be used.
    pub skipped: u64,
}

/// Figures of a validation.
#[derive(Debug, Serialize)]
struct Validation<'a> {
    step: u64,
    validation: &'a Evaluation,
}

/// The three outlets.
pub struct Log {
    lines: std::fs::File,
    path: PathBuf,
    events: EventWriter,
    bar: ProgressBar,
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
        let events = EventWriter::create(&folder.join(EVENTS))?;
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::new(steps),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} eta {eta}") {
            bar.set_style(style);
        }
        bar.set_position(done);
        bar.reset_eta();
        Ok(Log { lines, path, events, bar, steps })
    }

    /// A step was done.
    pub fn tick(&self, step: u64) {
        self.bar.set_position(step);
    }

    /// Reports the figures of a step.
    pub fn step(&mut self, line: &StepFigures) -> Result<()> {
        let mut text = format!(
            "loss {:.4}, lr {:.2e}, logit scale {:.2}, {:.1} samples/s, {:.0} % waiting for data",
            line.loss,
            line.lr,
            line.logit_scale,
            line.samples_per_second,
            100.0 * line.data_wait
        );
        if line.skipped > 0 {
            text.push_str(&format!(", {} skipped", line.skipped));
        }
        match self.bar.is_hidden() {
            true => self.say(&format!("step {}/{}: {text}", line.step, self.steps)),
            false => self.bar.set_message(text),
        }
        self.write(line)?;
        for (tag, value) in [
            ("train/loss", line.loss),
            ("train/lr", line.lr),
            ("train/logit_scale", line.logit_scale),
            ("train/gradient_norm", line.gradient_norm),
            ("speed/samples_per_second", line.samples_per_second),
            ("speed/data_wait", line.data_wait),
            ("data/skipped", line.skipped as f64),
        ] {
            self.events.scalar(line.step, tag, value as f32)?;
        }
        self.events.flush()
    }

    /// Reports a validation.
    pub fn validation(&mut self, step: u64, validation: &Evaluation) -> Result<()> {
        for figures in validation.all() {
            self.say(&format!("step {step}, {figures}"));
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

/// Measures speed, and how much of the time goes into waiting for data.
#[derive(Debug)]
pub struct Stopwatch {
    since: Instant,
    waited: Duration,
    samples: usize,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Stopwatch { since: Instant::now(), waited: Duration::ZERO, samples: 0 }
    }
}

impl Stopwatch {
    /// Runs `wait`, whose time counts as waiting for data.
    pub fn waiting<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = wait();
        self.waited += start.elapsed();
        result
    }

    /// So many samples were done.
    pub fn count(&mut self, samples: usize) {
        self.samples += samples;
    }

    /// Samples per second and the share of waiting since the lap before.
    pub fn lap(&mut self) -> (f64, f64) {
        let seconds = self.since.elapsed().as_secs_f64().max(1e-9);
        let result = (self.samples as f64 / seconds, self.waited.as_secs_f64() / seconds);
        *self = Stopwatch::default();
        result
    }
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
