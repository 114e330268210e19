//! What a payment costs the merchant, and what of it a refund gives back.

use settle_types::money::{Overflow, divide_half_even};
use settle_types::{Currency, Minor};

use crate::contract::Contract;

/// Why a payment has no fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeeError {
    /// Neither the method nor `*` has a fee: the payment is refused.
    #[error("the contract has no fee for the payment method: add it under `fees`, or a fee for `*`")]
    NoFeeForMethod,
    /// The fee is beyond 64 bits.
    #[error("the fee is beyond the range of 64-bit minor units")]
    Overflow,
}

impl From<Overflow> for FeeError {
    fn from(_: Overflow) -> Self {
        Self::Overflow
    }
}

/// Fee of a payment in minor units: the share of the amount, rounded once half to even, plus the fixed part.
///
/// A fee may exceed the amount: a fixed part of 0.25 EUR on a payment of 0.10 EUR leaves the merchant owing
/// 0.15 EUR.
pub fn fee(
    contract: &Contract,
    payment_method: &str,
    currency: Currency,
    amount: Minor,
) -> Result<Minor, FeeError> {
    let fee = contract.fee_for(payment_method).ok_or(FeeError::NoFeeForMethod)?;
    let fixed = fee.fixed_minor.get(&currency).copied().unwrap_or(Minor::ZERO);
    Ok(fee.basis_points.of(amount)?.plus(fixed)?)
}

/// Fee that a refund gives back where the contract returns fees, in minor units. `refunded_before` is what was
/// refunded of the original before.
///
/// The share of the sum refunded so far, rounded half to even, less the share returned before: so refunds in any
/// number of parts return exactly the whole fee with the last unit, and never more. What is refunded beyond the
/// amount returns nothing.
pub fn fee_returned(
    original_amount: Minor,
    original_fee: Minor,
    refunded_before: Minor,
    refund: Minor,
) -> Result<Minor, FeeError> {
    if !original_amount.is_positive() {
        return Ok(Minor::ZERO);
    }
    let share = |refunded: i128| {
        let refunded = refunded.clamp(0, original_amount.wide());
        divide_half_even(original_fee.wide() * refunded, original_amount.wide())
    };
    let before = refunded_before.wide();
    let returned = share(before + refund.wide()) - share(before);
    Ok(Minor::from_wide(returned)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::contract::Fee;
    use proptest::prelude::*;
    use settle_types::BasisPoints;

    fn currency(code: &str) -> Currency {
        Currency::new(code).expect("a code")
    }

    fn contract() -> Contract {
        let fee = |basis_points: u32, fixed: &[(&str, i64)]| Fee {
            basis_points: BasisPoints::new(basis_points),
            fixed_minor: fixed.iter().map(|(code, minor)| (currency(code), Minor::new(*minor))).collect(),
        };
        let fees = BTreeMap::from([
            ("CARD".to_string(), fee(290, &[("EUR", 25)])),
            ("*".to_string(), fee(200, &[])),
            ("FREE".to_string(), fee(0, &[])),
        ]);
        Contract { fees, ..Contract::default() }
    }

    #[test]
    fn fees_by_hand() {
        let cases = [
            // 2.9 % of 100.00 EUR is 2.90, and 0.25.
            ("CARD", "EUR", 10_000, 315),
            // 2.9 % of 0.10 is 0.0029, rounded to 0; the fixed part exceeds the amount.
            ("CARD", "EUR", 10, 25),
            // No fixed part in this currency.
            ("CARD", "CZK", 10_000, 290),
            // Ties: 2 % of 125 is 2.5 and goes to 2; of 175 is 3.5 and goes to 4.
            ("BANK_TRANSFER", "EUR", 125, 2),
            ("BANK_TRANSFER", "EUR", 175, 4),
            ("FREE", "EUR", 10_000, 0),
        ];
        for (method, code, amount, expected) in cases {
            let found = fee(&contract(), method, currency(code), Minor::new(amount));
            assert_eq!(found, Ok(Minor::new(expected)), "{method} {amount} {code}");
        }
    }

    #[test]
    fn payments_without_a_fee() {
        let mut contract = contract();
        contract.fees.remove("*");
        let euro = currency("EUR");
        assert_eq!(fee(&contract, "card", euro, Minor::new(1)), Err(FeeError::NoFeeForMethod));
        contract.fees.get_mut("CARD").expect("a fee").basis_points = BasisPoints::new(10_000);
        assert_eq!(fee(&contract, "CARD", euro, Minor::new(i64::MAX)), Err(FeeError::Overflow));
    }

    #[test]
    fn returned_fees_by_hand() {
        // Amount 1000, fee 29: 2.9 for each 100 refunded.
        let cases = [
            (0, 1_000, 29),
            (0, 100, 3),
            // 200 refunded return 5.8, rounded 6, of which 3 came back before.
            (100, 100, 3),
            // 500 refunded return 14.5, rounded half to even to 14; 400 returned 11.6, rounded 12.
            (400, 100, 2),
            (900, 100, 3),
            (0, 0, 0),
            // Beyond the amount nothing is left.
            (1_000, 100, 0),
            (900, 200, 3),
        ];
        for (refunded_before, refund, expected) in cases {
            let [amount, fee, before, refund] = [1_000, 29, refunded_before, refund].map(Minor::new);
            let found = fee_returned(amount, fee, before, refund);
            assert_eq!(found, Ok(Minor::new(expected)), "{refund:?} after {before:?}");
        }
    }

    proptest! {
        #[test]
        fn a_refund_in_parts_returns_the_whole_fee(
            parts in proptest::collection::vec(1..=i64::MAX / 16, 1..16),
            fee in 0..=i64::MAX,
        ) {
            let amount = Minor::new(parts.iter().sum());
            let fee = Minor::new(fee);
            let mut refunded_before = Minor::ZERO;
            let mut returned = 0;
            for part in parts {
                let share = fee_returned(amount, fee, refunded_before, Minor::new(part)).expect("within the fee");
                prop_assert!(!share.is_negative());
                returned += share.wide();
                refunded_before = refunded_before.plus(Minor::new(part)).expect("within the amount");
            }
            prop_assert_eq!(returned, fee.wide());
        }

        #[test]
        fn a_fee_never_falls_with_the_amount(lower in 0..1_000_000_000i64, more in 0..1_000_000i64) {
            let fee_of = |amount: i64| fee(&contract(), "CARD", currency("EUR"), Minor::new(amount));
            prop_assert!(fee_of(lower).expect("in range") <= fee_of(lower + more).expect("in range"));
        }
    }
}
