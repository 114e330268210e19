//! What a batch owes the merchant when it closes: net, reserve, payout and what goes into the next batch.

use settle_types::money::Overflow;
use settle_types::settle::BatchTotals;
use settle_types::{Currency, Duration, Minor, Timestamp};

use crate::contract::{Contract, MAX_RESERVE_DAYS};

/// What the batch owes the merchant, in minor units; below zero: what the merchant owes.
///
/// carried in + sales − fees − refunds − chargebacks + reversals + released reserves, summed in 128 bits.
pub fn net(totals: &BatchTotals) -> Result<Minor, Overflow> {
    let owed = totals.carried_in_minor.wide()
        + totals.sales_minor.wide()
        + totals.reversals_minor.wide()
        + totals.reserve_released_minor.wide();
    let due = totals.fees_minor.wide() + totals.refunds_minor.wide() + totals.chargebacks_minor.wide();
    Minor::from_wide(owed - due)
}

/// Where the net of a batch goes: `net = reserve + payout + carried_out`. One of the last two is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// Kept back; zero or more.
    pub reserve: Minor,
    /// Paid out; zero if the batch is carried.
    pub payout: Minor,
    /// Left for the next batch; below zero: owed by the merchant.
    pub carried_out: Minor,
}

/// Divides the net of a batch.
///
/// The reserve is a share of the gross sales, rounded half to even, but never more than the net, and none of a
/// net below zero. What is then available is paid out if it is above zero and not below the minimum payout of
/// the currency; else all of it is carried.
pub fn close(totals: &BatchTotals, contract: &Contract, currency: Currency) -> Result<Close, Overflow> {
    let net = net(totals)?;
    let share_of_sales = contract.reserve_basis_points.of(totals.sales_minor)?;
    let reserve = share_of_sales.clamp(Minor::ZERO, net.max(Minor::ZERO));
    let available = net.minus(reserve)?;
    let is_paid_out = available.is_positive() && available >= contract.minimum_payout(currency);
    let (payout, carried_out) = if is_paid_out { (available, Minor::ZERO) } else { (Minor::ZERO, available) };
    Ok(Close { reserve, payout, carried_out })
}

