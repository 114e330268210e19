//! What an audit finds: each kind with a code, each finding with its place and both sides.
//!
//! | code | kind | meaning |
//! |---|---|---|
//! | STL-0701 | [`Kind::Unreadable`] | a record does not decode |
//! | STL-0702 | [`Kind::Sequence`] | a journal has a gap, a doubled record, or records in the wrong order |
//! | STL-0703 | [`Kind::Input`] | an input record was not decided exactly once |
//! | STL-0704 | [`Kind::Partition`] | a record stands in the wrong partition |
//! | STL-0705 | [`Kind::Redecision`] | deciding again gives another event |
//! | STL-0706 | [`Kind::Chain`] | the hash chain of the ledger is broken |
//! | STL-0707 | [`Kind::Balance`] | debits do not equal credits |
//! | STL-0708 | [`Kind::Missing`] | a record that the journal calls for is not there |
//! | STL-0709 | [`Kind::Extra`] | a record that no journal calls for |
//! | STL-0710 | [`Kind::Differs`] | a record is not the one that the journal calls for |
//! | STL-0711 | [`Kind::Order`] | records stand in another order than in the journal |
//! | STL-0712 | [`Kind::Twice`] | a key or payment id was used twice |
//! | STL-0713 | [`Kind::Batch`] | a batch is not the sum of its entries, or a payout not its batch |

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use settle_log::{Header, Record};

/// Findings of a kind that are kept whole; the others are counted.
const KEPT_PER_KIND: usize = 50;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A record does not decode.
    Unreadable,
    /// A journal has a gap, a doubled record, or records in the wrong order (I11).
    Sequence,
    /// An input record was not decided exactly once (I2, I4), or is not the one that was decided.
    Input,
    /// A record stands in the wrong partition (I3).
    Partition,
    /// Deciding again gives another event.
    Redecision,
    /// The hash chain of the ledger is broken (I9).
    Chain,
    /// Debits do not equal credits (I6).
    Balance,
    /// A record that the journal calls for is not there.
    Missing,
    /// A record that no journal calls for.
    Extra,
    /// A record is not the one that the journal calls for.
    Differs,
    /// Records stand in another order than in the journal.
    Order,
    /// A key or payment id was used twice within its retention (I8).
    Twice,
    /// A batch is not the sum of its entries, or a payout not its batch.
    Batch,
}

impl Kind {
    /// Its code: the name of its page in the documentation.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "STL-0701",
            Self::Sequence => "STL-0702",
            Self::Input => "STL-0703",
            Self::Partition => "STL-0704",
            Self::Redecision => "STL-0705",
            Self::Chain => "STL-0706",
            Self::Balance => "STL-0707",
            Self::Missing => "STL-0708",
            Self::Extra => "STL-0709",
            Self::Differs => "STL-0710",
            Self::Order => "STL-0711",
            Self::Twice => "STL-0712",
            Self::Batch => "STL-0713",
        }
    }

    /// In words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Unreadable => "a record does not decode",
            Self::Sequence => "a journal has a gap, a doubled record, or another order",
            Self::Input => "an input record was not decided exactly once, or is not the one that was",
            Self::Partition => "a record stands in the wrong partition",
            Self::Redecision => "deciding again gives another event",
            Self::Chain => "the hash chain of the ledger is broken",
            Self::Balance => "debits do not equal credits",
            Self::Missing => "a record is missing",
            Self::Extra => "a record is too many",
            Self::Differs => "a record differs",
            Self::Order => "records are out of order",
            Self::Twice => "a key or payment id was used twice",
            Self::Batch => "a batch does not agree with its entries",
        }
    }
}

/// A place in the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// Offset. Of a record that is missing: where it should have stood.
    pub offset: u64,
}

impl Place {
    /// A place.
    pub fn new(topic: impl Into<String>, partition: u32, offset: u64) -> Self {
        Self { topic: topic.into(), partition, offset }
    }

    /// Where a record stands.
    pub(crate) fn of(record: &Record) -> Self {
        Self::new(&*record.topic, record.partition, record.offset)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}

/// One side of a difference: a record, decoded as far as that goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Side {
    /// Milliseconds since 1970-01-01 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_ms: Option<i64>,
    /// Key, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Name and value of the headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The value as plain JSON. Bytes that do not decode are `{"undecodable": why, "hex": ...}`.
    pub value: Value,
}

impl Side {
    /// A record's side.
    pub(crate) fn of(record: &Record) -> Self {
        let key = record.key.as_deref();
        Self::from_parts(record.timestamp_ms, key, record.value.as_deref(), &record.headers)
    }

    /// From the parts of a record.
    pub(crate) fn from_parts(
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> Self {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let headers = headers.iter().map(|header| (header.name.to_string(), text(&header.value)));
        Self {
            timestamp_ms: Some(timestamp_ms),
            key: key.map(text),
            headers: headers.collect(),
            value: value.map_or(Value::Null, decoded),
        }
    }

    /// A side in words.
    pub(crate) fn words(text: impl Into<String>) -> Self {
        Self { value: Value::String(text.into()), ..Self::default() }
    }
}

fn decoded(bytes: &[u8]) -> Value {
    let json = crate::codec::json(bytes).map_err(|error| error.to_string());
    let value = json.and_then(|json| serde_json::from_str(&json).map_err(|error| error.to_string()));
    value.unwrap_or_else(|why| {
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        serde_json::json!({ "undecodable": why, "hex": hex })
    })
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Code of its kind.
    pub code: &'static str,
    /// Its kind, in words.
    pub title: &'static str,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// Of a record that is missing where records of several partitions meet: the first offset at which it can have stood.
    /// Their order among each other is in no journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_possible_offset: Option<u64>,
    /// What was found, and what was expected, in words.
    pub detail: String,
    /// What should stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Side>,
    /// What stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Side>,
    /// The place that it follows from: the input that was decided, the journal record that calls for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Place>,
    /// True if it follows from another finding, at or before its source.
    pub is_consequence: bool,
    #[serde(skip)]
    pub(crate) kind: Kind,
    #[serde(skip)]
    pub(crate) from_lost_journal: bool,
}

impl Finding {
    /// A finding at a place.
    pub(crate) fn new(kind: Kind, place: Place, detail: impl Into<String>) -> Self {
        Self {
            code: kind.code(),
            title: kind.title(),
            place,
            first_possible_offset: None,
            detail: detail.into(),
            expected: None,
            found: None,
            source: None,
            is_consequence: false,
            kind,
            from_lost_journal: false,
        }
    }

