//! Warnings on stderr about single samples, a limited number of them.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clip_program::note;

/// Lines shown; what follows is only counted.
const SHOWN: usize = 10;

/// Shared by the threads of a loader.
#[derive(Debug, Clone, Default)]
pub(super) struct Warnings(Arc<AtomicUsize>);

impl Warnings {
    pub fn say(&self, shard: &Path, key: &str, reason: impl Display) {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        if number < SHOWN {
            note(&format!("warning: {}: skipped sample `{key}`: {reason}", shard.display()));
        } else if number == SHOWN {
            note("warning: more samples are skipped; they are counted, not listed");
        }
    }
}
