//! Warnings about single samples, a limited number of them, and the count of them all.

use std::fmt::Display;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::skipped::Skipped;

/// Takes a warning, one line without its end. A library says nothing on standard error by itself.
pub type Warn = fn(&str);

/// Warnings shown; what follows is only counted.
const SHOWN: usize = 10;

/// Shared by the threads of a loader.
#[derive(Debug, Clone)]
pub(crate) struct Warnings {
    warn: Warn,
    count: Arc<AtomicUsize>,
    skipped: Arc<Mutex<Skipped>>,
}

impl Warnings {
    pub fn new(warn: Warn) -> Warnings {
        Warnings { warn, count: Arc::default(), skipped: Arc::default() }
    }

    /// Everything that was said so far.
    pub fn skipped(&self) -> Skipped {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn say(&self, shard: &Path, key: &str, reason: impl Display) {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).add(&reason, key);
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        if number < SHOWN {
            (self.warn)(&format!("warning: {}: skipped sample `{key}`: {reason}", shard.display()));
        } else if number == SHOWN {
            (self.warn)("warning: more samples are skipped; they are counted, not listed");
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
        let warnings = Warnings::new(|line| SAID.lock().unwrap().push(line.to_owned()));
        (0..20).for_each(|n| warnings.clone().say("a.tar".as_ref(), &n.to_string(), "it has no image"));
        let said = SAID.lock().unwrap();
        assert_eq!(said.len(), SHOWN + 1);
        assert_eq!(said[1], "warning: a.tar: skipped sample `1`: it has no image");
        assert!(said[SHOWN].contains("more samples are skipped"));
        assert_eq!(warnings.skipped().total(), 20);
    }
}
