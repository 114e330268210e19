//! Values of the state: a format version, the time from which the row counts as gone, and the row itself.
//!
//! `version: u8 | expires_at: i64 big-endian microseconds | postcard body`. The expiry stands in front so that
//! a store can collect expired rows without knowing the tables.

use serde::Serialize;
use serde::de::DeserializeOwned;
use settle_types::Timestamp;

use crate::state_key::{StateKey, TableId};

/// Version of the encoding of values.
pub const VALUE_VERSION: u8 = 1;
const HEADER_LENGTH: usize = 9;

/// A value that this build cannot read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Shorter than its header.
    #[error("a value of {length} bytes is shorter than its header of {HEADER_LENGTH}")]
    TooShort {
        /// Bytes found.
        length: usize,
    },
    /// Written by another version.
    #[error("value format {found}, this build reads {VALUE_VERSION}: rebuild the store from the journal")]
    Version {
        /// Version found.
        found: u8,
    },
    /// No such table in this stage.
    #[error("table {table:#04x} is not known to this build: rebuild the store from the journal")]
    UnknownTable {
        /// Table id found.
        table: TableId,
    },
    /// The body does not decode.
    #[error("row {key:?} does not decode: {what}")]
    Body {
        /// The row's key.
        key: StateKey,
        /// What was wrong.
        what: postcard::Error,
    },
}

/// A row of one of a stage's tables.
pub trait StateRow: Clone + PartialEq + std::fmt::Debug + Sized + Send + 'static {
    /// From this time on, reads treat the row as gone. `Timestamp::MAX`: kept.
    fn expires_at(&self) -> Timestamp;

    /// Appends the body.
    fn encode_body(&self, out: &mut Vec<u8>);

    /// Reads a body of the table that the key belongs to.
    fn decode_body(key: &StateKey, body: &[u8]) -> Result<Self, Error>;

    /// Appends the value: header and body.
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(VALUE_VERSION);
        out.extend_from_slice(&self.expires_at().as_micros().to_be_bytes());
        self.encode_body(out);
    }

    /// Reads a value.
    fn decode(key: &StateKey, value: &[u8]) -> Result<Self, Error> {
        let Some((header, body)) = value.split_at_checked(HEADER_LENGTH) else {
            return Err(Error::TooShort { length: value.len() });
        };
        if header[0] != VALUE_VERSION {
            return Err(Error::Version { found: header[0] });
        }
        Self::decode_body(key, body)
    }
}

/// Expiry of an encoded value, for the store's collection of expired rows. `None`: not a value of this version.
pub fn expiry_of(value: &[u8]) -> Option<Timestamp> {
    let (header, _) = value.split_at_checked(HEADER_LENGTH)?;
    let expiry: [u8; 8] = header[1..].try_into().ok()?;
    (header[0] == VALUE_VERSION).then(|| Timestamp::from_micros(i64::from_be_bytes(expiry)))
}

/// Appends a table's row.
pub fn encode_row<T: Serialize>(row: &T, out: &mut Vec<u8>) {
    let taken = std::mem::take(out);
    *out = postcard::to_extend(row, taken).expect("a row of plain values encodes into memory");
}

/// Reads a table's row.
pub fn decode_row<T: DeserializeOwned>(key: &StateKey, body: &[u8]) -> Result<T, Error> {
    postcard::from_bytes(body).map_err(|what| Error::Body { key: key.clone(), what })
}

/// Functions that take a row of a stage as one of a table, and panic where a row of another table stands.
macro_rules! typed_row {
    ($(#[$doc:meta])* $name:ident $(or $changed:ident)?, $rows:ident::$variant:ident, $row:ty) => {
        $(#[$doc])*
        pub fn $name(row: Option<&$rows>) -> Option<&$row> {
            match row? {
                $rows::$variant(row) => Some(row),
                other => panic!("a {} row was expected where {other:?} stands", stringify!($variant)),
            }
        }
        $(
            pub(super) fn $changed(row: &mut Option<$rows>) -> Option<&mut $row> {
                match row.as_mut()? {
                    $rows::$variant(row) => Some(row),
                    other => panic!("a {} row was expected where {other:?} stands", stringify!($variant)),
                }
            }
        )?
    };
}

pub(crate) use typed_row;
