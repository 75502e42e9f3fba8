//! The progress of a run on a terminal: two lines, of 80 columns at most.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::figures::{StepFigures, span};

/// Shows how far a run is. Where standard error is no terminal, nothing.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    steps: u64,
    /// Steps that were done before.
    done: u64,
    since: Instant,
}

impl Bar {
    /// Of `steps` steps, `done` are done.
    pub fn new(done: u64, steps: u64) -> Bar {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::new(steps),
            false => ProgressBar::hidden(),
        };
        // The template is a constant; were it not understood, the plain bar would do.
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len} steps{prefix}\n{msg}") {
            bar.set_style(style);
        }
        bar.set_position(done);
        Bar { bar, steps, done, since: Instant::now() }
    }

    /// Whether anybody sees it.
    pub fn is_hidden(&self) -> bool {
        self.bar.is_hidden()
    }

    /// So many steps are done.
    pub fn tick(&self, step: u64) {
        self.bar.set_position(step);
    }

    /// Shows the figures of a step.
    pub fn show(&self, line: &StepFigures) {
        let epoch = line.epoch.map(|epoch| format!(", epoch {epoch:.2}")).unwrap_or_default();
        let left = self.left(line.step).map(|left| format!(", {} left", span(left))).unwrap_or_default();
        self.bar.set_prefix(format!("{epoch}{left}"));
        self.bar.set_message(line.under_bar());
    }

    /// The time that the rest will take, when it goes on as since the start of this process.
    pub fn left(&self, step: u64) -> Option<Duration> {
        let (done, left) = (step.checked_sub(self.done)?, self.steps.checked_sub(step)?);
        (done > 0).then(|| self.since.elapsed().mul_f64(left as f64 / done as f64))
    }

    /// Runs `say` with the bar out of its way.
    pub fn suspend(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_this_processs_steps() {
        let started = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let bar = Bar { since: started, ..Bar::new(100, 200) };
        let left = bar.left(120).unwrap().as_secs_f64();
        assert!((39.9..42.0).contains(&left), "{left}");
        assert_eq!(bar.left(100), None);
    }
}
