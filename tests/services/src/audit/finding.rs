//! What the audit found: violations, each with the invariant that it breaks and its place.

use std::fmt;

/// What must hold. The numbers are those of the table of invariants in docs/architecture.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// What the pipeline writes can be read, and has the parts that its kind asks for.
    Format,
    /// Every input record has exactly one decision, none is decided that does not exist.
    I2,
    /// An event stands in the journal partition with the number of its input partition.
    I3,
    /// A journal consumes the records of an input partition in their order, each once.
    I4,
    /// Debits equal credits: per transaction and currency, and over all.
    I6,
    /// Money is conserved: approved = booked + refused, and no amount changes on its way.
    I7,
    /// A key is approved once within its retention, a payment id taken and booked once; retries get the first answer.
    I8,
    /// Each ledger partition is a hash chain with no gap.
    I9,
    /// The sequence of a journal partition is dense from 0.
    I11,
    /// The clock of a journal partition never goes back.
    Clock,
    /// A decision is about its request, and its parts agree.
    Decision,
    /// A transition changes what the decision was before it.
    Transition,
    /// A ledger transaction is that of its event, and posts what the posting table says.
    Posting,
    /// A batch opens and closes once, adds up, and divides what it owes.
    Batch,
    /// Each payout of an event is one record of `settlement.payouts`, with the same content.
    Payout,
    /// Each refusal of settlement is one record of `payments.results`.
    Result,
    /// Each record that was not taken is one dead letter.
    DeadLetter,
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Format => "format",
            Self::I2 => "I2",
            Self::I3 => "I3",
            Self::I4 => "I4",
            Self::I6 => "I6",
            Self::I7 => "I7",
            Self::I8 => "I8",
            Self::I9 => "I9",
            Self::I11 => "I11",
            Self::Clock => "clock",
            Self::Decision => "decision",
            Self::Transition => "transition",
            Self::Posting => "posting",
            Self::Batch => "batch",
            Self::Payout => "payout",
            Self::Result => "result",
            Self::DeadLetter => "dead letter",
        };
        formatter.write_str(name)
    }
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What it breaks.
    pub invariant: Invariant,
    /// Where: topic-partition@offset, or the id of what it is about.
    pub place: String,
    /// What was found, and what was expected.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at {}: {}", self.invariant, self.place, self.detail)
    }
}

/// A record of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}@{}", self.topic, self.partition, self.offset)
    }
}

/// Collects violations.
#[derive(Default)]
pub(super) struct Findings {
    violations: Vec<Violation>,
}

impl Findings {
    pub(super) fn add(&mut self, invariant: Invariant, place: impl fmt::Display, detail: impl Into<String>) {
        self.violations.push(Violation { invariant, place: place.to_string(), detail: detail.into() });
    }

    /// Adds a violation unless two values are equal.
    pub(super) fn equal<T: PartialEq + fmt::Debug>(
        &mut self,
        invariant: Invariant,
        place: impl fmt::Display,
        what: &str,
        found: &T,
        expected: &T,
    ) {
        if found != expected {
            self.add(invariant, place, format!("{what} is {found:?}, {expected:?} was expected"));
        }
    }

    /// In the order of the invariants.
    pub(super) fn into_violations(mut self) -> Vec<Violation> {
        self.violations.sort_by_key(|violation| violation.invariant);
        self.violations
    }
}
