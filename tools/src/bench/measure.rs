//! Repeated timing.

use crate::interrupt::Cancel;
use std::time::{Duration, Instant};

/// A call slower than this is not repeated.
const SLOW: Duration = Duration::from_secs(4);
/// Time after which no repetition is started.
const BUDGET: Duration = Duration::from_secs(20);

/// How long a call takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Timing {
    /// Median, in seconds.
    pub(super) seconds: f64,
    /// Calls that counted.
    pub(super) reps: u32,
}

/// Times `call`: the median of `reps` calls after one that does not count; a slow one counts alone. What it returns is dropped
/// outside of the time.
pub(super) fn time<T>(
    reps: u32,
    cancel: &Cancel,
    mut call: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<Timing> {
    let mut timed = || -> anyhow::Result<Duration> {
        cancel.check()?;
        let before = Instant::now();
        let kept = call()?;
        let taken = before.elapsed();
        drop(kept);
        Ok(taken)
    };
    let started = Instant::now();
    let mut times = vec![timed()?];
    if times[0] <= SLOW {
        times.clear();
        while times.is_empty() || (times.len() < reps as usize && started.elapsed() < BUDGET) {
            times.push(timed()?);
        }
    }
    Ok(Timing { seconds: median(&mut times).as_secs_f64(), reps: times.len() as u32 })
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    let middle = times.len() / 2;
    if times.len().is_multiple_of(2) { (times[middle - 1] + times[middle]) / 2 } else { times[middle] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let of = |list: &[u64]| {
            let mut times: Vec<Duration> = list.iter().map(|s| Duration::from_secs(*s)).collect();
            median(&mut times).as_secs_f64()
        };
        assert_eq!((of(&[7]), of(&[9, 1, 5]), of(&[4, 1, 2, 9])), (7.0, 5.0, 3.0));
    }

    #[test]
    fn the_first_call_does_not_count() {
        let mut calls = 0;
        let timing = time(3, &Cancel::default(), || {
            calls += 1;
            Ok(())
        });
        assert_eq!((timing.unwrap().reps, calls), (3, 4));
    }
}
