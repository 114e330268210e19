//! Bounded waits: the only clock of this crate.

use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is asked.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Asks until the answer is `Ok`, for at most `patience`; then gives the last refusal.
///
/// An `Err` of the outer result ends the wait at once: it says that waiting longer is of no use.
pub(crate) fn until<T, E>(
    patience: Duration,
    mut ask: impl FnMut() -> Result<Result<T, String>, E>,
) -> Result<Result<T, String>, E> {
    let started = now();
    loop {
        let answer = ask()?;
        let Err(refusal) = answer else {
            return Ok(answer);
        };
        if started.elapsed() >= patience {
            return Ok(Err(refusal));
        }
        thread::sleep(POLL_INTERVAL);
    }
}

#[expect(clippy::disallowed_methods, reason = "bounds of waits in tests; no decision depends on them")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn a_wait_ends_with_the_first_good_answer() {
        let mut asked = 0;
        let answer = until(Duration::from_secs(30), || {
            asked += 1;
            Ok::<_, Infallible>(if asked == 3 { Ok(asked) } else { Err("not yet".to_owned()) })
        });
        assert_eq!(answer, Ok(Ok(3)));
    }

    #[test]
    fn a_wait_ends_at_its_bound_with_the_last_refusal() {
        let answer =
            until(Duration::from_millis(60), || Ok::<Result<(), _>, Infallible>(Err("no".to_owned())));
        assert_eq!(answer, Ok(Err("no".to_owned())));
    }

    #[test]
    fn a_hopeless_wait_ends_at_once() {
        let mut asked = 0;
        let answer = until(Duration::from_secs(30), || {
            asked += 1;
            Err::<Result<(), String>, _>("it is dead")
        });
        assert_eq!(answer, Err("it is dead"));
        assert_eq!(asked, 1);
    }
}
