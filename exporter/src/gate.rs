//! The gate: an exported model is compared with the checkpoint in single precision before its folder gets a name.

use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_model::manifest::Precision;
use clip_model::{Manifest, temporary};
use serde::Serialize;

use crate::error::Result;
use crate::evaluation::{self, Inputs, Outcome};
use crate::export::draft;
use crate::int8::Sensitive;
use crate::options::Options;
use crate::overflow;
use crate::samples::Samples;

/// What an exported model has to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Thresholds {
    /// Lowest cosine that any image or text may have to its embedding in single precision.
    pub min_cosine: f32,
    /// Lowest mean of these cosines.
    pub mean_cosine: f32,
    /// Lowest share of the images whose nearest label must stay the same.
    pub top1: f32,
}

impl Thresholds {
    /// What is asked for when the user says nothing.
    pub fn of(precision: Precision) -> Thresholds {
        match precision {
            Precision::Fp32 => Thresholds { min_cosine: 0.9999, mean_cosine: 0.9999, top1: 0.99 },
            Precision::Fp16 => Thresholds { min_cosine: 0.999, mean_cosine: 0.9995, top1: 0.95 },
            Precision::Int8 => Thresholds { min_cosine: 0.95, mean_cosine: 0.99, top1: 0.9 },
        }
    }
}

/// How close embeddings are to those in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Closeness {
    /// Images or texts compared.
    pub count: usize,
    /// Lowest cosine.
    pub min_cosine: f32,
    /// Mean cosine.
    pub mean_cosine: f32,
    /// Largest difference of two numbers.
    pub max_difference: f32,
}

/// How alike the order of labels is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ranking {
    /// Labels that images were compared with.
    pub labels: usize,
    /// Share of the images whose nearest label is the same.
    pub top1: f32,
    /// Mean over the images of Spearman's rank correlation between the similarities to all labels.
    pub rank_correlation: f32,
}

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
    pub failures: Vec<String>,
}

/// Labels that images are compared with besides the sample texts.
const LABELS: [&str; 24] = [
    "cat", "dog", "bird", "fish", "horse", "tree", "flower", "house", "car", "bicycle", "airplane", "boat",
    "person", "hand", "book", "chair", "cup", "apple", "pizza", "clock", "phone", "ball", "mountain", "sun",
];

/// Runs that a time is the median of.
const RUNS: usize = 9;

/// Images with which a comparison says something about others, too.
const ENOUGH: usize = 8;

/// Compares the model folder `folder` with what `checkpoint` gives in single precision, on `samples`. For as long as that
/// takes, the model in single precision lies in a new folder inside `parent`.
///
/// The two run one after the other, in a process of `program` each when there is one, see [`crate::apart`]. So no process
/// holds both of them: the one that runs single precision takes what ONNX Runtime takes for the whole model.
///
/// # Errors
/// [`Error::Overflow`](crate::Error::Overflow) for a model in half precision that computes numbers beyond it;
/// [`Error::Trial`](crate::Error::Trial) and [`Error::TrialApart`](crate::Error::TrialApart) when either does not run;
/// those of [`export`](crate::export()) in single precision.
pub fn against(
    checkpoint: &Checkpoint,
    folder: &Path,
    samples: &Samples,
    thresholds: Thresholds,
    parent: &Path,
    program: Option<&Path>,
) -> Result<Report> {
    let manifest = Manifest::read(folder)?;
    let encoder = manifest.image.as_ref().or(manifest.text.as_ref());
    let precision = encoder.map_or(Precision::Fp32, |encoder| encoder.precision);
    if precision == Precision::Fp16 {
        overflow::check(checkpoint, &manifest, samples, parent, program)?;
    }
    let io = |e| clip_model::Error::io("create a folder in", parent, e);
    let temporary = temporary::Folder::create_in(parent).map_err(io)?;
    let single = temporary.path().join("fp32");
    draft(checkpoint, &single, &Options::default(), |graph| graph)?;
    let labels = LABELS.into_iter().map(str::to_owned).chain(samples.texts.iter().cloned()).collect();
    let inputs = Inputs { images: samples.images.clone(), texts: labels, timed: RUNS, ..Inputs::default() };
    let exact = evaluation::run(&single, &inputs, program)?;
    let found = evaluation::run(folder, &inputs, program)?;
    Ok(compare(&found, &exact, precision, thresholds))
}

