//! The same work on many items, on a bounded number of threads.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// Does the work on every item, at most `limit` at once, and returns the results in the order of the items.
///
/// After an error no further item is begun, and the first error that came is returned.
pub(super) fn in_parallel<I: Send, T: Send>(
    limit: usize,
    items: Vec<I>,
    work: impl Fn(I) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let threads = limit.min(items.len());
    if threads <= 1 {
        return items.into_iter().map(work).collect();
    }
    let queue = Mutex::new(items.into_iter().enumerate());
    let results = Mutex::new(Vec::new());
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while locked(&failure).is_none() {
                    let Some((index, item)) = locked(&queue).next() else { break };
                    match work(item) {
                        Ok(result) => locked(&results).push((index, result)),
                        Err(error) => {
                            locked(&failure).get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Nothing that can panic is done under these locks, and a panic elsewhere ends the whole call.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_have_the_order_of_the_items() {
        for limit in [1, 3, 100] {
            let results = in_parallel(limit, (0..50).collect(), |item| Ok(item * 2)).expect("nothing fails");
            assert_eq!(results, (0..50).map(|item| item * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_limit_is_reached_and_never_passed() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // The first three wait for each other: they end only if they run at once.
        let together = Barrier::new(3);
        in_parallel(3, (0..30).collect(), |item: usize| {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            if item < 3 {
                together.wait();
            }
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        })
        .expect("nothing fails");
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn an_error_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let error = in_parallel(2, (0..10_000).collect(), |item: usize| {
            begun.fetch_add(1, Ordering::SeqCst);
            if item == 5 { Err(Error::InvalidOptions { what: "five".to_owned() }) } else { Ok(()) }
        })
        .expect_err("one item fails");
        assert_eq!(error.to_string(), "five");
        assert!(begun.load(Ordering::SeqCst) < 10_000);
    }
}
