//! Choices that one seed decides. The generator is fixed: a seed means the same on every machine and with every version.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A sequence of choices.
#[derive(Debug, Clone)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The sequence of this seed; `purpose` keeps sequences of one run apart.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(purpose);
        Self(generator)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.next_u64() % end }
    }

    /// A number from `first` to `last`, both included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// True once in `times`, on average.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// An index into something of this length, which is not empty.
    pub fn index(&mut self, length: usize) -> usize {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.below(length)).unwrap_or(0)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.index(of.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence_and_a_purpose_another() {
        let numbers = |seed, purpose| {
            let mut chance = Chance::new(seed, purpose);
            [chance.number(), chance.number(), chance.number()]
        };
        assert_eq!(numbers(7, 0), numbers(7, 0));
        assert_ne!(numbers(7, 0), numbers(7, 1));
        assert_ne!(numbers(7, 0), numbers(8, 0));
        // The generator must never change: seeds that found something are kept.
        assert_eq!(numbers(1, 2)[0], Chance::new(1, 2).number());
    }

    #[test]
    fn bounds_are_kept() {
        let mut chance = Chance::new(3, 0);
        for _ in 0..1_000 {
            assert!(chance.below(3) < 3);
            assert!((5..=7).contains(&chance.between(5, 7)));
        }
        assert_eq!((chance.below(0), chance.between(4, 4)), (0, 4));
    }
}
