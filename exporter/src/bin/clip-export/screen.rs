//! What the user sees of a download and an export, on standard error: a bar on a terminal, a line per step elsewhere.

use std::io::IsTerminal;

use clip_exporter::{Step, hub};
use clip_program::note;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where there is no bar, a download of at least this many bytes is reported at each tenth.
const LARGE: u64 = 100_000_000;

/// Shows the steps of a download and an export.
pub struct Screen {
    /// None where standard error is no terminal.
    bar: Option<ProgressBar>,
    /// The file being downloaded or calibrated, and how many tenths of it are reported.
    file: String,
    tenths: u64,
}

impl Screen {
    /// Nothing is shown yet.
    pub fn new() -> Screen {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            style(&bar, "{msg:14} {wide_bar} {bytes}/{total_bytes}");
            bar
        });
        Screen { bar, file: String::new(), tenths: 0 }
    }

    /// Shows one step of a download.
    pub fn fetching(&mut self, progress: hub::Progress) {
        match progress {
            hub::Progress::Download { file, done, size } => self.downloading(file, done, size),
            hub::Progress::Retry { file, reason } => self.note(&format!("{file}: {reason}; trying again")),
            hub::Progress::Wait { file } => {
                self.note(&format!("{file}: waiting for another program that downloads it"));
            }
        }
    }

    fn downloading(&mut self, file: &str, done: u64, size: u64) {
        let tenths = if size < LARGE { 0 } else { 10 * done / size };
        let is_new = self.begins(file);
        match &self.bar {
            Some(bar) => {
                if is_new {
                    style(bar, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
                    bar.reset();
                    bar.set_length(size);
                    bar.set_message(self.file.clone());
                }
                bar.set_position(done);
            }
            None if is_new => {
                let before = if done > 0 { format!(", {} are here", size_text(done)) } else { String::new() };
                note(&format!("downloading {file}: {}{before}", size_text(size)));
            }
            None if tenths > self.tenths => note(&format!("downloading {file}: {tenths}0 %")),
            None => {}
        }
        self.tenths = tenths;
    }

    /// Whether nothing was shown of this file so far.
    fn begins(&mut self, file: &str) -> bool {
        let is_new = self.file != file;
        if is_new {
            file.clone_into(&mut self.file);
        }
        is_new
    }

    /// Shows one step of an export.
    pub fn show(&mut self, step: Step) {
        match step {
            Step::Write { file, done, size } => self.writing(file, done, size),
            Step::Calibrate { file, done } => self.calibrating(file, done),
            Step::Labels => self.stage("labels", "encoding the labels"),
            Step::Verify => self.stage("verification", "comparing with single precision"),
            Step::Trial => self.stage("trial run", "trial run"),
            Step::FewPictures { count } => self.note(&format!(
                "only {count} of the pictures were left to compare by: give more with --calibration-images"
            )),
            Step::NotFaster { exported_ms, fp32_ms } => self.note(&format!(
                "on this machine the exported image encoder is not faster than fp32: {exported_ms:.1} ms an image, fp32 takes {fp32_ms:.1} ms"
            )),
        }
    }

    fn writing(&mut self, file: &'static str, done: u64, size: u64) {
        match &self.bar {
            Some(bar) => {
                if done == 0 {
                    style(bar, "{msg:14} {wide_bar} {bytes}/{total_bytes}");
                    bar.reset();
                    bar.set_length(size);
                    bar.set_message(file);
                }
                bar.set_position(done);
            }
            None if done == 0 => note(&format!("{file}: {}", size_text(size))),
            None => {}
        }
    }

    fn calibrating(&mut self, file: &str, done: f32) {
        let is_new = self.begins(file);
        match &self.bar {
            Some(bar) => {
                bar.set_length(1000);
                bar.set_position((1000.0 * done) as u64);
                bar.set_message(format!("calibrating {file}"));
            }
            None if is_new => note(&format!("calibrating {file}")),
            None => {}
        }
        if done >= 1.0 {
            self.file.clear();
        }
    }

    /// A step of unknown length: beside the bar, or as a line.
    fn stage(&self, short: &'static str, line: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(short),
            None => note(line),
        }
    }

    /// A line above the bar.
    fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(line)),
            None => note(line),
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

/// A size in units that people read.
pub fn size_text(bytes: u64) -> String {
    if bytes < 1_000_000 {
        format!("{:.1} kB", bytes as f64 / 1e3)
    } else {
        format!("{:.1} MB", bytes as f64 / 1e6)
    }
}
