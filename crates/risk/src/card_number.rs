//! Finds card numbers in text, so that they never enter and never leave in a dead letter. Owns what counts as a
//! card number; which fields are searched is the caller's to say, because a tenth of all long numeric ids have
//! a valid check digit.
//!
//! A card number is 13 to 19 digits, each two of them separated by nothing, one space or one hyphen, with no
//! further digit right before or after, an issuer prefix of the table below at one of its lengths, and a valid
//! check digit. Not taken for card numbers: digests, UUIDs and IBANs (`known_format`).
//!
//! Time is linear in the length of the text: at each group of digits at most 19 digits are looked at.

mod known_format;

use std::ops::Range;

const SHORTEST: usize = 13;
const LONGEST: usize = 19;

/// Card numbers whose first four digits lie in a range, with the lengths they come in.
struct IssuerRange {
    first: u16,
    last: u16,
    lengths: &'static [usize],
}

const fn issuer(first: u16, last: u16, lengths: &'static [usize]) -> IssuerRange {
    IssuerRange { first, last, lengths }
}

/// Prefixes and lengths. Source: ISO/IEC 7812-1 (length, check digit; the first digits name the issuer) and the
/// public ranges of the schemes. Maestro begins at 12 digits on paper; 12 is left out, because international
/// telephone numbers of countries +50 to +63 have that length. Longer ranges of 6 belong to several schemes.
const ISSUERS: &[IssuerRange] = &[
    issuer(4000, 4999, &[13, 16, 19]),                 // Visa
    issuer(5100, 5599, &[16]),                         // Mastercard
    issuer(2221, 2720, &[16]),                         // Mastercard
    issuer(3400, 3499, &[15]),                         // American Express
    issuer(3700, 3799, &[15]),                         // American Express
    issuer(3000, 3059, &[14, 15, 16, 17, 18, 19]),     // Diners Club
    issuer(3095, 3095, &[14, 15, 16, 17, 18, 19]),     // Diners Club
    issuer(3600, 3699, &[14, 15, 16, 17, 18, 19]),     // Diners Club
    issuer(3800, 3999, &[14, 15, 16, 17, 18, 19]),     // Diners Club
    issuer(3528, 3589, &[16, 17, 18, 19]),             // JCB
    issuer(5000, 5099, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
    issuer(5600, 5899, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
    issuer(6300, 6399, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
    issuer(6700, 6799, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
    issuer(6000, 6999, &[16, 17, 18, 19]),             // Discover, UnionPay, RuPay, Maestro
];

/// How strictly the ends of a number are known.
#[derive(Clone, Copy)]
enum Framing {
    /// Text: a number with a digit before or after it is a longer number.
    Exact,
    /// Encoded bytes: one digit before and one after may be part of the encoding. Avro writes the length of a
    /// string before it, and the lengths 24 to 28 look like the digits 0, 2, 4, 6 and 8.
    OneDigit,
}

impl Framing {
    /// How many digits next to a number show that it goes on there.
    const fn excess_digits(self) -> usize {
        match self {
            Self::Exact => 1,
            Self::OneDigit => 2,
        }
    }

    fn may_start_at(self, bytes: &[u8], position: usize) -> bool {
        let before = position.checked_sub(self.excess_digits()).map(|from| &bytes[from..position]);
        !before.is_some_and(are_digits)
    }

    fn may_end_at(self, bytes: &[u8], position: usize) -> bool {
        let after = bytes.get(position..position + self.excess_digits());
        !after.is_some_and(are_digits)
    }

    /// In encoded bytes a neighbour may complete the shape of a format by chance, so there is none.
    fn is_known_format(self, bytes: &[u8], number: &Range<usize>) -> bool {
        match self {
            Self::Exact => known_format::overlaps(bytes, number),
            Self::OneDigit => false,
        }
    }
}

/// Where the first card number stands, in bytes; `None` for almost every text.
pub fn find(text: &str) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    if has_too_few_digits(bytes) {
        return None;
    }
    next_number(bytes, 0, Framing::Exact)
}

/// The text with `*` in place of each card number, as long as before; `None` if it holds none.
pub fn mask(text: &str) -> Option<String> {
    let masked = mask_with(text.as_bytes(), Framing::Exact)?;
    Some(String::from_utf8(masked).expect("ASCII digits and separators were replaced by ASCII"))
}

/// As [`mask`], for encoded records, so that each text in which [`find`] finds a number is masked inside an Avro
/// record too. The price is to mask more: a digit right before or after a number may belong to the encoding,
/// and digests, UUIDs and IBANs are not told apart. So ask only for records that hold a number, or cannot be read.
pub fn mask_bytes(bytes: &[u8]) -> Option<Vec<u8>> {
    mask_with(bytes, Framing::OneDigit)
}

fn mask_with(bytes: &[u8], framing: Framing) -> Option<Vec<u8>> {
    if has_too_few_digits(bytes) {
        return None;
    }
    let mut number = next_number(bytes, 0, framing)?;
    let mut masked = bytes.to_vec();
    loop {
        masked[number.clone()].fill(b'*');
        // Not from its end on: where two readings of the digits overlap, nobody can say which is the card.
        match next_number(bytes, number.start + 1, framing) {
            Some(next) => number = next,
            None => return Some(masked),
        }
    }
}

/// The fast path: most texts hold too few digits, and counting them needs no branches.
fn has_too_few_digits(bytes: &[u8]) -> bool {
    bytes.len() < SHORTEST || bytes.iter().filter(|byte| byte.is_ascii_digit()).count() < SHORTEST
}

fn are_digits(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_digit)
}

fn is_digit_at(bytes: &[u8], position: usize) -> bool {
    bytes.get(position).is_some_and(u8::is_ascii_digit)
}

/// The first card number that starts at or after a position.
fn next_number(bytes: &[u8], from: usize, framing: Framing) -> Option<Range<usize>> {
    for start in from..bytes.len() {
        if !is_digit_at(bytes, start) || !framing.may_start_at(bytes, start) {
            continue;
        }
        if let Some(end) = end_of_number(bytes, start, framing) {
            return Some(start..end);
        }
    }
    None
}

/// Where the longest card number ends that starts at this digit.
fn end_of_number(bytes: &[u8], start: usize, framing: Framing) -> Option<usize> {
    // No prefix of the table starts otherwise: times since 1970 and most short ids end here.
    if !matches!(bytes[start], b'2'..=b'6') {
        return None;
    }
    let mut digits = [0; LONGEST];
    let mut end_of_longest = None;
    let mut position = start;
    for count in 1..=LONGEST {
        digits[count - 1] = bytes[position] - b'0';
        position += 1;
        let is_number = framing.may_end_at(bytes, position) && is_card_number(&digits[..count]);
        if is_number && !framing.is_known_format(bytes, &(start..position)) {
            end_of_longest = Some(position);
        }
        let is_separated = matches!(bytes.get(position), Some(b' ' | b'-'));
        position += usize::from(is_separated);
        if !is_digit_at(bytes, position) {
            break;
        }
    }
    end_of_longest
}

fn is_card_number(digits: &[u8]) -> bool {
    if digits.len() < SHORTEST {
        return false;
    }
    let prefix = digits[..4].iter().fold(0, |prefix, digit| prefix * 10 + u16::from(*digit));
    let is_issued = ISSUERS.iter().any(|issuer| {
        (issuer.first..=issuer.last).contains(&prefix) && issuer.lengths.contains(&digits.len())
    });
    is_issued && has_valid_check_digit(digits)
}

/// Luhn: from the right, every second digit counts twice, as the sum of its own digits.
fn has_valid_check_digit(digits: &[u8]) -> bool {
    let mut sum = 0;
    for (place, digit) in digits.iter().rev().enumerate() {
        let counted = if place % 2 == 1 { digit * 2 } else { *digit };
        sum += u32::from(counted / 10 + counted % 10);
    }
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers that schemes and payment providers publish for tests.
    const TEST_NUMBERS: &[(&str, &str)] = &[
        ("Visa", "4111111111111111"),
        ("Visa", "4012888888881881"),
        ("Visa, 13 digits", "4222222222222"),
        ("Visa, 19 digits", "4000000000000000006"),
        ("Mastercard", "5555555555554444"),
        ("Mastercard", "5105105105105100"),
        ("Mastercard, range of 2", "2223003122003222"),
        ("Mastercard, first of 2", "2221000000000009"),
        ("Mastercard, last of 2", "2720990000000007"),
        ("American Express", "378282246310005"),
        ("American Express", "341111111111111"),
        ("Discover", "6011111111111117"),
        ("Discover", "6445644564456445"),
        ("Discover", "6511111111111112"),
        ("Diners Club", "30569309025904"),
        ("Diners Club", "38520000023237"),
        ("Diners Club", "36227206271667"),
        ("Diners Club, 16 digits", "3056930009020004"),
        ("JCB", "3530111333300000"),
        ("JCB", "3566002020360505"),
        ("UnionPay", "6200000000000005"),
        ("UnionPay, 19 digits", "6205500000000000004"),
        ("Maestro", "6759649826438453"),
        ("Maestro", "6304000000000000"),
        ("Maestro, 13 digits", "5000000000005"),
    ];

    #[test]
    fn numbers_of_each_scheme() {
        for (scheme, number) in TEST_NUMBERS {
            assert_eq!(find(number), Some(0..number.len()), "{scheme} {number}");
            for (before, after) in
                [(" ", " "), ("card:", "."), ("x", "y"), ("č", "č"), ("12 ", ""), ("1.", ".2")]
            {
                let text = format!("{before}{number}{after}");
                assert_eq!(find(&text), Some(before.len()..before.len() + number.len()), "{text}");
            }
            for text in [format!("0{number}"), format!("{number}0"), format!("1{number}1")] {
                if text.len() > LONGEST {
                    assert_eq!(find(&text), None, "{text}");
                }
            }
            let last_digit = number.len() - 1;
            let other_digit = if number.ends_with('9') { '8' } else { '9' };
            let misread = format!("{}{other_digit}", &number[..last_digit]);
            assert_eq!(find(&misread), None, "{scheme} {misread}");
        }
    }

    #[test]
    fn separated_numbers() {
        let cases = [
            ("4111 1111 1111 1111", Some(0..19)),
            ("4111-1111-1111-1111", Some(0..19)),
            ("3782 822463 10005", Some(0..17)),
            ("no 4111 1111-11111111!", Some(3..21)),
            ("2026-03-02 4111 1111 1111 1111 12/27", Some(11..30)),
            ("4111  1111 1111 1111", None),
            ("4111.1111.1111.1111", None),
            ("4111 1111 1111 111", None),
            ("4111 1111 1111 11112", None),
        ];
        for (text, expected) in cases {
            assert_eq!(find(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_card_number() {
        let cases = [
            ("a long account that fails Luhn", "4111111111111112"),
            ("a long account without an issuer prefix", "1234567812345670"),
            ("all zeros", "0000000000000000"),
            ("a time in microseconds", "1772442900000000"),
            ("a length that the scheme does not have", "41111111111148"),
            ("20 digits", "41111111111111111111"),
            ("an account and its bank", "000000-1920145399/0800"),
            ("12 digits: a telephone number", "573001234562"),
            ("too few digits", "4111-1111"),
            ("nothing", ""),
        ];
        for (what, text) in cases {
            assert_eq!(find(text), None, "{what}: {text}");
            assert_eq!(mask(text), None, "{what}: {text}");
        }
    }

    #[test]
    fn every_number_is_masked_in_place() {
        let text = "č 4111111111111111, 3782 822463 10005 and 12345";
        let masked = mask(text).expect("two numbers");
        assert_eq!(masked, "č ****************, ***************** and 12345");
        assert_eq!(mask_bytes(text.as_bytes()), Some(masked.into_bytes()));
        assert_eq!(mask_bytes(b"\xff4111111111111111\xfe"), Some(b"\xff****************\xfe".to_vec()));
        assert_eq!(mask_bytes(b"\xff\x00"), None);
    }

    #[test]
    fn the_length_byte_of_an_encoded_string_hides_no_number() {
        for text_len in 16..64u8 {
            // Avro: the length as a zigzag varint of one byte, the text, and the length of the next text.
            let padding = usize::from(text_len) - 16;
            for text in [
                format!("4111111111111111{}", "x".repeat(padding)),
                format!("{}4111111111111111", "x".repeat(padding)),
            ] {
                let record = [&[text_len * 2], text.as_bytes(), &[text_len * 2]].concat();
                let masked = mask_bytes(&record).expect("a number");
                let shown = text.replace("4111111111111111", &"*".repeat(16));
                let expected = [&[text_len * 2], shown.as_bytes(), &[text_len * 2]];
                assert_eq!(masked, expected.concat(), "{text}");
            }
        }
    }

    fn text_with_digits() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            4 => "[0-9]{1,6}",
            2 => "[ -]",
            1 => "[a-gA-G:.č]{1,3}",
            2 => proptest::sample::select(TEST_NUMBERS).prop_map(|(_, number)| number.to_owned()),
        ];
        proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    /// The definition in the module's documentation, read word for word: every range is tried.
    fn holds_number_naively(text: &str) -> bool {
        let bytes = text.as_bytes();
        let is_digit =
            |position: Option<usize>| position.is_some_and(|position| is_digit_at(bytes, position));
        for start in 0..bytes.len() {
            for end in start + SHORTEST..=bytes.len().min(start + 2 * LONGEST) {
                let part = &bytes[start..end];
                let digits: Vec<u8> =
                    part.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0').collect();
                let is_bounded = is_digit(Some(start))
                    && is_digit(Some(end - 1))
                    && !is_digit(start.checked_sub(1))
                    && !is_digit(Some(end));
                let is_separated_well = part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b' ' | b'-'))
                    && part.windows(2).all(|pair| pair.iter().any(u8::is_ascii_digit));
                let is_known = known_format::overlaps(bytes, &(start..end));
                if is_bounded && is_separated_well && is_card_number(&digits) && !is_known {
                    return true;
                }
            }
        }
        false
    }

    proptest! {
        #[test]
        fn finds_what_the_definition_says(text in text_with_digits()) {
            prop_assert_eq!(find(&text).is_some(), holds_number_naively(&text));
        }

        #[test]
        fn a_mask_keeps_the_length_and_leaves_nothing_to_find(text in text_with_digits()) {
            if let Some(masked) = mask(&text) {
                prop_assert_eq!(masked.len(), text.len());
                prop_assert_eq!(find(&masked), None, "{}", masked);
                prop_assert!(masked.bytes().zip(text.bytes()).all(|(after, before)| after == before || after == b'*'));
            } else {
                prop_assert_eq!(find(&text), None);
            }
        }

        #[test]
        fn what_text_hides_bytes_hide_too(text in text_with_digits(), before in any::<u8>(), after in any::<u8>()) {
            let Some(number) = find(&text) else { return Ok(()) };
            let record = [&[before], text.as_bytes(), &[after]].concat();
            let masked = mask_bytes(&record).expect("a number that text shows");
            let hidden = &masked[number.start + 1..number.end + 1];
            prop_assert!(hidden.iter().all(|byte| *byte == b'*'), "{}", String::from_utf8_lossy(&masked));
        }

        #[test]
        fn any_input_is_searched_without_a_panic(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(find(&text).is_some(), mask(&text).is_some());
            if let Some(masked) = mask_bytes(&bytes) {
                prop_assert_eq!(masked.len(), bytes.len());
            }
        }
    }
}
