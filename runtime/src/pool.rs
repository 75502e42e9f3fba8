//! Memory that is taken for a call, and kept for the next one.

use std::sync::Mutex;

use crate::thread::lock;

/// Things that nobody uses at the moment. There come to be as many as there were calls at the same time.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    idle: Mutex<Vec<T>>,
}

impl<T> Pool<T> {
    pub fn new() -> Pool<T> {
        Pool { idle: Mutex::new(Vec::new()) }
    }

    /// Does `work` with one that nobody else has meanwhile, a `new` one where there is none.
    pub fn with_or<R>(&self, new: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
        // The last one that was given back: it may still be in the processor's cache.
        let last = lock(&self.idle).pop();
        let mut one = last.unwrap_or_else(new);
        let done = work(&mut one);
        lock(&self.idle).push(one);
        done
    }
}

impl<T: Default> Pool<T> {
    /// [`Pool::with_or`] of something whose default is to be had.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        self.with_or(T::default, work)
    }
}
