//! The seven schemas that this version of Settle writes, and the records that they describe.
//!
//! Owns the ids, subjects and texts. An id is part of the wire format of the embedded log: it names one text
//! for ever. Once records of a release exist, a changed schema gets a new id, and the older text stays
//! readable under its own.

use serde::{Serialize, de::DeserializeOwned};
use settle_types::authorize::{DecisionEvent, PaymentApproved, PaymentResult};
use settle_types::request::PaymentRequested;
use settle_types::settle::{LedgerTransaction, Payout, SettlementEvent};
use settle_types::topic;

/// A schema of `schemas/`, compiled into the program. The discriminant is its id in the wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum BuiltIn {
    /// Value of `payments.requested`.
    PaymentRequested = 1,
    /// Value of `payments.decided`.
    DecisionEvent = 2,
    /// Value of `payments.approved`.
    PaymentApproved = 3,
    /// Value of `payments.results`.
    PaymentResult = 4,
    /// Value of `settlement.events`.
    SettlementEvent = 5,
    /// Value of `ledger.transactions`.
    LedgerTransaction = 6,
    /// Value of `settlement.payouts`.
    Payout = 7,
}

impl BuiltIn {
    /// Every built-in schema, by id.
    pub const ALL: [Self; 7] = [
        Self::PaymentRequested,
        Self::DecisionEvent,
        Self::PaymentApproved,
        Self::PaymentResult,
        Self::SettlementEvent,
        Self::LedgerTransaction,
        Self::Payout,
    ];

    /// The id in the wire format, where no registry gives ids.
    pub const fn id(self) -> u32 {
        self as u32
    }

    /// The schema with this id, if there is one.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|schema| schema.id() == id)
    }

    /// The topic whose values it describes.
    pub const fn topic(self) -> &'static str {
        match self {
            Self::PaymentRequested => topic::REQUESTED,
            Self::DecisionEvent => topic::DECIDED,
            Self::PaymentApproved => topic::APPROVED,
            Self::PaymentResult => topic::RESULTS,
            Self::SettlementEvent => topic::SETTLEMENT_EVENTS,
            Self::LedgerTransaction => topic::LEDGER_TRANSACTIONS,
            Self::Payout => topic::PAYOUTS,
        }
    }

    /// The subject in a registry: the topic's name and `-value`.
    pub fn subject(self) -> String {
        format!("{}-value", self.topic())
    }

    /// Full name of the record, with its namespace.
    pub const fn full_name(self) -> &'static str {
        match self {
            Self::PaymentRequested => "settle.v1.PaymentRequested",
            Self::DecisionEvent => "settle.v1.DecisionEvent",
            Self::PaymentApproved => "settle.v1.PaymentApproved",
            Self::PaymentResult => "settle.v1.PaymentResult",
            Self::SettlementEvent => "settle.v1.SettlementEvent",
            Self::LedgerTransaction => "settle.v1.LedgerTransaction",
            Self::Payout => "settle.v1.Payout",
        }
    }

    /// The schema as it stands in its file, with documentation.
    pub const fn text(self) -> &'static str {
        match self {
            Self::PaymentRequested => include_str!("../../../schemas/PaymentRequested.avsc"),
            Self::DecisionEvent => include_str!("../../../schemas/DecisionEvent.avsc"),
            Self::PaymentApproved => include_str!("../../../schemas/PaymentApproved.avsc"),
            Self::PaymentResult => include_str!("../../../schemas/PaymentResult.avsc"),
            Self::SettlementEvent => include_str!("../../../schemas/SettlementEvent.avsc"),
            Self::LedgerTransaction => include_str!("../../../schemas/LedgerTransaction.avsc"),
            Self::Payout => include_str!("../../../schemas/Payout.avsc"),
        }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A record that has a built-in schema.
///
/// Sealed: that each of them can be encoded with its schema is tested for all of them, and [`crate::encode`]
/// relies on it.
pub trait AvroRecord: sealed::Sealed + Serialize + DeserializeOwned {
    /// The schema that it is written with.
    const SCHEMA: BuiltIn;
}

macro_rules! avro_records {
    ($($record:ident),+ $(,)?) => {
        $(
            impl sealed::Sealed for $record {}
            impl AvroRecord for $record {
                const SCHEMA: BuiltIn = BuiltIn::$record;
            }
        )+
    };
}

avro_records!(
    PaymentRequested,
    DecisionEvent,
    PaymentApproved,
    PaymentResult,
    SettlementEvent,
    LedgerTransaction,
    Payout,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_to_seven_and_lead_back() {
        let ids: Vec<u32> = BuiltIn::ALL.iter().map(|schema| schema.id()).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7]);
        for schema in BuiltIn::ALL {
            assert_eq!(BuiltIn::from_id(schema.id()), Some(schema));
        }
        for unknown in [0, 8, u32::MAX] {
            assert_eq!(BuiltIn::from_id(unknown), None);
        }
    }

    #[test]
    fn every_topic_but_those_of_copies_has_one_schema() {
        let mut topics: Vec<&str> = BuiltIn::ALL.iter().map(|schema| schema.topic()).collect();
        topics.extend([topic::DEAD_LETTER, topic::REROUTED]);
        topics.sort_unstable();
        let mut expected = topic::ALL;
        expected.sort_unstable();
        assert_eq!(topics, expected);
        assert_eq!(BuiltIn::Payout.subject(), "settlement.payouts-value");
    }
}
