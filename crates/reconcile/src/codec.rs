//! Records under the schemas of the audit that this thread runs: those built in, or those of a registry.
//!
//! Owns waiting for a registry: an audit has time, and no partition that would be held up.

use std::cell::RefCell;
use std::thread;
use std::time::Duration;

use settle_codec::StageCodec;
use settle_log::Record;
use settle_schema::{AvroRecord, DecodeError, PendingSchema, Schemas, WireIds};

/// Pause between two questions whether the registry has answered.
const PAUSE: Duration = Duration::from_millis(20);
/// Questions until a schema counts as unknown: a minute.
const MOST_QUESTIONS: u32 = 3_000;

thread_local! {
    static SCHEMAS: RefCell<Schemas> = RefCell::new(Schemas::built_in());
}

/// Until it is dropped, this thread reads and writes with other schemas than those built in.
pub(crate) struct Scope;

impl Scope {
    pub(crate) fn enter(schemas: Schemas) -> Self {
        SCHEMAS.set(schemas);
        Self
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        SCHEMAS.set(Schemas::built_in());
    }
}

/// None if the registry does not answer.
fn wait_for<T>(mut ask: impl FnMut(&mut Schemas) -> Result<T, PendingSchema>) -> Result<T, PendingSchema> {
    let mut questions = 0;
    loop {
        match SCHEMAS.with_borrow_mut(&mut ask) {
            Err(pending) if questions >= MOST_QUESTIONS => {
                tracing::warn!(
                    schema_id = pending.id,
                    "the schema registry does not answer: the schema counts as unknown"
                );
                return Err(pending);
            }
            Err(_) => {
                questions += 1;
                thread::sleep(PAUSE);
            }
            answer => return answer,
        }
    }
}

fn known<T>(answer: Result<Result<T, DecodeError>, PendingSchema>) -> Result<T, DecodeError> {
    answer.unwrap_or_else(|PendingSchema { id }| Err(DecodeError::UnknownSchema { id }))
}

/// The command of an input record; none if the registry does not answer.
pub(crate) fn command<S: StageCodec>(
    record: &Record,
    config: &S::Config,
    partitions: u32,
) -> Option<S::Command> {
    wait_for(|schemas| S::decode(record, config, partitions, schemas)).ok()
}

/// The value of a record.
pub(crate) fn decode<T: AvroRecord>(value: &[u8]) -> Result<T, DecodeError> {
    known(wait_for(|schemas| schemas.decode(value)))
}

/// Appends a value.
pub(crate) fn encode<T: AvroRecord>(record: &T, value: &mut Vec<u8>) {
    settle_schema::encode_with(&ids(), record, value);
}

/// A value as one line of JSON.
pub(crate) fn json(value: &[u8]) -> Result<String, DecodeError> {
    known(wait_for(|schemas| schemas.to_json_string(value)))
}

/// The ids that records are written with.
pub(crate) fn ids() -> WireIds {
    SCHEMAS.with_borrow(|schemas| *schemas.ids())
}
