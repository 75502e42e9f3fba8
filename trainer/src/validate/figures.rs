//! What an evaluation found.

use std::fmt;

use clip_data::{Share, Skipped};
use serde::Serialize;

use crate::objective::ObjectiveName;

/// The figures of some shards.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// The texts that class names were put into.
    pub templates: Vec<String>,
    /// Each shard by itself.
    pub shards: Vec<Figures>,
    /// All shards as if they were one; None where there was none.
    pub total: Option<Figures>,
}

impl Evaluation {
    /// A figure of all shards together, by its name in [`Figures::numbers`].
    pub fn number(&self, name: &str) -> Option<f64> {
        self.total.as_ref()?.numbers().into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The figures of each shard and, of more than one, the total.
    pub fn all(&self) -> impl Iterator<Item = &Figures> {
        let several = self.shards.len() > 1;
        self.shards.iter().chain(self.total.iter().filter(move |_| several))
    }
}

/// The figures of one shard, or of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// The shard's file name, or `total`.
    pub shard: String,
    /// Pictures.
    pub samples: usize,
    /// Different captions of these pictures.
    pub captions: usize,
    /// Class names that were told apart; a guess is right once in so many.
    pub classes: usize,
    /// Share of pictures whose own class name is the most similar one.
    pub top1: Share,
    /// Share of pictures whose own class name is among the five most similar ones.
    pub top5: Share,
    /// Shares of pictures that find one of their own captions.
    pub image_to_text: Recall,
    /// Shares of captions that find one of their own pictures.
    pub text_to_image: Recall,
    /// The objective's loss of pictures with their first captions, the mean over the pairs.
    pub loss: f64,
    /// Whose loss it is.
    pub objective: ObjectiveName,
    /// Pairs in a batch of the loss.
    pub batch: usize,
    /// Samples that could not be used.
    pub skipped: u64,
    /// Why, how many for each reason, and the first of them.
    pub reasons: Skipped,
}

/// Shares of queries that find something of their own among the most similar ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Recall {
    /// As the most similar one.
    pub r1: Share,
    /// Among the five most similar ones.
    pub r5: Share,
    /// Among the ten most similar ones.
    pub r10: Share,
}

impl Recall {
    /// From the rank at which each query found it, 0 for the first.
    pub(super) fn of(ranks: &[usize]) -> Recall {
        let within = |count| Share::where_true(ranks.len(), |query| ranks[query] < count);
        Recall { r1: within(1), r5: within(5), r10: within(10) }
    }
}

impl fmt::Display for Recall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R@1 {}, R@5 {}, R@10 {}", self.r1, self.r5, self.r10)
    }
}

impl Figures {
    /// The figures as numbers by name, for curves. Shares are 0 to 1.
    pub fn numbers(&self) -> [(&'static str, f64); 9] {
        let Recall { r1, r5, r10 } = self.image_to_text;
        let back = self.text_to_image;
        [
            ("loss", self.loss),
            ("top1", self.top1.value),
            ("top5", self.top5.value),
            ("image_to_text_r1", r1.value),
            ("image_to_text_r5", r5.value),
            ("image_to_text_r10", r10.value),
            ("text_to_image_r1", back.r1.value),
            ("text_to_image_r5", back.r5.value),
            ("text_to_image_r10", back.r10.value),
        ]
    }
}

/// Several lines, the first with the shard's name, the others indented.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { shard, samples, captions, classes, top1, top5, loss, batch, .. } = self;
        writeln!(f, "{shard}: {samples} pictures, {captions} captions, {classes} classes")?;
        writeln!(f, "  top-1 {top1}, top-5 {top5}")?;
        writeln!(f, "  image to text {}", self.image_to_text)?;
        writeln!(f, "  text to image {}", self.text_to_image)?;
        write!(f, "  loss {loss:.4} in batches of {batch}")?;
        if self.objective == ObjectiveName::Contrastive {
            write!(f, " (chance {:.4})", (*batch as f64).ln())?;
        }
        if self.skipped > 0 {
            write!(f, "\n  {}", self.reasons)?;
        }
        Ok(())
    }
}
