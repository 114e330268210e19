//! An independent judge of what the pipeline wrote to Kafka.
//!
//! It shares no code with the program: it reads the topics with rdkafka, as a read-committed consumer, and their
//! values with the codec of Apache Avro; what must hold it takes from the documentation (docs/architecture.md, docs/schemas.md,
//! docs/ledger.md) and the schemas. It must not know how the program comes to its decisions: whether a rule or a fee
//! is right is not judged here, whether the topics fit to each other is.
//!
//! ```text
//! let read = audit::read_all(bootstrap, &properties, &audit::TOPICS, timeout)?;
//! let verdict = audit::judge(&read);
//! assert!(verdict.violations.is_empty(), "{verdict}");
//! assert!(verdict.report.requests > 0);
//! ```
//!
//! Everything must have been decided by then: a request without a decision is a violation.

mod authorize;
mod avro;
mod batches;
mod dead_letters;
mod finding;
mod input;
mod journal;
mod ledger;
mod read;
mod records;
mod report;
mod settle;

use std::fmt;
use std::time::Duration;

pub use finding::{Invariant, Violation};
pub use read::{Partition, Read, ReadError, Reader, Record};
pub use records::{Outcome, SettlementOutcome};
pub use report::Report;

use dead_letters::DeadLetters;
use finding::Findings;
use input::Inputs;

/// The topics of the pipeline. Their names are part of the public contract.
pub mod topic {
    /// Requests of upstream teams.
    pub const REQUESTED: &str = "payments.requested";
    /// The journal of AUTHORIZE.
    pub const DECIDED: &str = "payments.decided";
    /// What goes on to SETTLE.
    pub const APPROVED: &str = "payments.approved";
    /// What SETTLE refused.
    pub const RESULTS: &str = "payments.results";
    /// What was not taken.
    pub const DEAD_LETTER: &str = "payments.dead-letter";
    /// The journal of SETTLE.
    pub const SETTLEMENT_EVENTS: &str = "settlement.events";
    /// The ledger.
    pub const LEDGER_TRANSACTIONS: &str = "ledger.transactions";
    /// What a bank connector executes.
    pub const PAYOUTS: &str = "settlement.payouts";
}

/// The topics of AUTHORIZE: enough for judging it alone.
pub const TOPICS_OF_AUTHORIZE: [&str; 5] =
    [topic::REQUESTED, topic::DECIDED, topic::APPROVED, topic::RESULTS, topic::DEAD_LETTER];

/// All topics.
pub const TOPICS: [&str; 8] = [
    topic::REQUESTED,
    topic::DECIDED,
    topic::APPROVED,
    topic::RESULTS,
    topic::DEAD_LETTER,
    topic::SETTLEMENT_EVENTS,
    topic::LEDGER_TRANSACTIONS,
    topic::PAYOUTS,
];

/// Violations that are printed; the others are counted.
const MAX_PRINTED: usize = 30;

/// What the audit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What must not be.
    pub violations: Vec<Violation>,
    /// What was there.
    pub report: Report,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.report)?;
        write!(formatter, "\nviolations   {}", self.violations.len())?;
        for violation in self.violations.iter().take(MAX_PRINTED) {
            write!(formatter, "\n  {violation}")?;
        }
        let more = self.violations.len().saturating_sub(MAX_PRINTED);
        if more > 0 { write!(formatter, "\n  and {more} more") } else { Ok(()) }
    }
}

/// Reads topics from their beginning to their end, in `timeout` at most. `properties` are what a client needs to get
/// in, such as `security.protocol`.
///
/// # Errors
///
/// If a topic does not exist, a transaction stays open, somebody goes on writing, or the brokers do not answer.
pub fn read_all(
    bootstrap: &str,
    properties: &[(String, String)],
    topics: &[&str],
    timeout: Duration,
) -> Result<Read, ReadError> {
    let mut reader = Reader::open(bootstrap, properties, topics)?;
    reader.read_to_end(timeout)?;
    Ok(reader.into_read())
}

/// Violations alone, see [`judge`].
pub fn check(read: &Read) -> Vec<Violation> {
    judge(read).violations
}

/// Judges AUTHORIZE if `payments.decided` was read, and SETTLE if `settlement.events` was; what one of them needs
/// beside that has to have been read too ([`TOPICS`], [`TOPICS_OF_AUTHORIZE`]).
pub fn judge(read: &Read) -> Verdict {
    let (mut findings, mut report) = (Findings::default(), Report::default());
    for (topic, partitions) in &read.topics {
        for (partition, content) in partitions.iter().filter(|(_, content)| content.start > 0) {
            let detail = format!("begins at offset {}: the audit needs all of it", content.start);
            findings.add(Invariant::Format, format!("{topic}-{partition}"), detail);
        }
    }
    let mut dead_letters = DeadLetters::default();
    let mut approved = Inputs::read(read, topic::APPROVED);
    let mut sources = Vec::new();
    if read.has_topic(topic::DECIDED) {
        sources.extend([topic::REQUESTED, topic::RESULTS]);
        authorize::check(read, &approved, &mut dead_letters, &mut findings, &mut report);
    }
    if read.has_topic(topic::SETTLEMENT_EVENTS) {
        sources.push(topic::APPROVED);
        settle::check(read, &mut approved, &mut dead_letters, &mut findings, &mut report);
    }
    dead_letters.check(read, &sources, &mut findings, &mut report);
    Verdict { violations: findings.into_violations(), report }
}

#[cfg(test)]
mod broker_tests;
#[cfg(test)]
mod tests;
