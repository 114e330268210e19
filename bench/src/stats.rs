//! Medians and spreads, and the part of a run that counts.

use serde::Serialize;

/// What several runs gave.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub(crate) struct Spread {
    /// The one in the middle, or the mean of the two there.
    pub(crate) median: f64,
    /// The lowest.
    pub(crate) low: f64,
    /// The highest.
    pub(crate) high: f64,
}

impl Spread {
    /// None without values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, low, high })
    }
}

/// One look at a run.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub(crate) struct Sample {
    /// Seconds since the start of the process.
    pub(crate) at: f64,
    /// Share of its input that each stage has committed, 0 to 1.
    pub(crate) done: Vec<f64>,
    /// CPU seconds of the contender so far.
    pub(crate) client_cpu: f64,
    /// CPU seconds of the brokers so far.
    pub(crate) broker_cpu: f64,
}

/// The part of a run without warm-up and tail.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Window {
    /// Seconds.
    pub(crate) seconds: f64,
    /// Share of the work done in it.
    pub(crate) share: f64,
    /// CPU seconds of the contender.
    pub(crate) client_cpu: f64,
    /// CPU seconds of the brokers.
    pub(crate) broker_cpu: f64,
}

/// Share of the input that is warm-up: a Java program compiles itself meanwhile.
pub(crate) const WARM_UP: f64 = 0.20;
/// Share from which on it is the tail: partitions run dry one after the other.
pub(crate) const TAIL: f64 = 0.95;

/// From the moment at which the first stage has left the warm-up until the last stage comes to the tail. With two
/// stages this counts the lag of the second against the contender.
pub(crate) fn window(samples: &[Sample]) -> Option<Window> {
    let stages = samples.first()?.done.len();
    let from = crossing(samples, 0, WARM_UP)?;
    let until = crossing(samples, stages - 1, TAIL)?;
    let seconds = until.at - from.at;
    (seconds > 0.0).then_some(Window {
        seconds,
        share: TAIL - WARM_UP,
        client_cpu: until.client_cpu - from.client_cpu,
        broker_cpu: until.broker_cpu - from.broker_cpu,
    })
}

/// The moment at which a stage passed a share, between the two looks around it.
fn crossing(samples: &[Sample], stage: usize, share: f64) -> Option<Sample> {
    let after =
        samples.iter().position(|sample| sample.done.get(stage).is_some_and(|done| *done >= share))?;
    let later = &samples[after];
    let Some(earlier) = after.checked_sub(1).and_then(|index| samples.get(index)) else {
        return Some(later.clone());
    };
    let (low, high) = (earlier.done[stage], later.done[stage]);
    let part = if high > low { (share - low) / (high - low) } else { 1.0 };
    let between = |low: f64, high: f64| low + (high - low) * part;
    Some(Sample {
        at: between(earlier.at, later.at),
        done: later.done.clone(),
        client_cpu: between(earlier.client_cpu, later.client_cpu),
        broker_cpu: between(earlier.broker_cpu, later.broker_cpu),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_in_the_middle() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).expect("values");
        assert_eq!((spread.median, spread.low, spread.high), (2.5, 1.0, 4.0));
        assert!(Spread::of([]).is_none());
    }

    #[test]
    fn warm_up_and_tail_are_left_out() {
        let sample = |at: u32, done: f64| Sample {
            at: f64::from(at),
            done: vec![done],
            client_cpu: f64::from(at) * 2.0,
            broker_cpu: 0.0,
        };
        let samples: Vec<Sample> = (0..=100_u32).map(|at| sample(at, f64::from(at) / 100.0)).collect();
        let window = window(&samples).expect("a whole run");
        assert!((window.seconds - 75.0).abs() < 1e-9, "{window:?}");
        assert!((window.client_cpu - 150.0).abs() < 1e-9, "{window:?}");
    }
}
