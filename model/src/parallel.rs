//! Work that several threads share. One that cannot be started leaves its part to the others.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};

/// What `work` makes of each item, in their order, computed by this thread and up to `helpers` others.
pub fn each<T: Send, R: Send>(
    items: impl Iterator<Item = T> + Send,
    helpers: usize,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let queue = Mutex::new(items.enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        let mut done = Vec::new();
        while let Some((place, item)) = next() {
            done.push((place, work(item)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, run).ok();
        let threads: Vec<_> = (0..helpers).map_while(start).collect();
        let own = run();
        threads.into_iter().flat_map(join).chain(own).collect::<Vec<_>>()
    });
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// What a thread returned; its panic goes on here.
fn join<T>(thread: ScopedJoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        for helpers in [0, 1, 3] {
            assert_eq!(each(0..100, helpers, |i| i * i), (0..100).map(|i| i * i).collect::<Vec<_>>());
        }
        assert!(each(0..0, 2, |i| i).is_empty());
    }
}
