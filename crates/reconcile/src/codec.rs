//! Records under the schemas built in.

use settle_codec::StageCodec;
use settle_log::Record;
use settle_schema::{DecodeError, Schemas, WireIds};

const NEVER_PENDING: &str = "the schemas built in are known";

/// The command of an input record.
pub(crate) fn decode<S: StageCodec>(record: &Record, config: &S::Config, partitions: u32) -> S::Command {
    S::decode(record, config, partitions, &mut Schemas::built_in()).expect(NEVER_PENDING)
}

/// The event of a journal record.
pub(crate) fn decode_event<S: StageCodec>(value: &[u8]) -> Result<S::Event, DecodeError> {
    S::decode_event(value, &mut Schemas::built_in()).expect(NEVER_PENDING)
}

/// Appends the value of an event's journal record.
pub(crate) fn encode<S: StageCodec>(event: &S::Event, value: &mut Vec<u8>) {
    S::encode(event, &WireIds::BUILT_IN, value);
}