    pub(crate) fn expected(mut self, side: Option<Side>) -> Self {
        self.expected = side;
        self
    }

    pub(crate) fn found(mut self, side: Option<Side>) -> Self {
        self.found = side;
        self
    }

    pub(crate) fn source(mut self, place: Option<Place>) -> Self {
        self.source = place;
        self
    }

    /// What it is about.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

/// All findings: the first of each kind whole, the others counted.
#[derive(Default)]
pub(crate) struct Findings {
    kept: Vec<Finding>,
    counts: BTreeMap<Kind, u64>,
    /// Lowest offset of a finding in a partition.
    damaged_from: BTreeMap<(String, u32), u64>,
    /// A journal and its input contradict each other, and each is right in itself: the one or the other finding.
    disputed: Vec<(Finding, Finding)>,
    /// As `damaged_from`, of inputs that are disputed.
    disputed_from: BTreeMap<(String, u32), u64>,
    /// Journal partitions whose events are not all known.
    lost: BTreeMap<(String, u32), ()>,
}

impl Findings {
    pub(crate) fn add(&mut self, finding: Finding) {
        let number = self.counts.entry(finding.kind).or_default();
        *number += 1;
        let Place { topic, partition, offset } = finding.place.clone();
        let first = finding.first_possible_offset.unwrap_or(offset);
        let from = self.damaged_from.entry((topic, partition)).or_insert(first);
        *from = (*from).min(first);
        if *number <= u64::try_from(KEPT_PER_KIND).unwrap_or(u64::MAX) {
            self.kept.push(finding);
        }
    }

    /// True if another finding of this kind would be kept: whether it is worth the while to show its sides.
    pub(crate) fn keeps(&self, kind: Kind) -> bool {
        self.counts.get(&kind).copied().unwrap_or_default() < u64::try_from(KEPT_PER_KIND).unwrap_or(u64::MAX)
    }

    /// True if something was found in this partition at or before this offset.
    pub(crate) fn is_damaged(&self, topic: &str, partition: u32, offset: u64) -> bool {
        self.damaged_from.get(&(topic.to_owned(), partition)).is_some_and(|from| *from <= offset)
    }

    /// As [`Self::is_damaged`], or disputed.
    pub(crate) fn is_suspect(&self, topic: &str, partition: u32, offset: u64) -> bool {
        let disputed = self.disputed_from.get(&(topic.to_owned(), partition));
        disputed.is_some_and(|from| *from <= offset) || self.is_damaged(topic, partition, offset)
    }

    /// Either the input is not what it was, or the journal is not: [`Self::judge`] tells which.
    pub(crate) fn dispute(&mut self, of_input: Finding, of_journal: Finding) {
        let Place { topic, partition, offset } = of_input.place.clone();
        let from = self.disputed_from.entry((topic, partition)).or_insert(offset);
        *from = (*from).min(offset);
        if self.disputed.len() < KEPT_PER_KIND {
            self.disputed.push((of_input, of_journal));
        } else {
            self.add(of_input);
        }
    }

    /// The inputs have been compared with what calls for them: one of the two findings stands, before all others.
    pub(crate) fn judge(&mut self) {
        let others = std::mem::take(&mut self.kept);
        let disputed = std::mem::take(&mut self.disputed);
        let stands = |(of_input, of_journal): (Finding, Finding)| {
            let Place { topic, partition, offset } = &of_input.place;
            if self.is_damaged(topic, *partition, *offset) { of_input } else { of_journal }
        };
        let judged: Vec<Finding> = disputed.into_iter().map(stands).collect();
        judged.into_iter().for_each(|finding| self.add(finding));
        self.kept.extend(others);
    }

    /// Not all events of this journal partition are known: what its outputs have more than it calls for follows from it.
    pub(crate) fn lost(&mut self, topic: &str, partition: u32) {
        self.lost.insert((topic.to_owned(), partition), ());
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(crate) fn counts(&self) -> &BTreeMap<Kind, u64> {
        &self.counts
    }

    /// What is kept: first what stands for itself, then what follows from it, each in the order in which it was found.
    pub(crate) fn into_sorted(mut self) -> Vec<Finding> {
        let mut kept = std::mem::take(&mut self.kept);
        for finding in &mut kept {
            let Some(source) = &finding.source else { continue };
            let of_input = source.topic != finding.place.topic
                && self.is_damaged(&source.topic, source.partition, source.offset)
                && !finding.from_lost_journal;
            let is_lost = self.lost.contains_key(&(source.topic.clone(), source.partition));
            finding.is_consequence = of_input || (finding.from_lost_journal && is_lost);
        }
        kept.sort_by_key(|finding| finding.is_consequence);
        kept
    }
}
