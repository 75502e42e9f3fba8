//! Progress on standard error: a bar on a terminal, a line per step elsewhere.

use clip_checkpoint::hub;
use clip_exporter::Progress;
use clip_program::note;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Where there is no bar, a download of at least this many bytes is reported at each tenth.
const LARGE: u64 = 100_000_000;

/// Shows the steps of a download and an export.
pub struct Report {
    /// None where standard error is no terminal.
    bar: Option<ProgressBar>,
    /// The file being downloaded, and how many tenths of it are reported.
    file: String,
    tenths: u64,
    /// The file whose calibration was said to have begun.
    calibrating: Option<&'static str>,
}

impl Report {
    /// A report that has shown nothing yet.
    pub fn new() -> Report {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            style(&bar, "{msg:14} {wide_bar} {bytes}/{total_bytes}");
            bar
        });
        Report { bar, file: String::new(), tenths: 0, calibrating: None }
    }

    /// Shows one step of a download.
    pub fn fetching(&mut self, progress: hub::Progress) {
        match (progress, &self.bar) {
            (hub::Progress::Download { file, done, size }, Some(bar)) => {
                if self.file != file {
                    file.clone_into(&mut self.file);
                    style(bar, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
                    bar.reset();
                    bar.set_length(size);
                    bar.set_message(self.file.clone());
                }
                bar.set_position(done);
            }
            (hub::Progress::Download { file, done, size }, None) => {
                let tenths = if size < LARGE { 0 } else { 10 * done / size };
                if self.file != file {
                    file.clone_into(&mut self.file);
                    let before =
                        if done > 0 { format!(", {} are here", size_text(done)) } else { String::new() };
                    note(&format!("downloading {file}: {}{before}", size_text(size)));
                } else if tenths > self.tenths {
                    note(&format!("downloading {file}: {tenths}0 %"));
                }
                self.tenths = tenths;
            }
            (hub::Progress::Retry { file, reason }, bar) => {
                say(bar.as_ref(), &format!("{file}: {reason}; trying again"));
            }
            (hub::Progress::Wait { file }, bar) => {
                say(bar.as_ref(), &format!("{file}: waiting for another program that downloads it"));
            }
        }
    }

    /// Shows one step.
    pub fn show(&mut self, progress: Progress) {
        match (progress, &self.bar) {
            (Progress::Write { file, done: 0, size }, Some(bar)) => {
                style(bar, "{msg:14} {wide_bar} {bytes}/{total_bytes}");
                bar.reset();
                bar.set_length(size);
                bar.set_position(0);
                bar.set_message(file);
            }
            (Progress::Write { done, .. }, Some(bar)) => bar.set_position(done),
            (Progress::Calibrate { file, done }, Some(bar)) => {
                bar.set_length(1000);
                bar.set_position((1000.0 * done) as u64);
                bar.set_message(format!("calibrating {file}"));
            }
            (Progress::Calibrate { file, done }, None) => {
                if self.calibrating != Some(file) {
                    note(&format!("calibrating {file}"));
                }
                self.calibrating = (done < 1.0).then_some(file);
            }
            (Progress::Verify, Some(bar)) => bar.set_message("verification"),
            (Progress::Verify, None) => note("comparing with single precision"),
            (Progress::Note(text), Some(bar)) => bar.suspend(|| note(&text)),
            (Progress::Note(text), None) => note(&text),
            (Progress::Labels, Some(bar)) => bar.set_message("labels"),
            (Progress::Labels, None) => note("encoding the labels"),
            (Progress::Trial, Some(bar)) => bar.set_message("trial run"),
            (Progress::Write { file, done: 0, size }, None) => {
                note(&format!("{file}: {}", size_text(size)));
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

fn style(bar: &ProgressBar, template: &str) {
    // The templates are constants; were one not understood, the plain bar would do.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

/// A line above the bar.
fn say(bar: Option<&ProgressBar>, line: &str) {
    match bar {
        Some(bar) => bar.suspend(|| note(line)),
        None => note(line),
    }
}

/// A size in units that people read.
pub fn size_text(bytes: u64) -> String {
    if bytes < 1_000_000 {
        format!("{:.1} kB", bytes as f64 / 1e3)
    } else {
        format!("{:.1} MB", bytes as f64 / 1e6)
    }
}
