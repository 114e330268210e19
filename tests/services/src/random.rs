//! Chance for names and passwords of one test run. Nothing here decides what a test does.

use std::hash::{BuildHasher, Hasher, RandomState};

/// 64 bits from the standard library, which seeds itself from the operating system.
pub(crate) fn bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A UUID as Kafka writes it: 128 bits in 22 characters of URL-safe Base64.
pub(crate) fn base64_uuid() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut value = (u128::from(bits()) << 64) | u128::from(bits());
    let mut text = String::new();
    // Kafka refuses ids that start with a dash, which a command line would take for an option.
    value &= u128::MAX >> 1;
    for position in 0..22 {
        // 21 characters of 6 bits from the top, and the last 2 bits in front of four zeros.
        let shift = 122 - 6 * position;
        let six = if shift >= 0 { (value >> shift) & 63 } else { (value << 4) & 63 };
        let index = usize::try_from(six).expect("six bits fit");
        text.push(char::from(ALPHABET[index]));
    }
    text
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
            assert!("AQgw".contains(&id[21..]), "the last character holds two bits: {id}");
        }
        assert_ne!(base64_uuid(), base64_uuid());
    }
}
