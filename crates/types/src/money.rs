//! Amounts in minor units and rates in basis points. Integers only; every operation is checked.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Currency, CurrencyTable};

/// An amount in minor units of a currency that stands beside it (cents, yen, fils). May be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Minor(i64);

/// An amount left the range of `i64` minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("amount beyond the range of 64-bit minor units")]
pub struct Overflow;

impl Minor {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From minor units.
    pub const fn new(minor_units: i64) -> Self {
        Self(minor_units)
    }

    /// Minor units.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// From a sum that was made in 128 bits.
    pub fn from_wide(minor_units: i128) -> Result<Self, Overflow> {
        i64::try_from(minor_units).map(Self).map_err(|_| Overflow)
    }

    /// For sums.
    pub const fn wide(self) -> i128 {
        self.0 as i128
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_add(other.0).map(Self).ok_or(Overflow)
    }

    /// The difference.
    pub fn minus(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_sub(other.0).map(Self).ok_or(Overflow)
    }

    /// The amount with the other sign.
    pub fn negated(self) -> Result<Self, Overflow> {
        self.0.checked_neg().map(Self).ok_or(Overflow)
    }

    /// True for zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// True below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// True above zero.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }
}

/// A rate in hundredths of a percent; 10,000 is the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BasisPoints(u32);

/// The whole, in basis points.
const WHOLE: i128 = 10_000;

impl BasisPoints {
    /// From hundredths of a percent.
    pub const fn new(basis_points: u32) -> Self {
        Self(basis_points)
    }

    /// Hundredths of a percent.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// This share of an amount, rounded half to even, once.
    pub fn of(self, amount: Minor) -> Result<Minor, Overflow> {
        Minor::from_wide(divide_half_even(amount.wide() * i128::from(self.0), WHOLE))
    }
}

/// Quotient rounded to the nearest integer, ties to the even one.
///
/// Panics if the divisor is not positive: it is a constant or a checked sum everywhere.
pub fn divide_half_even(dividend: i128, divisor: i128) -> i128 {
    assert!(divisor > 0, "the divisor of a rounded amount is positive");
    let floor = dividend.div_euclid(divisor);
    let doubled_remainder = dividend.rem_euclid(divisor) * 2;
    let round_up = doubled_remainder > divisor || (doubled_remainder == divisor && floor % 2 != 0);
    floor + i128::from(round_up)
}

/// Splits an amount in proportion to weights; the parts add up to it exactly.
///
/// Each part is rounded down, and the units left over go to the largest fractions, the earlier part first
/// where fractions are equal. `None` for an empty list, a negative weight, or weights that sum to zero.
pub fn split(amount: Minor, weights: &[u64]) -> Option<Vec<Minor>> {
    let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    if total == 0 {
        return None;
    }
    let mut parts = Vec::with_capacity(weights.len());
    let mut fractions = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let share = amount.wide().checked_mul(i128::from(*weight))?;
        parts.push(share.div_euclid(total));
        fractions.push((share.rem_euclid(total), index));
    }
    let left_over = usize::try_from(amount.wide() - parts.iter().sum::<i128>()).ok()?;
    fractions.sort_by(|(left, left_index), (right, right_index)| {
        right.cmp(left).then(left_index.cmp(right_index))
    });
    for (_, index) in fractions.into_iter().take(left_over) {
        parts[index] += 1;
    }
    parts.into_iter().map(|part| Minor::from_wide(part).ok()).collect()
}

/// An amount for people: `1,234.50 CZK`, `-0.005 BHD`, `500 JPY`.
pub struct Formatted<'a> {
    /// What to print; sums of many amounts may exceed 64 bits.
    pub minor_units: i128,
    /// Its currency.
    pub currency: Currency,
    /// Decimals by currency; an unknown currency prints minor units.
    pub currencies: &'a CurrencyTable,
}

impl fmt::Display for Formatted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = usize::from(self.currencies.exponent(self.currency).unwrap_or(0));
        let digits = format!("{:0width$}", self.minor_units.unsigned_abs(), width = exponent + 1);
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        let mut text = String::new();
        if self.minor_units < 0 {
            text.push('-');
        }
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        if exponent > 0 {
            text.push('.');
            text.push_str(fraction);
        }
        text.push(' ');
        text.push_str(self.currency.as_str());
        formatter.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_even_ties() {
        let cases = [(5, 0), (15, 2), (25, 2), (35, 4), (-5, 0), (-15, -2), (-25, -2), (14, 1), (16, 2)];
        for (tenths, expected) in cases {
            assert_eq!(divide_half_even(tenths, 10), expected, "{tenths}/10");
        }
    }

    #[test]
    fn basis_points_of_an_amount() {
        let cases = [(10_000, 290, 290), (125, 200, 2), (175, 200, 4), (0, 500, 0), (-10_000, 290, -290)];
        for (amount, rate, expected) in cases {
            assert_eq!(BasisPoints::new(rate).of(Minor::new(amount)), Ok(Minor::new(expected)));
        }
        assert_eq!(BasisPoints::new(20_000).of(Minor::new(i64::MAX)), Err(Overflow));
    }

    #[test]
    fn amounts_for_people() {
        let currencies = CurrencyTable::iso_4217();
        let cases = [
            (123_456_789, "CZK", "1,234,567.89 CZK"),
            (-5, "BHD", "-0.005 BHD"),
            (500, "JPY", "500 JPY"),
            (1_000, "JPY", "1,000 JPY"),
            (0, "EUR", "0.00 EUR"),
        ];
        for (minor_units, code, expected) in cases {
            let currency = Currency::new(code).expect("a code");
            assert_eq!(Formatted { minor_units, currency, currencies: &currencies }.to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn a_split_adds_up(amount in any::<i64>(), weights in proptest::collection::vec(0u64..1_000_000, 1..20)) {
            prop_assume!(weights.iter().sum::<u64>() > 0);
            let parts = split(Minor::new(amount), &weights).expect("weights are positive");
            prop_assert_eq!(parts.iter().map(|part| part.wide()).sum::<i128>(), i128::from(amount));
            let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
            for (part, weight) in parts.iter().zip(&weights) {
                let exact_scaled = i128::from(amount) * i128::from(*weight);
                prop_assert!((part.wide() * total - exact_scaled).abs() <= total);
            }
        }

        #[test]
        fn rounding_is_within_half(dividend in any::<i64>(), divisor in 1i64..i64::MAX) {
            let quotient = divide_half_even(dividend.into(), divisor.into());
            let error = (quotient * i128::from(divisor) - i128::from(dividend)).abs();
            prop_assert!(error * 2 <= i128::from(divisor));
        }
    }
}
