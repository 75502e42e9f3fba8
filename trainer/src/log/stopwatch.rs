//! Where the time of a run goes.

use std::time::{Duration, Instant};

/// Measures speed, and how much of the time goes into waiting for data and into saving.
#[derive(Debug)]
pub struct Stopwatch {
    since: Instant,
    waited: Duration,
    saved: Duration,
    samples: usize,
}

/// What a [`Stopwatch`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lap {
    /// Samples per second, the time of saving left out.
    pub samples_per_second: f64,
    /// Share of that time that was spent waiting for data, 0 to 1.
    pub data_wait: f64,
    /// Seconds that training stood still for saving.
    pub save_seconds: f64,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Stopwatch { since: Instant::now(), waited: Duration::ZERO, saved: Duration::ZERO, samples: 0 }
    }
}

impl Stopwatch {
    /// Runs `wait`, whose time counts as waiting for data.
    pub fn waiting<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = wait();
        self.waited += start.elapsed();
        result
    }

    /// Runs `save`, whose time counts apart.
    pub fn saving<T>(&mut self, save: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = save();
        self.saved += start.elapsed();
        result
    }

    /// So many samples were done.
    pub fn count(&mut self, samples: usize) {
        self.samples += samples;
    }

    /// What was found since the lap before.
    pub fn lap(&mut self) -> Lap {
        let Stopwatch { since, waited, saved, samples } = std::mem::take(self);
        let seconds = since.elapsed().saturating_sub(saved).as_secs_f64().max(1e-9);
        Lap {
            samples_per_second: samples as f64 / seconds,
            data_wait: (waited.as_secs_f64() / seconds).min(1.0),
            save_seconds: saved.as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saving_does_not_count_as_training() {
        let mut watch = Stopwatch::default();
        watch.count(10);
        watch.saving(|| std::thread::sleep(Duration::from_millis(200)));
        watch.waiting(|| std::thread::sleep(Duration::from_millis(20)));
        let lap = watch.lap();
        assert!(lap.save_seconds >= 0.2 && lap.data_wait > 0.1, "{lap:?}");
        // Ten samples in a fifth of a second or more would be at most fifty a second.
        assert!(lap.samples_per_second > 60.0, "{lap:?}");
        assert_eq!(watch.lap().samples_per_second, 0.0);
    }
}
