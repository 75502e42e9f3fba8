//! What a frame of a stream came to.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::labels::LabelSet;
use crate::scores::Score;

/// What a frame came to. Each frame that a stream takes has one, in the order in which they were taken.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What the frame was pushed with.
    pub tag: u64,
    /// The number of the frame in its stream, from 0.
    pub sequence: u64,
    /// Whether it was classified.
    pub state: State,
    /// The labels that it was compared with.
    pub labels: Option<Arc<LabelSet>>,
    /// From the push of the frame to its outcome.
    pub latency: Duration,
    pub(super) items: Vec<Item>,
    pub(super) scores: Vec<Score>,
    pub(super) embeddings: Vec<f32>,
}

/// Whether a frame was classified.
#[derive(Debug, Clone, Default)]
pub enum State {
    /// It was.
    #[default]
    Done,
    /// It had to go for a newer one, or its stream ended.
    Dropped,
    /// The engine failed.
    Failed(Arc<Error>),
}

/// What was found in a frame, or in one of its regions.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The region's track; none where the frame was pushed as a whole.
    pub track: Option<u64>,
    /// The label that it shows, as [`LabelSet::labels`] has it, by the rule and after as many frames as the stream holds; or none.
    pub label: Option<usize>,
    /// Whether that is another than in the track's outcome before.
    pub changed: bool,
    /// Whether the engine has seen this frame's region; otherwise the item repeats what was found before.
    pub fresh: bool,
    pub(super) scores: Range<usize>,
    pub(super) embedding: Range<usize>,
}

impl Outcome {
    /// What was found: one item of a frame that was pushed as a whole, else one for each region. None unless it is [`State::Done`].
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The best labels of an item of this outcome, smoothed, best first. None of a track that the engine has not seen, since its first
    /// frames were dropped.
    pub fn scores(&self, item: &Item) -> &[Score] {
        self.scores.get(item.scores.clone()).unwrap_or_default()
    }

    /// The embedding of an item of this outcome, smoothed, of length one; none where there are no scores.
    pub fn embedding(&self, item: &Item) -> &[f32] {
        self.embeddings.get(item.embedding.clone()).unwrap_or_default()
    }

    /// The name of an item's label.
    pub fn name(&self, item: &Item) -> Option<&str> {
        let labels = self.labels.as_ref()?.labels();
        item.label.and_then(|label| labels.get(label)).map(String::as_str)
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.state = State::Done;
        self.labels = None;
        self.items.clear();
        self.scores.clear();
        self.embeddings.clear();
    }
}
