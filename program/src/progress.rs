//! How far a long computation is, on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::note;

/// Nothing is said about what takes less; lines are this far apart.
const EVERY: Duration = Duration::from_secs(5);

/// Counts towards a known number.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: usize,
    bar: Option<ProgressBar>,
    said: Instant,
}

impl Progress {
    /// Of `total` things called `what`, none is done.
    pub fn new(what: &'static str, total: usize) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total as u64);
            // The template is a constant; were it not understood, the plain bar would do.
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg} eta {eta}") {
                bar.set_style(style);
            }
            bar.set_message(what);
            bar
        });
        Progress { what, total, bar, said: Instant::now() }
    }

    /// So many are done by now.
    pub fn set(&mut self, done: usize) {
        match &self.bar {
            Some(bar) => bar.set_position(done as u64),
            None if self.said.elapsed() >= EVERY => {
                note(&format!("{done} of {} {}", self.total, self.what));
                self.said = Instant::now();
            }
            None => {}
        }
    }

    /// Says a line, above the bar if there is one.
    pub fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(line)),
            None => note(line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
