//! The topics of the pipeline (DESIGN: topics). Names are constants: they are part of the public contract.

/// Requests of upstream teams. Key: debtor account.
pub const REQUESTED: &str = "payments.requested";
/// Requests that stood in the wrong partition of `payments.requested`, in the right one. AUTHORIZE alone writes there.
/// Key: debtor account.
pub const REROUTED: &str = "payments.rerouted";
/// Decisions of AUTHORIZE: its journal, and public. Key: debtor account.
pub const DECIDED: &str = "payments.decided";
/// What AUTHORIZE approved, for SETTLE. Key: merchant.
pub const APPROVED: &str = "payments.approved";
/// Refusals of SETTLE on their way back to AUTHORIZE. Key: debtor account.
pub const RESULTS: &str = "payments.results";
/// Requests that were not taken, as they came, with the reason in the headers. Key: as the source.
pub const DEAD_LETTER: &str = "payments.dead-letter";
/// Events of SETTLE: its journal, and public. Key: merchant.
pub const SETTLEMENT_EVENTS: &str = "settlement.events";
/// Double-entry transactions, a hash chain per partition. Key: merchant.
pub const LEDGER_TRANSACTIONS: &str = "ledger.transactions";
/// Instructions for a bank connector. Key: merchant.
pub const PAYOUTS: &str = "settlement.payouts";

/// Every topic, in the order in which a payment meets them.
pub const ALL: [&str; 9] = [
    REQUESTED,
    REROUTED,
    DECIDED,
    APPROVED,
    RESULTS,
    DEAD_LETTER,
    SETTLEMENT_EVENTS,
    LEDGER_TRANSACTIONS,
    PAYOUTS,
];

/// Headers of a dead letter, and of a record that was sent again.
pub mod header {
    /// Topic of the record that this one is a copy of.
    pub const SOURCE_TOPIC: &str = "settle.source.topic";
    /// Partition of the record that this one is a copy of.
    pub const SOURCE_PARTITION: &str = "settle.source.partition";
    /// Offset of the record that this one is a copy of.
    pub const SOURCE_OFFSET: &str = "settle.source.offset";
    /// Reason code, as in the decision.
    pub const CODE: &str = "settle.code";
    /// The reason in words: what, where, what was expected.
    pub const REASON: &str = "settle.reason";
    /// `true` when digits of a card number were masked, so that the record cannot be sent again as it is.
    pub const MASKED: &str = "settle.masked";
    /// BLAKE3 of the original bytes, where digits were masked.
    pub const ORIGINAL_HASH: &str = "settle.original.blake3";
    /// W3C trace context: copied from input to output, never made.
    pub const TRACEPARENT: &str = "traceparent";
}
