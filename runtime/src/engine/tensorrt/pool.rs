//! Executions of an engine: one for each caller at a time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use clip_tensorrt::{Engine, Execution, Result};

/// Executions, made when they are needed and kept for the next caller. When all are in use, a caller waits.
#[derive(Debug)]
pub struct Pool {
    engine: Arc<Engine>,
    graphs: usize,
    state: Mutex<State>,
    given_back: Condvar,
}

#[derive(Debug)]
struct State {
    idle: Vec<Execution>,
    /// Those that there are, the ones in use included.
    made: usize,
    /// The most that there may be.
    limit: usize,
}

/// The place of an execution that is in use. Dropped, it is free for another one.
struct Place<'a>(&'a Pool);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().made -= 1;
        self.0.given_back.notify_one();
    }
}

impl Pool {
    /// At most `limit` executions, with so many CUDA graphs each. The first is made now, so that a GPU without room for it is
    /// found now.
    pub fn new(engine: Arc<Engine>, graphs: usize, limit: usize) -> Result<Pool> {
        let first = Execution::new(&engine, graphs)?;
        let state = State { idle: vec![first], made: 1, limit: limit.max(1) };
        Ok(Pool { engine, graphs, state: Mutex::new(state), given_back: Condvar::new() })
    }

    /// Runs `work` with an execution that nobody else has meanwhile. One that fails is not used again: what it left on the GPU is not
    /// known.
    pub fn with<T>(&self, work: impl FnOnce(&mut Execution) -> Result<T>) -> Result<T> {
        let (place, mut execution) = self.take()?;
        let done = work(&mut execution)?;
        std::mem::forget(place);
        self.state().idle.push(execution);
        self.given_back.notify_one();
        Ok(done)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<(Place<'_>, Execution)> {
        let mut state = self.state();
        loop {
            // The last one that was given back: its graphs and buffers were used last.
            if let Some(execution) = state.idle.pop() {
                return Ok((Place(self), execution));
            }
            if state.made < state.limit {
                state.made += 1;
                drop(state);
                // Not under the lock: it takes a while.
                let (place, made) = (Place(self), Execution::new(&self.engine, self.graphs));
                match made {
                    Ok(execution) => return Ok((place, execution)),
                    Err(error) => {
                        drop(place);
                        state = self.state();
                        if state.made == 0 {
                            return Err(error);
                        }
                        // The GPU has no room for one more beside these: callers take turns.
                        state.limit = state.made;
                    }
                }
            } else {
                state = self.given_back.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}
