//! What the user sees of a download and an export, on standard error: a bar on a terminal, a line per step elsewhere.

use std::io::IsTerminal;

use clip_checkpoint::hub;
use clip_exporter::Step;
use clip_program::note;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where there is no bar, a download of at least this many bytes is reported at each tenth.
const LARGE: u64 = 100_000_000;

/// How the bar looks during a download.
const DOWNLOAD: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// How it looks while an engine is built.
const BUILD: &str = "{msg} {wide_bar} {pos}/{len}";

/// How it looks during an export.
const EXPORT: &str = "{msg:14} {wide_bar} {bytes}/{total_bytes}";

/// Shows the steps of a download and an export.
pub struct Screen {
    /// None where standard error is no terminal.
    bar: Option<ProgressBar>,
    /// The work that was last said to have begun, and how many tenths of it are reported.
    work: String,
    tenths: u64,
}

impl Screen {
    /// Nothing is shown yet.
    pub fn new() -> Screen {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            style(&bar, EXPORT);
            bar
        });
        Screen { bar, work: String::new(), tenths: 0 }
    }

    /// Shows one step of a download.
    pub fn fetching(&mut self, progress: hub::Progress) {
        match progress {
            hub::Progress::Download { file, done, size } => {
                let tenths = if size < LARGE { 0 } else { 10 * done / size };
                if self.advance(DOWNLOAD, file, done, size) {
                    let before =
                        if done > 0 { format!(", {} are here", size_text(done)) } else { String::new() };
                    note(&format!("downloading {file}: {}{before}", size_text(size)));
                } else if self.bar.is_none() && tenths > self.tenths {
                    note(&format!("downloading {file}: {tenths}0 %"));
                }
                self.tenths = tenths;
            }
            hub::Progress::Retry { file, reason } => self.note(&format!("{file}: {reason}; trying again")),
            hub::Progress::Wait { file } => {
                self.note(&format!("{file}: waiting for another program that downloads it"));
            }
        }
    }

    /// Shows one step of an export.
    pub fn show(&mut self, step: Step) {
        match step {
            Step::Write { file, done, size } => {
                if done == 0 {
                    self.work.clear();
                }
                if self.advance(EXPORT, file, done, size) {
                    note(&format!("{file}: {}", size_text(size)));
                }
            }
            Step::Calibrate { file, done } => {
                let work = format!("calibrating {file}");
                if self.advance(EXPORT, &work, (1000.0 * done) as u64, 1000) {
                    note(&work);
                }
                if done >= 1.0 {
                    self.work.clear();
                }
            }
            Step::Labels => self.stage("labels", "encoding the labels"),
            Step::Verify => self.stage("verification", "comparing with single precision"),
            Step::Frames => self.stage("frames", "comparing the camera's graph with the image encoder"),
            Step::FramesVerified { count, min_cosine } => self.note(&format!(
                "camera.onnx gives what visual.onnx does: of {count} frames, the lowest cosine is {min_cosine:.6}"
            )),
            Step::VerifyPlans => self.stage("verification", "comparing the engines with their graphs"),
            Step::Trial => self.stage("trial run", "trial run"),
            Step::Builder { described } => self.note(&format!("engines are built by {described}")),
            Step::Build { file, phase, done, steps } => {
                let work = format!("building {file}");
                // On a terminal, the name of what is being done moves; elsewhere a line says that it has begun.
                if phase.is_empty() && self.advance(BUILD, &work, 0, 1) {
                    note(&work);
                }
                if let Some(bar) = self.bar.as_ref().filter(|_| !phase.is_empty()) {
                    bar.set_message(format!("{file}: {phase}"));
                    if steps > 0 {
                        bar.set_length(steps as u64);
                        bar.set_position(done as u64);
                    }
                }
            }
            Step::Built { file, bytes, build } => {
                self.work.clear();
                let mut said = format!("{file}: {} in {:.1} s", size_text(bytes), build.milliseconds as f64 / 1e3);
                if build.peak_memory > 0 {
                    said += &format!(", {} of memory", size_text(build.peak_memory));
                }
                if let Some(bytes) = build.workspace {
                    said += &format!(", at most {} of the GPU's to compute in", size_text(bytes));
                }
                self.note(&said);
            }
            Step::LeftAsGraph { file, memory } => self.note(&format!(
                "{file} stays a graph, to be run by ONNX Runtime: the GPU has {:.1} GB (--trt-encoders both builds both)",
                memory as f64 / 1e9
            )),
            Step::Verified { image_ms } if image_ms > 0.0 => {
                self.note(&format!("the engines give what their graphs do, {image_ms:.2} ms an image"));
            }
            Step::Verified { .. } => self.note("the engines give what their graphs do"),
            Step::BesideHalf { int8_ms, fp16_ms } => {
                let verdict = if int8_ms < fp16_ms { "faster than" } else { "NOT faster than" };
                self.note(&format!(
                    "on this GPU int8 is {verdict} fp16: {int8_ms:.2} ms an image, fp16 takes {fp16_ms:.2} ms"
                ));
            }
            Step::Unverified => self.note(
                "no GPU that the engines are for is here, so they were not run: they are marked as unverified until clip-export verify is run on the device",
            ),
            Step::FewPictures { count } => self.note(&format!(
                "only {count} of the pictures were left to compare by: give more with --calibration-images"
            )),
            Step::NotFaster { exported_ms, fp32_ms } => self.note(&format!(
                "on this machine the exported image encoder is not faster than fp32: {exported_ms:.1} ms an image, fp32 takes {fp32_ms:.1} ms"
            )),
        }
    }

    /// Moves the bar; true where there is none and the work begins, so that a line is to say so.
    fn advance(&mut self, template: &str, work: &str, done: u64, size: u64) -> bool {
        let begins = self.work != work;
        if begins {
            work.clone_into(&mut self.work);
        }
        let Some(bar) = &self.bar else { return begins };
        if begins {
            style(bar, template);
            bar.reset();
            bar.set_length(size);
            bar.set_message(self.work.clone());
        }
        bar.set_position(done);
        false
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
