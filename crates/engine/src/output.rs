//! Records that `project` makes from an event for the topics beside the journal.

use settle_types::DebtorAccount;
use settle_types::authorize::{PaymentApproved, PaymentResult};
use settle_types::event::SourcePosition;
use settle_types::settle::{LedgerTransaction, Payout};
use settle_types::topic::{self, header};

use crate::input::Input;

/// Which partition a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The one with the number of the input's partition (I3).
    SameAsInput,
    /// The one that the key's hash names.
    ByKey,
}

/// A record for another topic than the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// One of [`settle_types::topic`].
    pub topic: &'static str,
    /// Which partition.
    pub placement: Placement,
    /// Its key; a dead letter has that of its source.
    pub key: Option<Vec<u8>>,
    /// What it says.
    pub payload: Payload,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// `payments.approved`.
    Approved(PaymentApproved),
    /// `payments.results`.
    Result(PaymentResult),
    /// `ledger.transactions`.
    Ledger(LedgerTransaction),
    /// `settlement.payouts`.
    Payout(Payout),
    /// `payments.dead-letter`: the source's bytes, with the reason in the headers.
    DeadLetter {
        /// The source's value, with card numbers masked.
        value: Option<Vec<u8>>,
        /// Name and value.
        headers: Vec<(&'static str, String)>,
    },
    /// `payments.rerouted`: the source's bytes and all its headers, and where it stood in further headers.
    Rerouted {
        /// The source's value.
        value: Option<Vec<u8>>,
        /// Name and value of the further headers. They replace those of the source that have their names.
        headers: Vec<(&'static str, String)>,
    },
}

/// Whether a dead letter may carry its source's bytes as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masking {
    /// The record passed validation: no card number stands in it, and its ids are as they were declared.
    AsItIs,
    /// The record was not searched, or a card number was found: digits that look like one are masked.
    CardNumbers,
}

/// The dead letter of an input record that was not taken.
pub fn dead_letter(input: &Input<'_>, code: &str, reason: &str, masking: Masking) -> Output {
    let mut headers = source_headers(input.position);
    headers.extend([(header::CODE, code.to_owned()), (header::REASON, reason.to_owned())]);
    let mask = |bytes: &[u8]| match masking {
        Masking::AsItIs => None,
        Masking::CardNumbers => settle_risk::card_number::mask_bytes(bytes),
    };
    let masked_key = input.key.and_then(mask);
    let masked_value = input.value.and_then(mask);
    if masked_key.is_some() || masked_value.is_some() {
        headers.push((header::MASKED, "true".to_owned()));
        let original = blake3::hash(input.value.unwrap_or_default());
        headers.push((header::ORIGINAL_HASH, original.to_hex().to_string()));
    }
    Output {
        topic: topic::DEAD_LETTER,
        placement: Placement::SameAsInput,
        key: masked_key.or_else(|| input.key.map(<[u8]>::to_vec)),
        payload: Payload::DeadLetter {
            value: masked_value.or_else(|| input.value.map(<[u8]>::to_vec)),
            headers,
        },
    }
}

/// A request that stands in the wrong partition, for its right one: whatever key it came with, the copy has the one that
/// its partition follows from.
pub fn rerouted(input: &Input<'_>, debtor_account: &DebtorAccount) -> Output {
    Output {
        topic: topic::REROUTED,
        placement: Placement::ByKey,
        key: Some(debtor_account.as_str().as_bytes().to_vec()),
        payload: Payload::Rerouted {
            value: input.value.map(<[u8]>::to_vec),
            headers: source_headers(input.position),
        },
    }
}

fn source_headers(position: &SourcePosition) -> Vec<(&'static str, String)> {
    let SourcePosition { topic, partition, offset } = position;
    vec![
        (header::SOURCE_TOPIC, topic.to_string()),
        (header::SOURCE_PARTITION, partition.to_string()),
        (header::SOURCE_OFFSET, offset.to_string()),
    ]
}
