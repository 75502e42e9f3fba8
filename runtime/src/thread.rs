//! Threads: how many, and two things at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// The lock. What it guards is whole even where a thread panicked that held it: nothing here panics between two changes that belong together.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `a` in a thread of its own, when there is one, and `b` in this one.
pub(crate) fn both<A: Send, B>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B) -> (A, B) {
    // The closure stays here until it runs, so that it is not lost with a thread that cannot be started.
    let waiting = Mutex::new(Some(a));
    let run = || waiting.lock().unwrap_or_else(PoisonError::into_inner).take().map(|a| a());
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, run).ok();
        let b = b();
        let a = thread
            .and_then(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .or_else(run);
        match a {
            Some(a) => (a, b),
            None => unreachable!("the closure is taken by one of the two"),
        }
    })
}

/// One thread for each physical core, as far as the process may use them: a second thread on a core slows matrix
/// products down.
pub(crate) fn default_threads() -> usize {
    num_cpus::get_physical().clamp(1, usable_processors())
}

/// The processors that the process may use. More threads than that are of no use, and harm: an engine's may wait for each
/// other without sleeping, as ONNX Runtime's do.
pub(crate) fn usable_processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_run_side_by_side() {
        let (left, right) = std::sync::mpsc::channel();
        assert_eq!(both(move || left.send(7).unwrap(), move || right.recv().unwrap()), ((), 7));
    }
}