/// When the reserve of a batch falls free: `reserve_days` of 24 hours after the cut-off at which it closed. `None`
/// if the contract keeps no reserve.
pub fn reserve_release_at(cut_off_at: Timestamp, contract: &Contract) -> Option<Timestamp> {
    if contract.reserve_basis_points.get() == 0 {
        return None;
    }
    Some(cut_off_at.saturating_add(Duration::from_days(contract.reserve_days.min(MAX_RESERVE_DAYS))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;
    use settle_types::BasisPoints;

    fn euro() -> Currency {
        Currency::new("EUR").expect("a code")
    }

    fn contract(reserve_basis_points: u32, minimum: i64) -> Contract {
        Contract {
            reserve_basis_points: BasisPoints::new(reserve_basis_points),
            reserve_days: 90,
            minimum_payout_minor: BTreeMap::from([(euro(), Minor::new(minimum))]),
            ..Contract::default()
        }
    }

    /// In the order of the formula of [`net`].
    fn totals(amounts: [i64; 7]) -> BatchTotals {
        let [carried_in, sales, fees, refunds, chargebacks, reversals, released] = amounts.map(Minor::new);
        BatchTotals {
            carried_in_minor: carried_in,
            sales_minor: sales,
            fees_minor: fees,
            refunds_minor: refunds,
            chargebacks_minor: chargebacks,
            reversals_minor: reversals,
            reserve_released_minor: released,
            ..BatchTotals::default()
        }
    }

    #[test]
    fn closes_by_hand() {
        // (totals, reserve in basis points, minimum) → (reserve, payout, carried out)
        let cases = [
            // Sales less fees.
            ([0, 10_000, 315, 0, 0, 0, 0], 0, 0, (0, 9_685, 0)),
            // 5 % of the gross sales is kept.
            ([0, 10_000, 315, 0, 0, 0, 0], 500, 0, (500, 9_185, 0)),
            // Every sum: 100 + 10000 - 315 - 2000 - 1000 + 400 + 50 = 7235.
            ([100, 10_000, 315, 2_000, 1_000, 400, 50], 500, 0, (500, 6_735, 0)),
            // Ties of the reserve: 5 % of 50 is 2.5 and goes to 2, of 70 is 3.5 and goes to 4.
            ([0, 50, 0, 0, 0, 0, 0], 500, 0, (2, 48, 0)),
            ([0, 70, 0, 0, 0, 0, 0], 500, 0, (4, 66, 0)),
            // At the minimum it is paid, below it is carried; the reserve is kept all the same.
            ([0, 10_000, 0, 0, 0, 0, 0], 500, 9_500, (500, 9_500, 0)),
            ([0, 10_000, 0, 0, 0, 0, 0], 500, 9_501, (500, 0, 9_500)),
            // The reserve takes no more than the net.
            ([0, 10_000, 0, 9_800, 0, 0, 0], 500, 0, (200, 0, 0)),
            // A merchant in debt: no reserve, the debt is carried.
            ([0, 10_000, 300, 12_000, 0, 0, 0], 500, 0, (0, 0, -2_300)),
            ([-5_000, 0, 0, 0, 0, 0, 2_000], 500, 0, (0, 0, -3_000)),
            // A released reserve alone is paid out.
            ([0, 0, 0, 0, 0, 0, 500], 500, 0, (0, 500, 0)),
            ([0, 0, 0, 0, 0, 0, 0], 500, 0, (0, 0, 0)),
            // Fees given back with refunds exceed those charged.
            ([0, 0, -29, 1_000, 0, 0, 0], 0, 0, (0, 0, -971)),
        ];
        for (amounts, basis_points, minimum, (reserve, payout, carried_out)) in cases {
            let found = close(&totals(amounts), &contract(basis_points, minimum), euro());
            let [reserve, payout, carried_out] = [reserve, payout, carried_out].map(Minor::new);
            assert_eq!(found, Ok(Close { reserve, payout, carried_out }), "{amounts:?}");
        }
    }

    #[test]
    fn the_minimum_of_another_currency_does_not_count() {
        let koruna = Currency::new("CZK").expect("a code");
        let found = close(&totals([0, 10, 0, 0, 0, 0, 0]), &contract(0, 1_000), koruna);
        assert_eq!(found.map(|close| close.payout), Ok(Minor::new(10)));
    }

    #[test]
    fn a_net_beyond_64_bits_is_an_overflow() {
        let highest = i64::MAX;
        assert_eq!(close(&totals([highest, highest, 0, 0, 0, 0, 0]), &contract(0, 0), euro()), Err(Overflow));
        assert_eq!(close(&totals([-2, 0, 0, highest, 0, 0, 0]), &contract(0, 0), euro()), Err(Overflow));
    }

    #[test]
    fn reserves_fall_free_after_days_of_24_hours() {
        let cut_off_at = Timestamp::from_micros(1_772_492_400_000_000);
        let released = reserve_release_at(cut_off_at, &contract(500, 0)).expect("a reserve");
        assert_eq!(released.to_string(), "2026-05-31T23:00:00.000000Z");
        assert_eq!(reserve_release_at(cut_off_at, &contract(0, 0)), None);
    }

    proptest! {
        #[test]
        fn money_is_conserved(
            carried_in in -1_000_000_000_000i64..1_000_000_000_000,
            sums in proptest::array::uniform6(0i64..1_000_000_000_000),
            basis_points in 0u32..=10_000,
            minimum in 0i64..1_000_000_000,
        ) {
            let [sales, fees, refunds, chargebacks, reversals, released] = sums;
            let totals = totals([carried_in, sales, fees, refunds, chargebacks, reversals, released]);
            let close = close(&totals, &contract(basis_points, minimum), euro()).expect("in range");
            let net = net(&totals).expect("in range");
            let parts = close.reserve.wide() + close.payout.wide() + close.carried_out.wide();
            prop_assert_eq!(parts, net.wide());
            prop_assert!(!close.reserve.is_negative() && !close.payout.is_negative());
            prop_assert!(close.payout.is_zero() || close.carried_out.is_zero());
            prop_assert!(close.payout.is_zero() || close.payout.get() >= minimum);
            prop_assert!(close.reserve <= net.max(Minor::ZERO));
        }
    }
}
