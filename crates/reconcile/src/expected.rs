//! What the journals call for in the other topics: a digest of each record, in the order of its journal partition.

use settle_codec::{StageCodec, place, position, trace_of};
use settle_engine::{Input, Output, Payload};
use settle_log::{Header, Record};
use settle_types::event::SourcePosition;
use settle_types::topic;
use settle_types::topic::header;

use crate::finding::Side;
use crate::sorted::{Hash, first_half};

/// Bytes of an [`Expected`] on disk.
pub(crate) const EXPECTED_BYTES: usize = 34;

/// How much of a record its digest covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// Key, value, headers.
    Whole,
    /// What follows from the journal alone: the input record is gone.
    WithoutInput,
}

/// A record that a journal calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) coverage: Coverage,
    pub(crate) digest: Hash,
    /// Its time. Milliseconds since 1970-01-01 UTC.
    pub(crate) timestamp_ms: i64,
    /// The journal record that calls for it.
    pub(crate) journal_offset: u64,
    /// Which of the records that it calls for.
    pub(crate) ordinal: u8,
}

impl Expected {
    pub(crate) fn to_bytes(self) -> [u8; EXPECTED_BYTES] {
        let mut bytes = [0; EXPECTED_BYTES];
        bytes[0] = u8::from(self.coverage == Coverage::Whole);
        bytes[1..17].copy_from_slice(&self.digest);
        bytes[17..25].copy_from_slice(&self.journal_offset.to_le_bytes());
        bytes[25] = self.ordinal;
        bytes[26..].copy_from_slice(&self.timestamp_ms.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            coverage: if bytes[0] == 1 { Coverage::Whole } else { Coverage::WithoutInput },
            digest: bytes[1..17].try_into().expect("sixteen bytes"),
            journal_offset: u64::from_le_bytes(bytes[17..25].try_into().expect("eight bytes")),
            ordinal: bytes[25],
            timestamp_ms: i64::from_le_bytes(bytes[26..34].try_into().expect("eight bytes")),
        }
    }
}

/// A stage in the keys of what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StageId {
    Authorize,
    Settle,
}

impl StageId {
    /// The stage's journal.
    pub(crate) fn journal(self) -> &'static str {
        match self {
            Self::Authorize => topic::DECIDED,
            Self::Settle => topic::SETTLEMENT_EVENTS,
        }
    }
}

/// The records of one partition of a topic that one journal partition calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    /// Where the records stand.
    pub(crate) topic: &'static str,
    /// Number of the partition there.
    pub(crate) partition: u32,
    /// Whose journal calls for them.
    pub(crate) stage: StageId,
    /// Partition of that journal.
    pub(crate) journal_partition: u32,
}

impl Route {
    /// Before and behind all routes to a partition of a topic.
    pub(crate) fn bounds(topic: &'static str, partition: u32) -> (Self, Self) {
        let first = Self { topic, partition, stage: StageId::Authorize, journal_partition: 0 };
        (first, Self { stage: StageId::Settle, journal_partition: u32::MAX, ..first })
    }
}

/// What caused an event: its command's input record, or where that stood.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// A timer or a configuration.
    None,
    /// An input record.
    Record(Record),
    /// An input record that cannot be read any more.
    Gone(SourcePosition),
}

impl Cause {
    pub(crate) fn coverage(&self) -> Coverage {
        match self {
            Self::Gone(_) => Coverage::WithoutInput,
            Self::None | Self::Record(_) => Coverage::Whole,
        }
    }

    /// Headers of the input record.
    pub(crate) fn headers(&self) -> &[Header] {
        match self {
            Self::Record(record) => &record.headers,
            Self::None | Self::Gone(_) => &[],
        }
    }

    /// The trace context that what it causes carries.
    pub(crate) fn trace(&self) -> Vec<Header> {
        trace_of(self.headers())
    }

    /// As the projection wants it; `is_first`: of the events that it caused the first one is about it.
    pub(crate) fn with_input<T>(&self, is_first: bool, use_it: impl FnOnce(Option<&Input<'_>>) -> T) -> T {
        match self {
            Self::Record(record) if is_first => {
                let position = position(record);
                let (key, value) = (record.key.as_deref(), record.value.as_deref());
                use_it(Some(&Input { position: &position, key, value }))
            }
            Self::Gone(position) if is_first => use_it(Some(&Input { position, key: None, value: None })),
            _ => use_it(None),
        }
    }
}

/// A record that an event calls for.
pub(crate) struct Projected {
    pub(crate) topic: &'static str,
    pub(crate) partition: u32,
    pub(crate) digest: Hash,
    pub(crate) side: Option<Side>,
}

/// The records that an event calls for, in their order; with their content where it is asked for.
pub(crate) fn projected<S: StageCodec>(
    event: &S::Event,
    cause: &Cause,
    is_first: bool,
    number: u32,
    count_of: &dyn Fn(&str) -> u32,
    with_sides: bool,
) -> Vec<Projected> {
    let now = S::envelope(event).now;
    let outputs: Vec<Output> = cause.with_input(is_first, |input| S::project(event, input));
    let trace = cause.trace();
    let mut buffer = Vec::new();
    let mut records = Vec::with_capacity(outputs.len());
    for output in &outputs {
        let count = count_of(output.topic);
        let placed = place(output, &crate::codec::ids(), number, count, &trace, cause.headers(), &mut buffer);
        let key = output.key.as_deref();
        let is_copy = matches!(output.payload, Payload::DeadLetter { .. } | Payload::Rerouted { .. });
        let millis = now.as_millis();
        let digest = match cause.coverage() {
            Coverage::Whole => whole_digest(key, placed.value, &placed.headers),
            Coverage::WithoutInput => partial_digest(is_copy, key, placed.value, &placed.headers),
        };
        let side = with_sides.then(|| Side::from_parts(millis, key, placed.value, &placed.headers));
        records.push(Projected { topic: output.topic, partition: placed.partition, digest, side });
    }
    records
}

/// Digest of a record as it was read. Its time is compared apart: some topics have times of their own.
pub(crate) fn digest_of(record: &Record, coverage: Coverage) -> Hash {
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    match coverage {
        Coverage::Whole => whole_digest(key, value, &record.headers),
        Coverage::WithoutInput => {
            let is_copy = matches!(&*record.topic, topic::DEAD_LETTER | topic::REROUTED);
            partial_digest(is_copy, key, value, &record.headers)
        }
    }
}

fn whole_digest(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    update(&mut hasher, key);
    update(&mut hasher, value);
    for header in headers {
        update(&mut hasher, Some(header.name.as_bytes()));
        update(&mut hasher, Some(&header.value));
    }
    first_half(&hasher.finalize())
}

/// Without what is copied from the input record: of a copy all but where it is from and why it is there.
fn partial_digest(is_copy: bool, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> Hash {
    if !is_copy {
        return whole_digest(key, value, &[]);
    }
    const OF_JOURNAL: [&str; 5] =
        [header::SOURCE_TOPIC, header::SOURCE_PARTITION, header::SOURCE_OFFSET, header::CODE, header::REASON];
    let kept: Vec<Header> =
        headers.iter().filter(|header| OF_JOURNAL.contains(&&*header.name)).cloned().collect();
    whole_digest(None, None, &kept)
}

fn update(hasher: &mut blake3::Hasher, part: Option<&[u8]>) {
    let Some(part) = part else {
        hasher.update(&[0]);
        return;
    };
    hasher.update(&[1]);
    hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
    hasher.update(part);
}
