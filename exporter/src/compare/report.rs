//! What the gate found.

use clip_model::manifest::Precision;
use serde::Serialize;

use super::closeness::Closeness;
use super::ranking::Ranking;
use super::thresholds::Thresholds;
use crate::error::Missed;
use crate::int8::Sensitive;
use crate::run::Outcome;

/// Medians of the time for one image, milliseconds, on the machine that exported.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Speed {
    /// In single precision.
    pub fp32_ms: f64,
    /// As exported.
    pub exported_ms: f64,
}

/// What the gate found; `report.json` in the model folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What was compared with single precision.
    pub precision: Precision,
    /// What was asked for.
    pub thresholds: Thresholds,
    /// The image encoder, when there is one.
    pub images: Option<Closeness>,
    /// The text encoder, when there is one.
    pub texts: Option<Closeness>,
    /// Images against texts.
    pub ranking: Option<Ranking>,
    /// Speed of the image encoder.
    pub speed: Option<Speed>,
    /// Products left in float so that the thresholds hold.
    pub left_in_float: Vec<Sensitive>,
    /// What was not reached, in words; empty when all was.
    pub failures: Vec<Missed>,
}

/// Images with which a comparison says something about others, too.
const ENOUGH: usize = 8;

impl Report {
    /// Compares what a model in `precision` gave with what the same in single precision did. What `found` has no encoder for
    /// is left out.
    pub fn new(found: &Outcome, exact: &Outcome, precision: Precision, thresholds: Thresholds) -> Report {
        let images = found.images.as_deref().zip(exact.images.as_deref());
        let texts = found.texts.as_deref().zip(exact.texts.as_deref());
        // Images alone are ranked by the labels in single precision.
        let labels = texts.or(exact.texts.as_deref().map(|labels| (labels, labels)));
        let mut report = Report {
            precision,
            thresholds,
            images: images.map(|(found, exact)| Closeness::of(found, exact)),
            texts: texts.map(|(found, exact)| Closeness::of(found, exact)),
            ranking: images
                .zip(labels)
                .map(|((found, exact), (own, labels))| Ranking::of((found, own), (exact, labels))),
            speed: images.map(|_| Speed { fp32_ms: exact.image_ms, exported_ms: found.image_ms }),
            left_in_float: Vec::new(),
            failures: Vec::new(),
        };
        report.failures = report.missed();
        report
    }

    /// What was found, in a few lines; `reference` is what was compared with.
    pub fn summary(&self, reference: &str) -> String {
        let mut lines = Vec::new();
        for (name, c) in self.closeness() {
            lines.push(format!(
                "{:3} {name:7} cosine to {reference} {:.6} (lowest {:.6}), largest difference {:.1e}",
                c.count, c.mean_cosine, c.min_cosine, c.max_difference
            ));
        }
        if let Some(Ranking { labels, top1, rank_correlation }) = self.ranking {
            let share = 100.0 * top1;
            lines.push(format!(
                "{share:.1} % keep their nearest of {labels} labels, rank correlation {rank_correlation:.4}"
            ));
        }
        if let Some(Speed { fp32_ms, exported_ms }) = self.speed {
            lines.push(format!("{exported_ms:.2} ms an image, fp32 {fp32_ms:.2} ms"));
        }
        lines.extend(self.failures.iter().map(|missed| format!("MISSED: {missed}")));
        lines.join("\n")
    }

    fn missed(&self) -> Vec<Missed> {
        let Thresholds { min_cosine, mean_cosine, top1 } = self.thresholds;
        let mut missed = Vec::new();
        // What is not a number reaches nothing.
        let mut ask = |what: String, found: f32, least: f32| {
            if found.is_nan() || found < least {
                missed.push(Missed { what, found, least });
            }
        };
        for (name, found) in self.closeness() {
            ask(format!("the lowest cosine of {} {name}", found.count), found.min_cosine, min_cosine);
            ask(format!("the mean cosine of {} {name}", found.count), found.mean_cosine, mean_cosine);
        }
        if let Some(ranking) = &self.ranking {
            let what = format!("the share of images that keep their nearest of {} labels", ranking.labels);
            ask(what, ranking.top1, top1);
        }
        missed
    }

    fn closeness(&self) -> impl Iterator<Item = (&'static str, &Closeness)> {
        [("images", &self.images), ("texts", &self.texts)]
            .into_iter()
            .filter_map(|(name, found)| found.as_ref().map(|found| (name, found)))
    }

    /// The number of pictures when there were too few to judge by: with a handful, each is a large share.
    pub fn few_pictures(&self) -> Option<usize> {
        self.images.map(|images| images.count).filter(|&count| count < ENOUGH)
    }

    /// The speed when a narrower format wins no time here.
    pub fn not_faster(&self) -> Option<Speed> {
        self.speed.filter(|s| self.precision != Precision::Fp32 && s.exported_ms >= s.fp32_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_is_said_with_its_numbers() {
        let close = Closeness { count: 7, min_cosine: 0.9, mean_cosine: 0.999, max_difference: 0.1 };
        let mut report = Report {
            precision: Precision::Int8,
            thresholds: Thresholds::of(Precision::Int8),
            images: Some(close),
            texts: Some(Closeness { min_cosine: f32::NAN, mean_cosine: f32::NAN, ..close }),
            ranking: Some(Ranking { labels: 10, top1: 1.0, rank_correlation: 1.0 }),
            speed: Some(Speed { fp32_ms: 2.0, exported_ms: 3.0 }),
            left_in_float: vec![],
            failures: vec![],
        };
        let missed = report.missed();
        assert_eq!(missed.len(), 3, "{missed:?}");
        let said = missed[0].to_string();
        assert!(said.contains("lowest cosine of 7 images is 0.9, at least 0.95"), "{said}");
        assert_eq!(report.not_faster(), report.speed);
        report.speed = Some(Speed { fp32_ms: 3.0, exported_ms: 2.0 });
        assert_eq!(report.not_faster(), None);
        assert_eq!(report.few_pictures(), Some(7));
    }
}
