//! Threads that wait for work to share. Starting threads for each batch would take longer than preparing a small one, and allocate.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use clip_model::parallel;

/// Threads that help callers. They are started when they are first needed; where they cannot be, callers do the work alone.
#[derive(Debug)]
pub(crate) struct Workers {
    shared: Arc<Shared>,
    /// The most that are started.
    limit: usize,
    /// The process that they are threads of: in a fork of it they do not exist.
    process: u32,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is work, or the threads are to end.
    called: Condvar,
    /// A helper has left a job.
    left: Condvar,
}

#[derive(Debug, Default)]
struct State {
    threads: Vec<JoinHandle<()>>,
    /// Whether threads were started, as far as that was possible.
    started: bool,
    jobs: Vec<Job>,
    /// The number of the next job.
    next: u64,
    closing: bool,
}

/// What one caller shares.
struct Job {
    number: u64,
    /// It lives as long as the job, which its caller takes away before it returns.
    work: &'static (dyn Fn() + Sync),
    /// Helpers that it may still get, and those that are at work.
    wanted: usize,
    active: usize,
    panic: Option<Box<dyn Any + Send>>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Job {} ({} wanted, {} active)", self.number, self.wanted, self.active)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each thread does.
    fn serve(&self) {
        let mut state = self.state();
        loop {
            if state.closing {
                return;
            }
            let Some(job) = state.jobs.iter_mut().find(|job| job.wanted > 0) else {
                state = self.called.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            (job.wanted, job.active) = (job.wanted - 1, job.active + 1);
            let (number, work) = (job.number, job.work);
            drop(state);
            let done = catch_unwind(AssertUnwindSafe(work));
            state = self.state();
            // It is there: its caller waits until nobody is active.
            if let Some(job) = state.jobs.iter_mut().find(|job| job.number == number) {
                job.active -= 1;
                job.panic = job.panic.take().or(done.err());
            }
            self.left.notify_all();
        }
    }
}

impl Workers {
    /// At most so many threads.
    pub fn new(limit: usize) -> Workers {
        Workers { shared: Arc::default(), limit, process: std::process::id() }
    }

    /// Runs `work` in this thread and, at the same time, in up to `helpers` others. It takes what it works on from a common list, so
    /// that it does not matter how many come.
    pub fn share(&self, helpers: usize, work: &(dyn Fn() + Sync)) {
        let helpers = helpers.min(self.limit);
        if helpers == 0 || self.process != std::process::id() {
            return work();
        }
        // SAFETY: only threads that are counted as active call it, and `Own` waits for them before this function is left, by a
        // panic too.
        let work_of_helpers =
            unsafe { std::mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(work) };
        let mut state = self.shared.state();
        self.start(&mut state);
        let number = state.next;
        state.next += 1;
        state.jobs.push(Job { number, work: work_of_helpers, wanted: helpers, active: 0, panic: None });
        drop(state);
        for _ in 0..helpers {
            self.shared.called.notify_one();
        }
        let own = Own { shared: &self.shared, number };
        work();
        if let Some(panic) = own.end() {
            resume_unwind(panic);
        }
    }

    fn start(&self, state: &mut State) {
        if std::mem::replace(&mut state.started, true) {
            return;
        }
        let start = |_| {
            let shared = self.shared.clone();
            let builder = thread::Builder::new().name("clip".to_owned());
            parallel::can_start().then(|| builder.spawn(move || shared.serve()).ok()).flatten()
        };
        state.threads = (0..self.limit).map_while(start).collect();
    }
}

/// A caller's job. It is gone when this is.
struct Own<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Own<'_> {
    /// Waits for the helpers. Returns what one of them panicked with.
    fn end(self) -> Option<Box<dyn Any + Send>> {
        let panic = self.take();
        std::mem::forget(self);
        panic
    }

    fn take(&self) -> Option<Box<dyn Any + Send>> {
        let mut state = self.shared.state();
        loop {
            let place = state.jobs.iter().position(|job| job.number == self.number)?;
            // Who has not come yet need not come any more.
            state.jobs[place].wanted = 0;
            if state.jobs[place].active == 0 {
                return state.jobs.swap_remove(place).panic;
            }
            state = self.shared.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        self.take();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        let mut state = self.shared.state();
        state.closing = true;
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        self.shared.called.notify_all();
        for thread in threads {
            // A thread catches what panics.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn work_is_shared_by_several_callers() {
        let workers = Workers::new(2);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..200 {
                        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
                        workers.share(round % 4, &|| {
                            while next.fetch_add(1, Ordering::Relaxed) < 50 {
                                done.fetch_add(1, Ordering::Relaxed);
                            }
                        });
                        assert_eq!(done.into_inner(), 50);
                    }
                });
            }
        });
    }

    #[test]
    fn helpers_come() {
        let (workers, here) = (Workers::new(1), AtomicUsize::new(0));
        workers.share(5, &|| {
            here.fetch_add(1, Ordering::SeqCst);
            while here.load(Ordering::SeqCst) < 2 {
                thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(here.into_inner(), 2);
    }

    #[test]
    fn panics_reach_the_caller_and_leave_the_threads_alive() {
        let workers = Workers::new(1);
        for of_caller in [true, false] {
            let (caller, here) = (thread::current().id(), AtomicUsize::new(0));
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                workers.share(1, &|| {
                    here.fetch_add(1, Ordering::SeqCst);
                    while here.load(Ordering::SeqCst) < 2 {
                        thread::sleep(Duration::from_millis(1));
                    }
                    assert!((thread::current().id() == caller) != of_caller, "meant");
                });
            }));
            assert!(panicked.is_err());
        }
        let ran = AtomicUsize::new(0);
        workers.share(1, &|| {
            ran.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
        });
        assert_eq!(ran.into_inner(), 2);
    }
}
