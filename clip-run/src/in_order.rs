//! Work on a list by several threads, whose results come in the order of the list.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Result;
use clip_model::parallel;

/// Gives `take`, in this thread, what `work` makes of each item, in their order. `work` runs in this thread and in up to `helpers` others, where they can be
/// started.
///
/// No item is begun that is more than twice as many places ahead as there are threads, so that what waits to be taken is bounded. An error of `take`
/// ends it: what is being worked on is finished, nothing else is begun.
pub fn each<T: Send + Sync, R: Send>(
    items: &[T],
    helpers: usize,
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let helpers = helpers.min(items.len().saturating_sub(1));
    let line = Line::new(items.len(), 2 * (helpers + 1));
    let work_on = |place: usize| {
        // A panic in one thread must not leave the others waiting.
        let ends = Ends(&line);
        line.put(place, work(&items[place]));
        std::mem::forget(ends);
    };
    thread::scope(|scope| {
        let _ends = Ends(&line);
        for _ in 0..helpers {
            let serve = || {
                while let Some(place) = line.claim() {
                    work_on(place);
                }
            };
            if !parallel::can_start() || thread::Builder::new().spawn_scoped(scope, serve).is_err() {
                break;
            }
        }
        while let Some(next) = line.next() {
            match next {
                Next::Result(result) => take(result)?,
                Next::Work(place) => work_on(place),
            }
        }
        Ok(())
    })
}

/// The items between the first that is not begun and the first whose result is not taken.
struct Line<R> {
    state: Mutex<State<R>>,
    /// There is room for another item, or it is over.
    room: Condvar,
    /// The result that is next to be taken may be there, or it is over.
    ready: Condvar,
    items: usize,
    ahead: usize,
}

struct State<R> {
    begun: usize,
    taken: usize,
    /// Of the items from `taken` to `begun`, what is done.
    results: VecDeque<Option<R>>,
    ended: bool,
}

/// What the taking thread does next.
enum Next<R> {
    Result(R),
    Work(usize),
}

impl<R> Line<R> {
    fn new(items: usize, ahead: usize) -> Line<R> {
        let state = State { begun: 0, taken: 0, results: VecDeque::new(), ended: false };
        Line { state: Mutex::new(state), room: Condvar::new(), ready: Condvar::new(), items, ahead }
    }

    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the next item to begin, if one may be begun now.
    fn begin(&self, state: &mut State<R>) -> Option<usize> {
        let place = state.begun;
        (place < self.items && place < state.taken + self.ahead).then(|| {
            state.begun += 1;
            state.results.push_back(None);
            place
        })
    }

    /// The same for a helper, which waits for it; nothing when all are begun.
    fn claim(&self) -> Option<usize> {
        let mut state = self.state();
        loop {
            if state.ended || state.begun == self.items {
                return None;
            }
            if let Some(place) = self.begin(&mut state) {
                return Some(place);
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put(&self, place: usize, result: R) {
        let mut state = self.state();
        let from = place - state.taken;
        state.results[from] = Some(result);
        if from == 0 {
            self.ready.notify_one();
        }
    }

    /// What the taking thread does next: what is ready before anything is begun. Nothing when all is taken, or a thread panicked.
    fn next(&self) -> Option<Next<R>> {
        let mut state = self.state();
        loop {
            if state.ended || state.taken == self.items {
                return None;
            }
            if let Some(Some(result)) = state.results.pop_front_if(|result| result.is_some()) {
                state.taken += 1;
                self.room.notify_one();
                return Some(Next::Result(result));
            }
            if let Some(place) = self.begin(&mut state) {
                return Some(Next::Work(place));
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Ends the line when it is dropped.
struct Ends<'a, R>(&'a Line<R>);

impl<R> Drop for Ends<'_, R> {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.room.notify_all();
        self.0.ready.notify_all();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    #[test]
    fn results_come_in_order_and_few_wait() {
        let items: Vec<usize> = (0..200).collect();
        for helpers in [0, 1, 3] {
            let (waiting, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let mut found = Vec::new();
            let work = |&item: &usize| {
                most.fetch_max(waiting.fetch_add(1, SeqCst) + 1, SeqCst);
                // The first of every few takes longest.
                thread::sleep(Duration::from_micros(if item % 7 == 0 { 500 } else { 20 }));
                item * item
            };
            let take = |result| {
                waiting.fetch_sub(1, SeqCst);
                found.push(result);
                Ok(())
            };
            each(&items, helpers, work, take).unwrap();
            assert_eq!(found, items.iter().map(|item| item * item).collect::<Vec<_>>());
            assert!(most.into_inner() <= 2 * (helpers + 1) + 1, "{helpers}");
        }
        each(&[0; 0], 3, |_| (), |()| panic!("there is nothing to take")).unwrap();
    }

    #[test]
    fn helpers_come() {
        let here = AtomicUsize::new(0);
        let work = |_: &()| {
            here.fetch_add(1, SeqCst);
            while here.load(SeqCst) < 2 {
                thread::sleep(Duration::from_millis(1));
            }
        };
        each(&[(), ()], 1, work, |()| Ok(())).unwrap();
        assert_eq!(here.into_inner(), 2);
    }

    #[test]
    fn an_error_of_the_taker_ends_it() {
        let begun = AtomicUsize::new(0);
        let work = |_: &()| begun.fetch_add(1, SeqCst);
        let error = each(&[(); 1000], 2, work, |_| anyhow::bail!("enough")).unwrap_err();
        assert_eq!(error.to_string(), "enough");
        assert!(begun.into_inner() <= 10);
    }

    #[test]
    fn a_panic_of_any_thread_reaches_the_caller() {
        for helpers in [0, 2] {
            let work = |&item: &usize| assert!(item != 5, "meant");
            let items: Vec<usize> = (0..100).collect();
            let panicked = std::panic::catch_unwind(|| each(&items, helpers, work, |()| Ok(())));
            assert!(panicked.is_err());
        }
    }
}
