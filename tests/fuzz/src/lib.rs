//! Damage for the tests of decoders, on the stable toolchain.
//!
//! A fuzz test of a crate lies in its `tests` folder, is called `fuzz`, and asks three things of a decoder: it never
//! panics, it allocates no more than a multiple of what it was given, and what it refuses it refuses with a reason.
//! `make fuzz` runs all of them with many more cases ([`config`]).
//!
//! - [`damaged`] owns how a valid input is damaged.
//! - [`Meter`] owns the count of what a piece of work holds in memory.

mod damage;
mod meter;

pub use damage::damaged;
pub use meter::Meter;

use proptest::test_runner::Config;

/// `cases` cases of a test; `SETTLE_FUZZ_CASES` asks for another number, for all tests.
///
/// # Panics
/// If the variable is no number: a run that was meant to be long must not look like one.
#[expect(clippy::disallowed_methods, reason = "a test is configured by its environment")]
pub fn config(cases: u32) -> Config {
    let cases = match std::env::var("SETTLE_FUZZ_CASES") {
        Ok(text) => {
            text.parse().unwrap_or_else(|_| panic!("SETTLE_FUZZ_CASES is '{text}', expected a number"))
        }
        Err(_) => cases,
    };
    // Damage is cheap to make: shrinking may take its time, in bounds.
    Config { cases, max_shrink_iters: 20_000, failure_persistence: None, ..Config::default() }
}
