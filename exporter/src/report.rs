//! Progress on standard error: a bar on a terminal, a line per step elsewhere.

use clip_exporter::Progress;
use clip_program::note;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Shows the steps of an export.
pub struct Report {
    /// None where standard error is no terminal.
    bar: Option<ProgressBar>,
}

impl Report {
    /// A report that has shown nothing yet.
    pub fn new() -> Report {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            // The template is a constant; were it not understood, the plain bar would do.
            if let Ok(style) = ProgressStyle::with_template("{msg:14} {wide_bar} {bytes}/{total_bytes}") {
                bar.set_style(style);
            }
            bar
        });
        Report { bar }
    }

    /// Shows one step.
    pub fn show(&mut self, progress: Progress) {
        match (progress, &self.bar) {
            (Progress::Write { file, done: 0, size }, Some(bar)) => {
                bar.set_length(size);
                bar.set_position(0);
                bar.set_message(file);
            }
            (Progress::Write { done, .. }, Some(bar)) => bar.set_position(done),
            (Progress::Labels, Some(bar)) => bar.set_message("labels"),
            (Progress::Labels, None) => note("encoding the labels"),
            (Progress::Trial, Some(bar)) => bar.set_message("trial run"),
            (Progress::Write { file, done: 0, size }, None) => {
                note(&format!("{file}: {:.1} MB", size as f64 / 1e6));
            }
            (Progress::Write { .. }, None) => {}
            (Progress::Trial, None) => note("trial run"),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
