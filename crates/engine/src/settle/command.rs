//! What can be asked of SETTLE.

use settle_types::authorize::PaymentApproved;
use settle_types::event::{ConfigActivation, SourcePosition};
use settle_types::reason;

use super::state::DueRow;
use crate::input::Malformed;
use crate::stage::DueCause;
use crate::state_key::StateKey;

/// One thing to decide.
#[derive(Debug)]
pub enum Command {
    /// A record of `payments.approved`.
    Approved(Box<ApprovedRecord>),
    /// A row of the due table.
    Due {
        /// Its key.
        key: StateKey,
        /// What is due.
        due: DueRow,
        /// Why it is handled.
        cause: DueCause,
    },
    /// A configuration to activate.
    Activate(ConfigActivation),
}

/// A record of `payments.approved`.
#[derive(Debug)]
pub struct ApprovedRecord {
    /// Where it was read.
    pub position: SourcePosition,
    /// Partition of the ledger that it posts to: the number of the input's partition (I3).
    pub decoded: Result<PaymentApproved, Malformed>,
}

impl Command {
    /// A record of `payments.approved`. One that AUTHORIZE cannot have written is malformed: it must not stop the stage.
    pub fn approved(position: SourcePosition, decoded: Result<PaymentApproved, Malformed>) -> Self {
        let decoded = decoded.and_then(|approved| match approved.amount_minor.get() {
            amount if amount > 0 => Ok(approved),
            amount => {
                let detail = format!("amount_minor: {amount} was found, an amount above zero was expected");
                Err(Malformed { code: reason::AMOUNT_NOT_POSITIVE, detail })
            }
        });
        Self::Approved(Box::new(ApprovedRecord { position, decoded }))
    }
}

#[cfg(test)]
mod tests {
    use settle_types::request::EventType;
    use settle_types::{Currency, Minor, Timestamp};

    use super::*;

    fn approved(amount_minor: i64) -> PaymentApproved {
        PaymentApproved {
            event_type: EventType::Payment,
            payment_id: "p-1".into(),
            original_payment_id: None,
            debtor_account: "debtor".into(),
            merchant_id: "m-1".into(),
            amount_minor: Minor::new(amount_minor),
            currency: Currency::new("EUR").expect("a code"),
            payment_method: "CARD".into(),
            requested_at: Timestamp::EPOCH,
            decision_id: "payments.requested-0-0".into(),
            decided_at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn an_amount_that_nobody_can_have_approved_is_malformed() {
        for (amount_minor, is_taken) in [(1, true), (0, false), (-1, false), (i64::MIN, false)] {
            let command = Command::approved(SourcePosition::default(), Ok(approved(amount_minor)));
            let Command::Approved(record) = command else { panic!("it is a record") };
            let code = record.decoded.as_ref().err().map(|malformed| malformed.code);
            assert_eq!(code, (!is_taken).then_some(reason::AMOUNT_NOT_POSITIVE), "{amount_minor}");
        }
    }
}
