//! Formats that hold long runs of digits and are no card numbers: hexadecimal digests and trace ids, UUIDs and
//! IBANs. Without them one in some thousand requests that carry such an id would be refused for a card number
//! it does not hold. Each format has a shape of its own that a card number does not take by accident.

use std::ops::Range;

/// Lengths in hexadecimal digits of trace ids and MD5, SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512.
const DIGEST_LENGTHS: &[usize] = &[32, 40, 56, 64, 96, 128];

/// No format looks at a longer run of letters and digits: keeps the search linear.
const LONGEST_TOKEN: usize = 128;

/// RFC 9562: 8-4-4-4-12 hexadecimal digits.
const UUID_LENGTH: usize = 36;
const UUID_HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// ISO 13616: country, two check digits, up to 30 characters.
const IBAN_LENGTHS: std::ops::RangeInclusive<usize> = 15..=34;

/// True if any part of this number belongs to one of the formats. A part is enough: so a masked neighbour
/// never takes a piece out of a digest and leaves the rest to be found.
pub(super) fn overlaps(bytes: &[u8], number: &Range<usize>) -> bool {
    let first = token_at(bytes, number.start);
    let last = token_at(bytes, number.end - 1);
    is_known_token(first) || is_known_token(last) || overlaps_uuid(bytes, number)
}

fn is_known_token(token: &[u8]) -> bool {
    is_digest(token) || is_iban(token)
}

/// The letters and digits around a position; nothing if they are more than any format has.
fn token_at(bytes: &[u8], position: usize) -> &[u8] {
    let before = &bytes[..position];
    let after = &bytes[position..];
    let is_outside = |byte: &u8| !byte.is_ascii_alphanumeric();
    let reach_before =
        before.iter().rev().take(LONGEST_TOKEN + 1).take_while(|byte| !is_outside(byte)).count();
    let reach_after = after.iter().take(LONGEST_TOKEN + 1).take_while(|byte| !is_outside(byte)).count();
    if reach_before + reach_after > LONGEST_TOKEN {
        return &[];
    }
    &bytes[position - reach_before..position + reach_after]
}

fn is_digest(token: &[u8]) -> bool {
    DIGEST_LENGTHS.contains(&token.len()) && token.iter().all(u8::is_ascii_hexdigit) && has_letter(token)
}

fn has_letter(token: &[u8]) -> bool {
    token.iter().any(u8::is_ascii_alphabetic)
}

/// ISO 13616 with its check digits (ISO/IEC 7064, MOD 97-10): as a number, with the first four characters moved
/// to the end and A = 10 to Z = 35, it leaves 1 when divided by 97.
fn is_iban(token: &[u8]) -> bool {
    let has_shape = IBAN_LENGTHS.contains(&token.len())
        && token[..2].iter().all(u8::is_ascii_uppercase)
        && token[2..4].iter().all(u8::is_ascii_digit)
        && token.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    if !has_shape {
        return false;
    }
    let (head, account) = token.split_at(4);
    let mut remainder = 0;
    for byte in account.iter().chain(head) {
        remainder = match byte {
            b'0'..=b'9' => remainder * 10 + u32::from(byte - b'0'),
            _ => remainder * 100 + u32::from(byte - b'A') + 10,
        } % 97;
    }
    remainder == 1
}

fn overlaps_uuid(bytes: &[u8], number: &Range<usize>) -> bool {
    let first_start = number.start.saturating_sub(UUID_LENGTH - 1);
    (first_start..number.end).any(|start| is_uuid_at(bytes, start))
}

fn is_uuid_at(bytes: &[u8], start: usize) -> bool {
    let Some(candidate) = bytes.get(start..start + UUID_LENGTH) else { return false };
    let is_alphanumeric_at = |position: usize| bytes.get(position).is_some_and(u8::is_ascii_alphanumeric);
    let is_glued =
        start.checked_sub(1).is_some_and(is_alphanumeric_at) || is_alphanumeric_at(start + UUID_LENGTH);
    if is_glued || !has_letter(candidate) {
        return false;
    }
    candidate.iter().enumerate().all(|(place, byte)| match UUID_HYPHENS.contains(&place) {
        true => *byte == b'-',
        false => byte.is_ascii_hexdigit(),
    })
}

#[cfg(test)]
mod tests {
    use crate::card_number::{find, mask};

    #[test]
    fn ids_that_only_look_like_card_numbers() {
        let cases = [
            ("a SHA-1 digest", "4111111111111111aa4111111111111111abcdef"),
            ("a trace id", "a4111111111111111bcdef0123456789"),
            ("a UUID", "40000004-1111-4111-a716-446655440000"),
            ("a UUID in a sentence", "order (40000004-1111-4111-A716-446655440000)."),
            ("an IBAN of Norway", "NO4400000000024"),
            ("an IBAN of Austria", "AT640000000000000045"),
        ];
        for (what, text) in cases {
            assert_eq!(find(text), None, "{what}: {text}");
        }
    }

    #[test]
    fn what_is_close_to_a_known_format_is_searched() {
        let cases = [
            ("a number and letters", "card4111111111111111ab"),
            ("33 hexadecimal digits", "a4111111111111111bcdef01234567890"),
            ("a token that is too long", &format!("{}g4111111111111111", "a".repeat(200))),
            ("a UUID with a digit too many", "40000004-1111-4111-a716-4466554400001"),
            ("only digits in the shape of a UUID", "40000004-1111-4111-9716-446655440000"),
            ("two letters without the check digits of an IBAN", "CC4111111111111111"),
            ("small letters", "no4400000000024"),
            ("a number beside a UUID", "40000004-1111-4111-a716-446655440000 4111111111111111"),
        ];
        for (what, text) in cases {
            assert!(find(text).is_some(), "{what}: {text}");
        }
    }

    #[test]
    fn a_digest_stays_whole_beside_a_masked_number() {
        let text = "4111111111111111 a4111111111111111bcdef0123456789";
        assert_eq!(mask(text).as_deref(), Some("**************** a4111111111111111bcdef0123456789"));
    }
}
