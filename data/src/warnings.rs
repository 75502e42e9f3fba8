//! Warnings about single samples and shards, a limited number of each, and the count of all samples.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::location::Location;
use crate::skipped::Skipped;

/// Takes a warning, one line without its end. A library says nothing on standard error by itself.
pub type Warn = fn(&str);

/// Warnings shown; what follows is only counted.
const SHOWN: usize = 10;

/// Shared by the threads of a loader.
#[derive(Debug, Clone)]
pub(crate) struct Warnings {
    warn: Warn,
    samples: Arc<AtomicUsize>,
    shards: Arc<AtomicUsize>,
    notes: Arc<AtomicUsize>,
    skipped: Arc<Mutex<Skipped>>,
}

impl Warnings {
    pub fn new(warn: Warn) -> Warnings {
        Warnings {
            warn,
            samples: Arc::default(),
            shards: Arc::default(),
            notes: Arc::default(),
            skipped: Arc::default(),
        }
    }

    /// The samples that were left out so far.
    pub fn skipped(&self) -> Skipped {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A sample is left out.
    pub fn say(&self, shard: &Location, key: &str, reason: impl Display) {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).add(&reason, key);
        self.some(&self.samples, "samples are skipped", || {
            format!("{shard}: skipped sample `{key}`: {reason}")
        });
    }

    /// The rest of a shard is left out.
    pub fn skipped_shard(&self, reason: impl Display) {
        self.some(&self.shards, "shards are skipped", || format!("skipped a shard: {reason}"));
    }

    /// Something about a file that leaves out no sample.
    pub fn note(&self, shard: &Location, key: &str, reason: &str) {
        self.some(&self.notes, "files are not used", || format!("{shard}: `{key}`: {reason}"));
    }

    /// A warning that is said once.
    pub fn once(&self, text: &str) {
        (self.warn)(&format!("warning: {text}"));
    }

    fn some(&self, count: &AtomicUsize, what: &str, text: impl FnOnce() -> String) {
        let number = count.fetch_add(1, Ordering::Relaxed);
        if number < SHOWN {
            (self.warn)(&format!("warning: {}", text()));
        } else if number == SHOWN {
            (self.warn)(&format!("warning: more {what}; they are counted, not listed"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

    #[test]
    fn the_first_few_are_said_then_that_there_are_more() {
        let shard = Location::File("a.tar".into());
        let warnings = Warnings::new(|line| SAID.lock().unwrap().push(line.to_owned()));
        (0..20).for_each(|n| warnings.clone().say(&shard, &n.to_string(), "it has no image"));
        let said = SAID.lock().unwrap();
        assert_eq!(said.len(), SHOWN + 1);
        assert_eq!(said[1], "warning: a.tar: skipped sample `1`: it has no image");
        assert!(said[SHOWN].contains("more samples are skipped"));
        assert_eq!(warnings.skipped().total(), 20);
    }
}
