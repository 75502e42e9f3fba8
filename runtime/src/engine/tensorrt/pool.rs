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

/// An execution in use. One that is not given back has failed, and goes.
struct Taken<'a> {
    pool: &'a Pool,
    execution: Option<Execution>,
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
        let mut taken = self.take()?;
        let done = taken.execution.as_mut().map(work);
        match done {
            Some(done) => done.inspect(|_| taken.give_back()),
            None => unreachable!("an execution was taken"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Taken<'_>> {
        let mut state = self.state();
        loop {
            // The last one that was given back: its graphs and buffers were used last.
            if let Some(execution) = state.idle.pop() {
                return Ok(Taken { pool: self, execution: Some(execution) });
            }
            if state.made < state.limit {
                state.made += 1;
                drop(state);
                match Execution::new(&self.engine, self.graphs) {
                    Ok(execution) => return Ok(Taken { pool: self, execution: Some(execution) }),
                    Err(error) => {
                        state = self.state();
                        state.made -= 1;
                        if state.made == 0 {
                            self.given_back.notify_one();
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

impl Taken<'_> {
    fn give_back(&mut self) {
        self.pool.state().idle.extend(self.execution.take());
        self.pool.given_back.notify_one();
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // Not under the lock: it waits for the GPU.
        if let Some(execution) = self.execution.take() {
            drop(execution);
            self.pool.state().made -= 1;
            self.pool.given_back.notify_one();
        }
    }
}
