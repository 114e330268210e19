//! What an audit says in the end.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::finding::{Finding, Place};

/// Why something was not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NotChecked {
    /// The event was decided by another version of the decision logic: it was folded, not decided again.
    LogicVersion,
    /// The input record is older than the retention of its topic: the event was folded, not decided again.
    InputExpired,
    /// The journal does not begin with its first event: there is no state to decide from.
    JournalExpired,
    /// The output record is older than the retention of its topic.
    OutputExpired,
    /// The event stands behind one that is missing or cannot be read: the state is not known any more.
    AfterDamage,
    /// The input record has a finding of its own: the event was folded, not decided again.
    DamagedInput,
    /// The event needs a newer version of the program.
    NewerFold,
    /// It is older than `--since`: it was folded only.
    BeforeSince,
    /// It was written after the audit had begun.
    AfterBegin,
}

impl NotChecked {
    /// In words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::LogicVersion => "decided by another version of the decision logic",
            Self::InputExpired => "input expired: the retention of the input topic has removed the record",
            Self::JournalExpired => "the journal does not begin with its first event",
            Self::OutputExpired => "output expired: the retention of the output topic has removed the record",
            Self::AfterDamage => "stands behind a damaged place of its journal",
            Self::DamagedInput => "its input has a finding of its own",
            Self::NewerFold => "needs a newer version of settle",
            Self::BeforeSince => "older than --since",
            Self::AfterBegin => "written after the check had begun",
        }
    }
}

/// Something that was not checked, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Why.
    pub reason: NotChecked,
    /// In words.
    pub title: &'static str,
    /// How many records.
    pub count: u64,
    /// The first of them.
    pub first: Place,
    /// What is to be known beside, as the versions that were found.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, u64>,
}

/// What was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Records read, by topic.
    pub records: BTreeMap<String, u64>,
    /// Events of both journals.
    pub events: u64,
    /// Events that were decided again, and are the same byte for byte unless a finding names them.
    pub redecided: u64,
    /// Input records that have their decision.
    pub inputs_decided: u64,
    /// Input records that have none yet: they stand behind the last decision of their partition.
    pub inputs_waiting: u64,
    /// Records of the output topics that were compared with the journal.
    pub outputs: u64,
    /// Ledger transactions whose hash was computed again.
    pub ledger_transactions: u64,
    /// Closed batches whose entries were added up.
    pub batches: u64,
    /// Payouts that were compared with their batches.
    pub payouts: u64,
    /// Idempotency keys and payment ids that were looked at for a second use.
    pub keys: u64,
}

/// Number of findings of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindCount {
    /// Code of the kind.
    pub code: &'static str,
    /// In words.
    pub title: &'static str,
    /// How many.
    pub count: u64,
}

/// What an audit says in the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// `OK` or `DIFFERENCES`.
    pub verdict: &'static str,
    /// Which log.
    pub log: String,
    /// From when on, if not all was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Version of the decision logic that decided again.
    pub logic_version: i32,
    /// What was checked.
    pub checked: Checked,
    /// What was not, and why.
    pub not_checked: Vec<Skipped>,
    /// Number of findings.
    pub findings_total: u64,
    /// By kind.
    pub findings_by_code: Vec<KindCount>,
    /// The first finding that follows from no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Finding>,
    /// The others, at most 50 of each kind.
    pub further: Vec<Finding>,
}

impl Report {
    /// True if nothing was found.
    pub fn is_ok(&self) -> bool {
        self.findings_total == 0
    }

    /// All findings that are told whole.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.first.iter().chain(&self.further)
    }
}
