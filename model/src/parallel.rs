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
    let done = thread::scope(|scope| {
        let start = |_| can_start().then(|| thread::Builder::new().spawn_scoped(scope, run).ok()).flatten();
        let threads: Vec<_> = (0..helpers).map_while(start).collect();
        let own = run();
        threads.into_iter().map(join).chain([own]).collect::<Vec<_>>()
    });
    let mut results: Vec<Option<R>> = Vec::new();
    results.resize_with(done.iter().map(Vec::len).sum(), || None);
    for (place, result) in done.into_iter().flatten() {
        results[place] = Some(result);
    }
    results.into_iter().flatten().collect()
}

/// Whether there is address space for what the C library takes when a thread begins: where there is none, it ends the process,
/// even if much of the memory that the process has is free.
pub fn can_start() -> bool {
    const NEEDED: usize = 16 << 20;
    #[cfg(unix)]
    // SAFETY: a new mapping, which nothing refers to, is made and taken away again.
    unsafe {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let mapping = libc::mmap(std::ptr::null_mut(), NEEDED, access, kind, -1, 0);
        if mapping == libc::MAP_FAILED {
            return false;
        }
        libc::munmap(mapping, NEEDED);
    }
    true
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
