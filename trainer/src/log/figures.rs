//! What a line of the log says of a step.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

/// The figures of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepFigures {
    /// Steps done.
    pub step: u64,
    /// The loss of the step's batch.
    pub loss: f64,
    /// The learning rate of the step.
    pub lr: f64,
    /// The factor on cosine similarities after the step.
    pub logit_scale: f64,
    /// Global norm of the step's gradients, before clipping.
    pub gradient_norm: f64,
    /// Samples per second since the line before, without the time of saving.
    pub samples_per_second: f64,
    /// Share of that time that was spent waiting for data, 0 to 1.
    pub data_wait: f64,
    /// Seconds since the line before that training stood still for saving.
    pub save_seconds: f64,
    /// Memory that the process has, bytes; 0 where the system does not say.
    pub memory: u64,
    /// Samples drawn so far, those of earlier epochs again.
    pub samples: u64,
    /// The same in passes over the data set, where its size is known.
    pub epoch: Option<f64>,
    /// Samples left out so far because they could not be used.
    pub skipped: u64,
    /// Shards left out since the run was started or gone on with, each time that they were met.
    pub bad_shards: u64,
    /// Samples that were prepared when the step's batch was asked for; two batches at most. 0: training waits for data.
    pub data_ready: usize,
}

impl StepFigures {
    /// For a line of its own.
    pub fn line(&self, steps: u64, left: Option<Duration>) -> String {
        let mut text = format!(
            "step {}/{steps}: loss {:.4}, lr {:.2e}, logit scale {:.2}, gradient norm {}, {:.1} samples/s, {:.0} % waiting for \
             data, {} samples",
            self.step,
            self.loss,
            self.lr,
            self.logit_scale,
            short(self.gradient_norm),
            self.samples_per_second,
            100.0 * self.data_wait,
            self.samples,
        );
        let mut add = |part: String| text.push_str(&part);
        if let Some(epoch) = self.epoch {
            add(format!(", epoch {epoch:.2}"));
        }
        if self.memory > 0 {
            add(format!(", {}", gigabytes(self.memory)));
        }
        if self.save_seconds > 0.0 {
            add(format!(", {:.1} s saving", self.save_seconds));
        }
        if self.skipped > 0 {
            add(format!(", {} skipped", self.skipped));
        }
        if self.bad_shards > 0 {
            add(format!(", {} times a bad shard", self.bad_shards));
        }
        if let Some(left) = left {
            add(format!(", {} left", span(left)));
        }
        text
    }

    /// For the second line of a progress bar, at most 79 characters.
    pub fn under_bar(&self) -> String {
        let mut text = format!(
            "loss {} lr {:.1e} scale {:.1} grad {} {}/s wait {:.0}%",
            short(self.loss),
            self.lr,
            self.logit_scale,
            short(self.gradient_norm),
            short(self.samples_per_second),
            100.0 * self.data_wait,
        );
        if self.memory > 0 {
            let _ = write!(text, " {}", gigabytes(self.memory));
        }
        if self.skipped > 0 {
            let _ = write!(text, " {} skipped", self.skipped);
        }
        text
    }
}

/// Four digits that matter, at most nine characters.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(0.001..1e5).contains(&size) => format!("{value:.1e}"),
        size if size < 10.0 => format!("{value:.3}"),
        size if size < 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// A time in its two largest units.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn figures(step: u64, loss: f64) -> StepFigures {
        StepFigures {
            step,
            loss,
            lr: 5e-4,
            logit_scale: 14.3,
            gradient_norm: 1.0,
            samples_per_second: 98.1,
            data_wait: 0.02,
            save_seconds: 0.0,
            memory: 3_200_000_000,
            samples: step * 32,
            epoch: Some(1.25),
            skipped: 0,
            bad_shards: 0,
            data_ready: 64,
        }
    }

    #[test]
    fn a_terminal_of_80_columns_is_wide_enough() {
        let usual = figures(1200, 3.25).under_bar();
        assert_eq!(usual, "loss 3.250 lr 5.0e-4 scale 14.3 grad 1.000 98.1/s wait 2% 3.2 GB");
        let widest = StepFigures {
            loss: 12345.678,
            lr: 1.25e-10,
            logit_scale: 100.0,
            gradient_norm: 123_456_789.0,
            samples_per_second: 123_456.7,
            data_wait: 1.0,
            memory: 140_000_000_000,
            ..figures(1, 1.0)
        };
        assert!(widest.under_bar().len() < 80, "{}: {}", widest.under_bar().len(), widest.under_bar());
    }

    #[test]
    fn a_line_says_all_that_is_known() {
        let line = figures(1200, 3.25).line(5000, Some(Duration::from_secs(4000)));
        for part in [
            "step 1200/5000: loss 3.2500,",
            "38400 samples, epoch 1.25, 3.2 GB",
            "1 h 6 min left",
            "gradient norm 1.000",
        ] {
            assert!(line.contains(part), "{line}");
        }
        let unknown = StepFigures {
            epoch: None,
            memory: 0,
            save_seconds: 1.5,
            skipped: 3,
            bad_shards: 2,
            ..figures(1, 1.0)
        };
        assert!(
            unknown.line(2, None).ends_with("32 samples, 1.5 s saving, 3 skipped, 2 times a bad shard"),
            "{}",
            unknown.line(2, None)
        );
    }

    #[test]
    fn times_are_told_in_two_units() {
        for (seconds, text) in [(59, "59 s"), (61, "1 min 1 s"), (3660, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
