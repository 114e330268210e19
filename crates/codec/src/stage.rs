//! The records that a stage reads, and its journal.

use settle_engine::authorize::{self, Authorize};
use settle_engine::settle::{self, Settle};
use settle_engine::{Malformed, Stage};
use settle_log::{Record, partition_for_key};
use settle_schema::{AvroRecord, DecodeError, PendingSchema, Schemas};
use settle_types::event::SourcePosition;
use settle_types::topic;

/// How a stage's records are read. Its events are the records of its journal as they stand.
pub trait StageCodec: Stage<Event: AvroRecord> {
    /// The command for an input record; `partitions` is the partition count of the input.
    ///
    /// # Errors
    /// [`PendingSchema`]: nothing can be decided about the record yet. It is no poison record, and it waits.
    fn decode(
        record: &Record,
        config: &Self::Config,
        partitions: u32,
        schemas: &mut Schemas,
    ) -> Result<Self::Command, PendingSchema>;

    /// What the event decided, for counters: an outcome, or the name of what happened.
    fn outcome(event: &Self::Event) -> &'static str;
}

impl StageCodec for Authorize {
    fn decode(
        record: &Record,
        config: &Self::Config,
        partitions: u32,
        schemas: &mut Schemas,
    ) -> Result<authorize::Command, PendingSchema> {
        let position = position(record);
        if &*record.topic == topic::RESULTS {
            return Ok(authorize::Command::result(position, value(record, schemas)?));
        }
        // A re-routed request is read as one of the primary topic: it has the same bytes.
        let right_partition = |requested: &settle_types::request::PaymentRequested| {
            let key = requested.debtor_account.as_str().as_bytes();
            signed_partition(partition_for_key(key, partitions))
        };
        Ok(authorize::Command::request(position, value(record, schemas)?, right_partition, config))
    }

    fn outcome(event: &Self::Event) -> &'static str {
        match (&event.decision, &event.transition) {
            (Some(decision), _) => decision.outcome.as_str(),
            (None, Some(_)) => "TRANSITION",
            (None, None) => "CONFIG",
        }
    }
}

impl StageCodec for Settle {
    fn decode(
        record: &Record,
        _config: &Self::Config,
        _partitions: u32,
        schemas: &mut Schemas,
    ) -> Result<settle::Command, PendingSchema> {
        Ok(settle::Command::approved(position(record), value(record, schemas)?))
    }

    fn outcome(event: &Self::Event) -> &'static str {
        match (&event.decision, &event.batch_closed, &event.reserve_released) {
            (Some(decision), ..) => decision.outcome.as_str(),
            (None, Some(_), _) => "BATCH_CLOSED",
            (None, None, Some(_)) => "RESERVE_RELEASED",
            (None, None, None) => "CONFIG",
        }
    }
}

/// The position of a record, in the types of the schemas.
pub fn position(record: &Record) -> SourcePosition {
    SourcePosition {
        topic: (&*record.topic).into(),
        partition: signed_partition(record.partition),
        offset: signed_offset(record.offset),
    }
}

/// Partition numbers are far below `i32::MAX`: a topic has at most 10,000.
pub fn signed_partition(partition: u32) -> i32 {
    i32::try_from(partition).expect("a partition number fits 31 bits")
}

/// Offsets are below `i64::MAX`, as in Kafka.
pub fn signed_offset(offset: u64) -> i64 {
    i64::try_from(offset).expect("an offset fits 63 bits")
}

/// An offset as the log counts it.
pub fn unsigned_offset(offset: i64) -> u64 {
    u64::try_from(offset).expect("an offset is never below zero")
}

fn value<T: AvroRecord>(
    record: &Record,
    schemas: &mut Schemas,
) -> Result<Result<T, Malformed>, PendingSchema> {
    let bytes = record.value.as_deref().unwrap_or_default();
    let malformed =
        |error: DecodeError| Malformed { code: error.reason_code(), detail: format!("value: {error}") };
    Ok(schemas.decode(bytes)?.map_err(malformed))
}
