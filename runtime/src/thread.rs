//! Threads: how many, and what becomes of them.

use std::thread::{self, ScopedJoinHandle};

/// What a thread returned; its panic goes on here.
pub(crate) fn join<T>(thread: ScopedJoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// One thread for each physical core, as far as the process may use them: a second thread on a core slows matrix
/// products down.
pub(crate) fn default_threads() -> usize {
    let usable = thread::available_parallelism().map_or(1, usize::from);
    num_cpus::get_physical().clamp(1, usable)
}
