//! The label set that is in use, which may change at any time.

use std::mem;
use std::sync::{Arc, PoisonError, RwLock};

use crate::labels::LabelSet;

/// Holds the label set that is in use, so that it can be replaced while other threads classify: each call takes the set of that moment and keeps
/// it to its end, and the old set goes when the last of them is done.
#[derive(Debug)]
pub struct LabelSlot(RwLock<Arc<LabelSet>>);

impl LabelSlot {
    /// A slot with its first set.
    pub fn new(labels: impl Into<Arc<LabelSet>>) -> LabelSlot {
        LabelSlot(RwLock::new(labels.into()))
    }

    /// The set that is in use. Nothing is copied.
    pub fn load(&self) -> Arc<LabelSet> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `labels` in use, and gives back what was before.
    pub fn swap(&self, labels: impl Into<Arc<LabelSet>>) -> Arc<LabelSet> {
        mem::replace(&mut self.0.write().unwrap_or_else(PoisonError::into_inner), labels.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::labels::tests::set;

    #[test]
    fn a_set_that_is_in_use_stays_until_its_users_are_done() {
        let (first, second) = (Arc::new(set(&[[1.0, 0.0]])), set(&[[1.0, 0.0], [0.0, 1.0]]));
        let slot = LabelSlot::new(Arc::clone(&first));
        let in_use = slot.load();
        assert!(Arc::ptr_eq(&slot.swap(second), &first));
        assert_eq!((in_use.len(), slot.load().len()), (1, 2));
    }

    #[test]
    fn threads_see_one_set_or_the_other() {
        let sets = [set(&[[1.0, 0.0]]), set(&[[1.0, 0.0], [0.0, 1.0]])].map(Arc::new);
        let slot = LabelSlot::new(Arc::clone(&sets[0]));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let labels = slot.load();
                        assert_eq!(labels.len(), labels.embeddings().len());
                    }
                });
            }
            for i in 0..10_000 {
                slot.swap(Arc::clone(&sets[i % 2]));
            }
            done.store(true, Ordering::Relaxed);
        });
        drop(slot);
        assert!(sets.iter().all(|set| Arc::strong_count(set) == 1));
    }
}
