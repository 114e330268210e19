//! What can be wrong with bytes that should be a record.
//!
//! The messages go into decisions and dead letters, so they never quote a value: a field may hold what must
//! not be written anywhere, such as a card number.

use settle_types::reason;

use crate::HEADER_LENGTH;

/// Why bytes are not the expected record. Every position counts from the first byte of the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Shorter than the header of the wire format.
    #[error(
        "the value has {length} bytes, expected at least {HEADER_LENGTH}: a zero byte, a schema id of four \
         bytes, then the Avro record; send it through a serializer of the Confluent wire format"
    )]
    TooShort {
        /// Bytes found.
        length: usize,
    },
    /// Another first byte than zero.
    #[error(
        "the value begins with 0x{found:02x}, expected 0x00; it may be JSON or Avro without a header: send it \
         through a serializer of the Confluent wire format"
    )]
    BadMagic {
        /// The first byte.
        found: u8,
    },
    /// No schema has this id.
    #[error(
        "schema id {id} is not known; send the record with an id that docs/schemas.md or the registry names"
    )]
    UnknownSchema {
        /// The id that the value names.
        id: u32,
    },
    /// The schema is known, but belongs to another topic.
    #[error("the value is a {found}, expected a {expected}; send it to the topic of its schema")]
    WrongSchema {
        /// Full name of the record that was asked for.
        expected: &'static str,
        /// Full name of the record that the value names.
        found: String,
    },
    /// A registry has the schema, but records of it cannot be read as ours.
    #[error(
        "schema {id} of the registry cannot be used: {what}; send the record with a schema that is compatible \
         with the one of its topic (docs/schemas.md)"
    )]
    UnusableSchema {
        /// The id that the value names.
        id: u32,
        /// What stands in the way.
        what: String,
    },
    /// The bytes after the header do not follow the schema that the header names.
    #[error("byte {at} of the value does not follow the schema that it names: {what}")]
    Malformed {
        /// Where reading stopped.
        at: usize,
        /// What was found there, in words and without the value.
        what: String,
    },
    /// The record ends before the value does.
    #[error(
        "the value goes on for {count} bytes after the end of its record at byte {at}; send one record a value"
    )]
    TrailingBytes {
        /// Where the record ended.
        at: usize,
        /// Bytes after it.
        count: usize,
    },
}

impl DecodeError {
    /// The code for decisions and dead letters, one of [`settle_types::reason`].
    pub const fn reason_code(&self) -> &'static str {
        match self {
            Self::UnknownSchema { .. } => reason::UNKNOWN_SCHEMA,
            Self::TooShort { .. }
            | Self::BadMagic { .. }
            | Self::WrongSchema { .. }
            | Self::UnusableSchema { .. }
            | Self::Malformed { .. }
            | Self::TrailingBytes { .. } => reason::UNDECODABLE,
        }
    }
}
