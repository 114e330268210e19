//! The byte layout of a record inside a chunk.
//!
//! ```text
//! timestamp   i64   milliseconds since 1970-01-01 UTC
//! key         u32 length, bytes; the length 0xffff_ffff stands for no key
//! value       u32 length, bytes; the length 0xffff_ffff stands for no value
//! headers     u16 count, then each: u16 length, name in UTF-8; u32 length, value
//! ```
//! Integers are little-endian. The offset is not stored: a chunk states that of its first record.
//!
//! Owns encoding and decoding one record. Must not know files.

use bytes::Bytes;

use super::codec::{DecodeFault, Input, put_length, put_text};
use crate::error::Error;
use crate::record::{Header, OutputRecord, Record, TopicPartition};

const ABSENT: u32 = u32::MAX;

/// Bytes that `record` takes in a chunk.
///
/// # Errors
/// [`Error::InvalidArgument`] when a name is too long or there are too many headers for the format.
/// Keys and values are bounded by the limit of a transaction.
pub(super) fn encoded_length(record: &OutputRecord<'_>) -> Result<u64, Error> {
    let too_many = |what: String| Err(Error::InvalidArgument { what });
    if record.headers.len() > usize::from(u16::MAX) {
        return too_many(format!("a record has at most 65535 headers, not {}", record.headers.len()));
    }
    let mut length = 8 + 4 + 4 + 2;
    length += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
    for header in record.headers {
        if header.name.len() > usize::from(u16::MAX) {
            let bytes = header.name.len();
            return too_many(format!("the name of a header is at most 65535 bytes long, not {bytes}"));
        }
        length += 2 + header.name.len() + 4 + header.value.len();
    }
    Ok(u64::try_from(length).expect("a slice in memory is shorter than 2^64"))
}

/// Appends `record`, whose length was accepted.
pub(super) fn encode(record: &OutputRecord<'_>, output: &mut Vec<u8>) {
    output.extend_from_slice(&record.timestamp_ms.to_le_bytes());
    put_optional(output, record.key);
    put_optional(output, record.value);
    let headers = u16::try_from(record.headers.len()).expect("checked by encoded_length");
    output.extend_from_slice(&headers.to_le_bytes());
    for header in record.headers {
        put_text(output, &header.name);
        put_length(output, header.value.len());
        output.extend_from_slice(&header.value);
    }
}

fn put_optional(output: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => output.extend_from_slice(&ABSENT.to_le_bytes()),
        Some(bytes) => {
            put_length(output, bytes.len());
            output.extend_from_slice(bytes);
        }
    }
}

/// Decodes the record that starts at `at` and returns it with the position after it. Key and values are
/// slices of `chunk`, not copies.
pub(super) fn decode(
    chunk: &Bytes,
    at: usize,
    partition: &TopicPartition,
    offset: u64,
) -> Result<(Record, usize), DecodeFault> {
    let mut input = Input::starting_at(chunk, at);
    let timestamp_ms = input.i64("the timestamp of a record")?;
    let key = take_optional(chunk, &mut input, "the key of a record")?;
    let value = take_optional(chunk, &mut input, "the value of a record")?;
    let header_count = input.u16("the number of headers")?;
    let mut headers = Vec::new();
    for _ in 0..header_count {
        let name = input.text("the name of a header")?.into();
        let length = input.u32("the value of a header")?;
        let value = take_slice(chunk, &mut input, length, "the value of a header")?;
        headers.push(Header { name, value });
    }
    let topic = partition.topic.clone();
    let record = Record { topic, partition: partition.partition, offset, timestamp_ms, key, value, headers };
    Ok((record, input.at()))
}

/// The position after the record that starts at `at`, without building it.
pub(super) fn skip(chunk: &[u8], at: usize) -> Result<usize, DecodeFault> {
    let mut input = Input::starting_at(chunk, at);
    input.i64("the timestamp of a record")?;
    for what in ["the key of a record", "the value of a record"] {
        let length = input.u32(what)?;
        if length != ABSENT {
            skip_slice(&mut input, length, what)?;
        }
    }
    let header_count = input.u16("the number of headers")?;
    for _ in 0..header_count {
        let name_length = u32::from(input.u16("the name of a header")?);
        skip_slice(&mut input, name_length, "the name of a header")?;
        let value_length = input.u32("the value of a header")?;
        skip_slice(&mut input, value_length, "the value of a header")?;
    }
    Ok(input.at())
}

fn skip_slice(input: &mut Input<'_>, length: u32, what: &str) -> Result<(), DecodeFault> {
    let length = usize::try_from(length).expect("a 32-bit length fits the address space");
    input.take(length, what).map(|_| ())
}

fn take_optional(chunk: &Bytes, input: &mut Input<'_>, what: &str) -> Result<Option<Bytes>, DecodeFault> {
    let length = input.u32(what)?;
    if length == ABSENT {
        return Ok(None);
    }
    take_slice(chunk, input, length, what).map(Some)
}

fn take_slice(chunk: &Bytes, input: &mut Input<'_>, length: u32, what: &str) -> Result<Bytes, DecodeFault> {
    let start = input.at();
    skip_slice(input, length, what)?;
    Ok(chunk.slice(start..input.at()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn output<'a>(
        topic: &'a crate::TopicName,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        headers: &'a [Header],
    ) -> OutputRecord<'a> {
        OutputRecord { topic, partition: 1, timestamp_ms: -7, key, value, headers }
    }

    proptest! {
        #[test]
        fn a_record_survives_encoding(
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
            headers in proptest::collection::vec(("[a-zé]{0,8}", proptest::collection::vec(any::<u8>(), 0..9)), 0..4),
        ) {
            let topic: crate::TopicName = "t".into();
            let headers: Vec<Header> =
                headers.into_iter().map(|(name, value)| Header::new(name.as_str(), value)).collect();
            let record = output(&topic, key.as_deref(), value.as_deref(), &headers);
            let mut bytes = vec![0xaa];
            encode(&record, &mut bytes);
            prop_assert_eq!(encoded_length(&record).unwrap(), u64::try_from(bytes.len() - 1).unwrap());
            prop_assert_eq!(skip(&bytes, 1), Ok(bytes.len()));

            let end = bytes.len();
            let (decoded, next) = decode(&Bytes::from(bytes), 1, &TopicPartition::new("t", 1), 9).unwrap();
            prop_assert_eq!(next, end);
            prop_assert_eq!((decoded.offset, decoded.timestamp_ms), (9, -7));
            prop_assert_eq!(decoded.key.as_deref(), key.as_deref());
            prop_assert_eq!(decoded.value.as_deref(), value.as_deref());
            prop_assert_eq!(decoded.headers, headers);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), at in 0_usize..70) {
            let skipped = skip(&bytes, at);
            let decoded = decode(&Bytes::from(bytes), at, &TopicPartition::new("t", 0), 0);
            if let Ok((_, next)) = decoded {
                prop_assert_eq!(skipped, Ok(next));
            }
        }
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let topic: crate::TopicName = "t".into();
        let long_name = [Header::new("n".repeat(65_536), &b""[..])];
        let many = vec![Header::new("n", &b""[..]); 65_536];
        for headers in [&long_name[..], &many[..]] {
            let refused = encoded_length(&output(&topic, None, None, headers));
            assert_eq!(refused.map_err(|error| error.code()), Err("STL-0115"));
        }
    }
}
