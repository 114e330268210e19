//! Chance for names and ports of one test run. Nothing here decides what a test does.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::base64;

/// 64 bits from the standard library, which seeds itself from the operating system.
pub(crate) fn bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A UUID as Kafka writes it: 128 bits in 22 characters of Base64.
pub(crate) fn base64_uuid() -> String {
    // A command line would take an id that starts with a dash for an option.
    let high = bits() & (u64::MAX >> 1);
    base64::url_safe(&[high.to_be_bytes(), bits().to_be_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_kafkas_form() {
        for _ in 0..1_000 {
            let id = base64_uuid();
            assert_eq!(id.len(), 22);
            assert!(!id.starts_with('-'), "{id}");
        }
        assert_ne!(base64_uuid(), base64_uuid());
    }
}
