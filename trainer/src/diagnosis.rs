//! What is wrong with a run, in words, from the figures of its log.

use std::collections::VecDeque;

use crate::log::StepFigures;

/// Lines of the log that are looked at together.
const WINDOW: usize = 10;

/// How near to the loss of guessing a loss is no better, relative.
const NEAR: f64 = 0.005;

/// The largest logit scale, at which it is clamped (the paper's section 2.5), less what rounding takes.
const PINNED: f64 = 99.9;

/// A share of time spent waiting for data above which the device is starved.
const STARVED: f64 = 0.3;

/// Seconds below which a wait says nothing.
const LONG: f64 = 10.0;

/// Steps after the warm-up that may teach nothing.
const FEW: u64 = 100;

/// A thing that can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Collapse,
    Pinned,
    Sinking,
    Starved,
}

/// Looks at the lines of a log as they come, and says each thing once.
#[derive(Debug)]
pub struct Diagnosis {
    /// The loss of guessing, where the objective has one.
    chance: Option<f64>,
    /// Steps during which the learning rate rises, in which a loss may stay where it is.
    warmup: u64,
    first_scale: Option<f64>,
    lines: VecDeque<StepFigures>,
    told: Vec<(Trouble, String)>,
}

impl Diagnosis {
    /// Of a run with this loss of guessing, `ln(batch)` for the contrastive one, and so many steps of warm-up.
    pub fn new(chance: Option<f64>, warmup: u64) -> Diagnosis {
        Diagnosis { chance, warmup, first_scale: None, lines: VecDeque::new(), told: Vec::new() }
    }

    /// Takes a line of the log; what is found that was not told before.
    pub fn look(&mut self, line: &StepFigures) -> Vec<String> {
        let first_scale = *self.first_scale.get_or_insert(line.logit_scale);
        if self.lines.len() == WINDOW {
            self.lines.pop_front();
        }
        self.lines.push_back(line.clone());
        if self.lines.len() < WINDOW {
            return Vec::new();
        }
        let lines = self.lines.make_contiguous();
        let is_warm = lines[0].step > self.warmup;
        let found = [
            (Trouble::Collapse, self.chance.filter(|_| is_warm).and_then(|chance| collapse(lines, chance))),
            (Trouble::Pinned, pinned(lines)),
            (Trouble::Sinking, sinking(lines, first_scale)),
            (Trouble::Starved, starved(lines)),
        ];
        let mut new = Vec::new();
        for (trouble, text) in found {
            if let Some(text) = text
                && !self.told.iter().any(|(told, _)| *told == trouble)
            {
                new.push(text.clone());
                self.told.push((trouble, text));
            }
        }
        new
    }

    /// What is to be said at the end of the run: what holds still of what was told, and whether anything was learned at all.
    pub fn at_end(&self) -> Vec<String> {
        let Some(last) = self.lines.back() else { return Vec::new() };
        let mut all = Vec::new();
        if let Some(chance) = self.chance
            && last.step >= self.warmup + FEW
            && self.lines.iter().map(|line| line.loss).sum::<f64>()
                > (1.0 - NEAR) * chance * self.lines.len() as f64
            && last.loss > (1.0 - NEAR) * chance
        {
            all.push(format!(
                "the run ended with a loss of {:.3}, no better than guessing ({chance:.3}): the network tells nothing apart. {}",
                last.loss, REMEDIES
            ));
        }
        all.extend(
            self.told
                .iter()
                .filter(|(trouble, _)| *trouble != Trouble::Collapse)
                .map(|(_, text)| text.clone()),
        );
        all
    }
}

/// What helps a network that tells nothing apart.
const REMEDIES: &str = "Try a lower lr, a longer warmup or clip = 1.0 in [optim], and see that captions belong to their pictures and differ";

/// The loss stays at that of guessing: all embeddings are alike.
fn collapse(lines: &[StepFigures], chance: f64) -> Option<String> {
    let is_chance = |line: &StepFigures| (line.loss - chance).abs() <= NEAR * chance;
    let (first, last) = (lines.first()?, lines.last()?);
    lines.iter().all(is_chance).then(|| {
        format!(
            "the loss has been {:.3} from step {} to {}, that of guessing ({chance:.3}): every picture looks like every text to the \
             network (collapse). {REMEDIES}",
            last.loss, first.step, last.step
        )
    })
}

/// The logit scale stays at its limit.
fn pinned(lines: &[StepFigures]) -> Option<String> {
    let (first, last) = (lines.first()?, lines.last()?);
    lines.iter().all(|line| line.logit_scale >= PINNED).then(|| {
        format!(
            "the logit scale has been at its limit of 100 from step {} to {}: on pairs that are learned by heart, or of which many \
             are the same, it rises without end. More data, more augmentation or a lower lr help",
            first.step, last.step
        )
    })
}