/// Compares what a model in `precision` gave with what the same in single precision did. What `found` has no encoder for is
/// left out.
fn compare(found: &Outcome, exact: &Outcome, precision: Precision, thresholds: Thresholds) -> Report {
    let closeness = |found: &Option<Rows>, exact: &Option<Rows>| {
        found.as_ref().zip(exact.as_ref()).map(|(found, exact)| Closeness::of(found, exact))
    };
    // Images alone are ranked by the labels in single precision.
    let labels = found.texts.as_ref().or(exact.texts.as_ref()).zip(exact.texts.as_ref());
    let images = found.images.as_ref().zip(exact.images.as_ref());
    let mut report = Report {
        precision,
        thresholds,
        images: closeness(&found.images, &exact.images),
        texts: closeness(&found.texts, &exact.texts),
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

impl Report {
    /// What was found, in a few lines.
    pub fn summary(&self) -> String {
        let mut lines = Vec::new();
        for (name, closeness) in [("images", &self.images), ("texts", &self.texts)] {
            if let Some(c) = closeness {
                lines.push(format!(
                    "{:3} {name:7} cosine to fp32 {:.6} (lowest {:.6}), largest difference {:.1e}",
                    c.count, c.mean_cosine, c.min_cosine, c.max_difference
                ));
            }
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

    fn missed(&self) -> Vec<String> {
        let Thresholds { min_cosine, mean_cosine, top1 } = self.thresholds;
        let mut missed = Vec::new();
        // What is not a number reaches nothing.
        let mut ask = |what: String, found: f32, least: f32| {
            if found.is_nan() || found < least {
                missed.push(format!("{what} is {found}, at least {least} was asked for"));
            }
        };
        for (name, closeness) in [("images", &self.images), ("texts", &self.texts)] {
            if let Some(found) = closeness {
                ask(format!("the lowest cosine of {} {name}", found.count), found.min_cosine, min_cosine);
                ask(format!("the mean cosine of {} {name}", found.count), found.mean_cosine, mean_cosine);
            }
        }
        if let Some(ranking) = &self.ranking {
            let what = format!("the share of images that keep their nearest of {} labels", ranking.labels);
            ask(what, ranking.top1, top1);
        }
        missed
    }

    /// Said in plain words when there was too little to judge by: with a handful of pictures, each is a large share.
    pub fn scarce(&self) -> Option<String> {
        let images = self.images.as_ref().filter(|images| images.count < ENOUGH)?;
        Some(format!(
            "only {} of the pictures were left to compare by: give more with --calibration-images",
            images.count
        ))
    }

    /// Said in plain words when integers win no time here.
    pub fn slower(&self) -> Option<String> {
        let speed = self.speed.filter(|s| self.precision != Precision::Fp32 && s.exported_ms >= s.fp32_ms)?;
        Some(format!(
            "on this machine the exported image encoder is not faster than fp32: {:.1} ms an image, fp32 takes {:.1} ms",
            speed.exported_ms, speed.fp32_ms
        ))
    }
}

/// Embeddings, one after the other.
type Rows = Vec<Vec<f32>>;

impl Closeness {
    fn of(found: &Rows, exact: &Rows) -> Closeness {
        let count = exact.len();
        let cosines: Vec<f32> = found.iter().zip(exact).map(|(a, b)| dot(a, b)).collect();
        let pairs = found.iter().flatten().zip(exact.iter().flatten());
        Closeness {
            count,
            min_cosine: cosines.iter().copied().fold(1.0, f32::min),
            mean_cosine: cosines.iter().sum::<f32>() / count.max(1) as f32,
            max_difference: pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max),
        }
    }
}

impl Ranking {
    /// Of images and labels as exported and in single precision.
    fn of(found: (&Rows, &Rows), exact: (&Rows, &Rows)) -> Ranking {
        let similarities = |(images, labels): (&Rows, &Rows), i: usize| -> Vec<f32> {
            labels.iter().map(|label| dot(&images[i], label)).collect()
        };
        let (images, labels) = (exact.0.len(), exact.1.len());
        let (mut same, mut correlation) = (0, 0.0);
        for i in 0..images {
            let [a, b] = [found, exact].map(|side| ranks(&similarities(side, i)));
            same += usize::from(first(&a) == first(&b));
            // Without ties, which similarities hardly have.
            let squares: f64 = a.iter().zip(&b).map(|(a, b)| (*a as f64 - *b as f64).powi(2)).sum();
            let n = labels as f64;
            correlation += 1.0 - 6.0 * squares / (n * (n * n - 1.0)).max(1.0);
        }
        let images = images.max(1) as f64;
        Ranking {
            labels,
            top1: (same as f64 / images) as f32,
            rank_correlation: (correlation / images) as f32,
        }
    }
}

/// The rank of each number, 0 for the highest.
fn ranks(numbers: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[b].total_cmp(&numbers[a]));
    let mut ranks = vec![0; numbers.len()];
    order.into_iter().enumerate().for_each(|(rank, i)| ranks[i] = rank);
    ranks
}

fn first(ranks: &[usize]) -> Option<usize> {
    ranks.iter().position(|&rank| rank == 0)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_their_correlation() {
        assert_eq!(ranks(&[0.1, 0.9, 0.5]), [2, 0, 1]);
        assert_eq!(first(&ranks(&[0.1, 0.9, 0.5])), Some(1));
    }

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
        assert!(missed[0].contains("lowest cosine of 7 images is 0.9,"), "{missed:?}");
        assert!(report.slower().unwrap().contains("3.0 ms"));
        report.speed = Some(Speed { fp32_ms: 3.0, exported_ms: 2.0 });
        assert_eq!(report.slower(), None);
    }
}
