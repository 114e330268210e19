//! What a row of a table is, and the words that the tables are written in.

use settle_settlement::Contract;
use settle_types::authorize::PaymentApproved;
use settle_types::request::{EventType, PaymentRequested};
use settle_types::{BasisPoints, Minor, Timestamp};

use crate::support::build::*;
use crate::support::settle_script::Step;
use crate::support::settle_script::Step::{Approved, Book};

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) contract: Contract,
    pub(crate) steps: Vec<Step>,
    pub(crate) expected: &'static str,
}

/// 1 % and T+1 in days of UTC.
pub(crate) fn row(name: &'static str, steps: Vec<Step>, expected: &'static str) -> Row {
    Row { name, contract: plain_contract(), steps, expected }
}

pub(crate) fn under(contract: Contract, name: &'static str, steps: Vec<Step>, expected: &'static str) -> Row {
    Row { name, contract, steps, expected }
}

pub(crate) fn free() -> Contract {
    Contract { fees: fee("*", 0, &[]), ..Contract::default() }
}

/// 10 % of the sales, kept for so many days.
pub(crate) fn reserving(days: u32) -> Contract {
    Contract { reserve_basis_points: BasisPoints::new(1_000), reserve_days: days, ..free() }
}

pub(crate) fn p(id: &str) -> Step {
    Book(payment(id))
}

pub(crate) fn of(id: &str, amount_minor: i64) -> PaymentRequested {
    PaymentRequested { amount_minor, ..payment(id) }
}

pub(crate) fn of_other_debtor(request: PaymentRequested) -> PaymentRequested {
    PaymentRequested { debtor_account: "d-2".into(), ..request }
}

/// A record as AUTHORIZE would not write it.
pub(crate) fn made(event_type: EventType, id: &str, original: Option<&str>) -> Step {
    Approved(Box::new(PaymentApproved {
        event_type,
        payment_id: id.into(),
        original_payment_id: original.map(Into::into),
        debtor_account: "d-1".into(),
        merchant_id: "m-1".into(),
        amount_minor: Minor::new(100),
        currency: currency("EUR"),
        payment_method: "CARD".into(),
        requested_at: noon(),
        decision_id: Default::default(),
        decided_at: noon(),
    }))
}

/// Midnight UTC after so many days: the cut-off of the day before.
pub(crate) fn midnight(days: u32) -> Timestamp {
    at(days, 0, 0)
}

pub(crate) fn just_before(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.as_micros() - 1)
}
