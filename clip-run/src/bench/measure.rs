//! Measurements that take turns.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clip_program::Progress;
use clip_runtime::Clip;

use super::case::Case;
use super::random::Random;

/// Between two turns: threads that spin for a while after their work have gone to sleep by then, and disturb nothing.
pub const PAUSE: Duration = Duration::from_millis(50);

/// How long each case is measured, in how many turns.
#[derive(Clone, Copy)]
pub struct Plan {
    pub seconds: f64,
    pub rounds: usize,
}

/// What was measured of a case.
#[derive(Default)]
pub struct Times {
    /// Of each call, seconds; sorted.
    pub calls: Vec<f64>,
    /// Images or texts per second of each round; sorted.
    pub rates: Vec<f64>,
}

impl Times {
    /// What `percent` of the calls took at most.
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.calls.len() * percent).div_ceil(100).max(1);
        self.calls.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// The median over the rounds.
    pub fn rate(&self) -> f64 {
        median(&self.rates)
    }
}

/// Of sorted numbers.
pub fn median(sorted: &[f64]) -> f64 {
    match (sorted.get(sorted.len().saturating_sub(1) / 2), sorted.get(sorted.len() / 2)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => f64::NAN,
    }
}

/// In each round every case has a turn, in an order that changes.
pub fn all(clip: &Clip, cases: &[Case<'_>], plan: Plan) -> Result<Vec<Times>> {
    let mut times: Vec<Times> = cases.iter().map(|_| Times::default()).collect();
    let mut order: Vec<usize> = (0..cases.len()).collect();
    let mut random = Random(3);
    let mut progress = Progress::new("turns measured", plan.rounds * cases.len());
    for round in 0..plan.rounds {
        random.shuffle(&mut order);
        for (turn, &place) in order.iter().enumerate() {
            thread::sleep(PAUSE);
            let (calls, elapsed) = take_turn(clip, &cases[place], plan.seconds / plan.rounds as f64)?;
            let images = calls.len() * cases[place].batch;
            times[place].rates.push(images as f64 / elapsed);
            times[place].calls.extend(calls);
            progress.set(round * cases.len() + turn + 1);
        }
    }
    for times in &mut times {
        times.calls.sort_by(f64::total_cmp);
        times.rates.sort_by(f64::total_cmp);
    }
    Ok(times)
}

/// Calls for so many seconds, and at least once, after a call that does not count. Returns what each call and what all together took, seconds.
fn take_turn(clip: &Clip, case: &Case<'_>, seconds: f64) -> Result<(Vec<f64>, f64)> {
    let start = Barrier::new(case.callers);
    let caller = || -> Result<(Vec<f64>, Instant, Instant)> {
        let warm = case.calls(clip).and_then(|mut call| {
            call()?;
            Ok(call)
        });
        // Whoever fails does not leave the others waiting.
        start.wait();
        let (mut call, began, mut times) = (warm?, Instant::now(), Vec::new());
        loop {
            let before = Instant::now();
            call()?;
            let after = Instant::now();
            times.push((after - before).as_secs_f64());
            if (after - began).as_secs_f64() >= seconds {
                return Ok((times, began, after));
            }
        }
    };
    let done: Vec<_> = match case.callers {
        1 => vec![caller()?],
        callers => thread::scope(|scope| {
            let threads: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err(anyhow!("a caller panicked")))
            };
            // All of them are waited for before an error is told.
            let done: Vec<Result<_>> = threads.into_iter().map(join).collect();
            done.into_iter().collect::<Result<Vec<_>>>()
        })?,
    };
    let began = done.iter().map(|(_, began, _)| *began).min();
    let ended = done.iter().map(|(_, _, ended)| *ended).max();
    let elapsed = began.zip(ended).map_or(0.0, |(began, ended)| (ended - began).as_secs_f64());
    Ok((done.into_iter().flat_map(|(times, ..)| times).collect(), elapsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_calls_that_were_made() {
        let times = Times { calls: (1..=200).map(f64::from).collect(), rates: vec![1.0, 2.0, 4.0, 9.0] };
        assert_eq!([50, 95, 99, 100].map(|percent| times.percentile(percent)), [100.0, 190.0, 198.0, 200.0]);
        assert_eq!(times.rate(), 3.0);
        let one = Times { calls: vec![7.0], rates: vec![5.0] };
        assert_eq!((one.percentile(50), one.percentile(99), one.rate()), (7.0, 7.0, 5.0));
    }
}
