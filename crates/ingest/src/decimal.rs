//! Decimal text to minor units, exactly: integers only, no rounding.

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DecimalError {
    /// Not digits with at most one separator.
    NotANumber,
    /// More decimals than the currency has, and not all of the surplus are zeros.
    TooManyDecimals,
    /// Beyond 64-bit minor units.
    TooLarge,
}

/// Minor units of a decimal such as `-1234.50`, for a currency with `exponent` decimals.
///
/// Decimals beyond the exponent must be zeros. No grouping of digits, no exponent notation, at least one digit
/// before the separator and after it.
pub(crate) fn to_minor(text: &str, separator: char, exponent: u8) -> Result<i64, DecimalError> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = match unsigned.split_once(separator) {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(DecimalError::NotANumber),
        None => (unsigned, ""),
    };
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return Err(DecimalError::NotANumber);
    }
    let exponent = usize::from(exponent);
    let (kept, surplus) = fraction.split_at(fraction.len().min(exponent));
    if surplus.bytes().any(|byte| byte != b'0') {
        return Err(DecimalError::TooManyDecimals);
    }
    let padding = std::iter::repeat_n(b'0', exponent - kept.len());
    let mut minor_units: i64 = 0;
    for digit in whole.bytes().chain(kept.bytes()).chain(padding) {
        let value = i64::from(digit - b'0');
        // The sum is built with its sign, because the lowest i64 has no positive counterpart.
        let signed_value = if is_negative { -value } else { value };
        let shifted = minor_units.checked_mul(10).ok_or(DecimalError::TooLarge)?;
        minor_units = shifted.checked_add(signed_value).ok_or(DecimalError::TooLarge)?;
    }
    Ok(minor_units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_of_each_kind() {
        use DecimalError::{NotANumber, TooLarge, TooManyDecimals};
        let cases = [
            ("2452.00", 2, Ok(245_200)),
            ("2452", 2, Ok(245_200)),
            ("2452.5", 2, Ok(245_250)),
            ("-0.05", 2, Ok(-5)),
            ("+7", 2, Ok(700)),
            ("007.10", 2, Ok(710)),
            ("500.000", 0, Ok(500)),
            ("1.234", 3, Ok(1_234)),
            ("1.2300000", 2, Ok(123)),
            ("1.005", 2, Err(TooManyDecimals)),
            ("0.5", 0, Err(TooManyDecimals)),
            ("92233720368547758.07", 2, Ok(i64::MAX)),
            ("-92233720368547758.08", 2, Ok(i64::MIN)),
            ("92233720368547758.08", 2, Err(TooLarge)),
            ("99999999999999999999", 0, Err(TooLarge)),
            ("", 2, Err(NotANumber)),
            ("-", 2, Err(NotANumber)),
            (".5", 2, Err(NotANumber)),
            ("5.", 2, Err(NotANumber)),
            ("1,234.50", 2, Err(NotANumber)),
            ("1.2.3", 2, Err(NotANumber)),
            ("1e3", 2, Err(NotANumber)),
            ("--1", 2, Err(NotANumber)),
            ("١٢", 2, Err(NotANumber)),
        ];
        for (text, exponent, expected) in cases {
            assert_eq!(to_minor(text, '.', exponent), expected, "{text} with {exponent} decimals");
        }
        assert_eq!(to_minor("1,5", ',', 2), Ok(150));
        assert_eq!(to_minor("1.5", ',', 2), Err(NotANumber));
    }

    /// The same by another road: drop the separator, parse 128-bit integers, scale by powers of ten.
    fn independent(whole: i64, fraction: &str, exponent: u32) -> Option<i128> {
        let places = u32::try_from(fraction.len()).ok()?;
        let fraction_value: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        let sign = if whole < 0 { -1 } else { 1 };
        let scaled =
            (i128::from(whole) * 10_i128.pow(places) + sign * fraction_value) * 10_i128.pow(exponent);
        let divisor = 10_i128.pow(places);
        (scaled % divisor == 0).then_some(scaled / divisor)
    }

    proptest! {
        #[test]
        fn conversion_agrees_with_an_independent_one(
            whole in prop_oneof![any::<i64>(), -100_000i64..100_000],
            fraction in "[0-9]{0,3}0{0,3}",
            exponent in 0u8..=6,
        ) {
            // "-0.5" has a sign that an integer cannot carry: the table above covers it.
            let text = if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") };
            let expected = match independent(whole, &fraction, exponent.into()) {
                None => Err(DecimalError::TooManyDecimals),
                Some(wide) => i64::try_from(wide).map_err(|_| DecimalError::TooLarge),
            };
            prop_assert_eq!(to_minor(&text, '.', exponent), expected);
        }

        #[test]
        fn any_text_is_converted_or_refused(text in ".*", exponent in 0u8..=6) {
            if to_minor(&text, '.', exponent).is_ok() {
                prop_assert!(text.chars().all(|c| c.is_ascii_digit() || ".+-".contains(c)));
            }
        }
    }
}