/// The logit scale falls, below half of where it started.
fn sinking(lines: &[StepFigures], start: f64) -> Option<String> {
    let (first, last) = (lines.first()?, lines.last()?);
    let falls = lines.windows(2).all(|pair| pair[1].logit_scale <= pair[0].logit_scale);
    (falls && last.logit_scale < 0.5 * start).then(|| {
        format!(
            "the logit scale sinks, from {start:.2} at first to {:.2} at step {} and {:.2} at step {}: the network grows less sure of \
             every pair. {REMEDIES}",
            first.logit_scale, first.step, last.logit_scale, last.step
        )
    })
}

/// The device waits for data.
fn starved(lines: &[StepFigures]) -> Option<String> {
    let (first, last) = (lines.first()?, lines.last()?);
    let mean = lines.iter().map(|line| line.data_wait).sum::<f64>() / lines.len() as f64;
    let samples = last.samples.saturating_sub(first.samples) as f64;
    let is_long = samples / last.samples_per_second.max(1e-9) >= LONG;
    (mean > STARVED && is_long).then(|| {
        format!(
            "{:.0} % of the time from step {} to {} was spent waiting for data, at {:.1} samples/s. More threads that decode, smaller \
             pictures in the shards, or data.cache_mb (for data that fits into memory) help",
            100.0 * mean,
            first.step,
            last.step,
            last.samples_per_second
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::figures;

    /// What is told about a run of 30 lines, 50 steps apart, and at its end.
    fn told(figures_of: impl Fn(u64) -> StepFigures) -> (Vec<String>, Vec<String>) {
        let mut diagnosis = Diagnosis::new(Some(32f64.ln()), 200);
        let told = (1..=30).flat_map(|n| diagnosis.look(&figures_of(n * 50))).collect();
        (told, diagnosis.at_end())
    }

    #[test]
    fn a_run_that_learns_has_nothing_to_be_told() {
        let (during, end) = told(|step| figures(step, 3.46 - 0.002 * step as f64));
        assert!(during.is_empty() && end.is_empty(), "{during:?} {end:?}");
        // A slow start is none while the learning rate rises.
        let (during, _) = told(|step| figures(step, if step <= 600 { 3.4657 } else { 3.0 }));
        assert!(during.is_empty(), "{during:?}");
    }

    #[test]
    fn a_collapse_is_told_once_and_at_the_end() {
        let (during, end) = told(|step| figures(step, 3.4657));
        let [one] = during.as_slice() else { panic!("{during:?}") };
        assert!(one.contains("3.466 from step 250 to 700") && one.contains("(3.466)"), "{one}");
        let [one] = end.as_slice() else { panic!("{end:?}") };
        assert!(one.contains("no better than guessing (3.466)"), "{one}");
        // Also where there were too few lines to be sure of it before.
        let mut short = Diagnosis::new(Some(32f64.ln()), 0);
        assert!(short.look(&figures(100, 3.4657)).is_empty());
        assert_eq!(short.at_end().len(), 1);
        // A few steps teach nothing.
        let mut few = Diagnosis::new(Some(32f64.ln()), 20);
        few.look(&figures(100, 3.4657));
        assert!(few.at_end().is_empty());
        // An objective without a loss of guessing.
        let mut other = Diagnosis::new(None, 0);
        other.look(&figures(100, 3.4657));
        assert!(other.at_end().is_empty());
    }

    #[test]
    fn a_logit_scale_at_its_limit_or_sinking() {
        let scale = |value: f64| move |step| StepFigures { logit_scale: value, ..figures(step, 1.0) };
        let (during, end) = told(scale(100.0));
        assert!(during.len() == 1 && during[0].contains("limit of 100 from step 50 to 500"), "{during:?}");
        assert_eq!(during, end);
        let (during, _) =
            told(|step| StepFigures { logit_scale: 14.3 - step as f64 * 0.008, ..figures(step, 1.0) });
        assert!(during.len() == 1 && during[0].contains("sinks, from 13.90 at first"), "{during:?}");
        assert!(told(scale(20.0)).0.is_empty());
    }

    #[test]
    fn waiting_for_data() {
        let (during, _) = told(|step| StepFigures { data_wait: 0.43, ..figures(step, 1.0) });
        assert!(
            during.len() == 1 && during[0].contains("43 % of the time from step 50 to 500"),
            "{during:?}"
        );
        let (during, _) = told(|step| StepFigures { data_wait: 0.2, ..figures(step, 1.0) });
        assert!(during.is_empty());
    }
}
