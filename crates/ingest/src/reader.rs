//! Request files as one stream of requests and rejects, whatever their format.
//!
//! Owns the conversion on the way in, in bounded memory. Must not judge requests: what can be encoded goes on, and
//! AUTHORIZE decides whether it makes sense.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use settle_types::CurrencyTable;
use settle_types::request::PaymentRequested;

use crate::error::Error;
use crate::mapping::Mapping;
use crate::rejects::Reject;

mod avro;
mod csv;
mod error;
mod jsonl;
mod lines;
mod record;
mod split;

pub use error::ReadError;

/// Longest row of a CSV or JSONL file: 1 MiB. Requests are a few hundred bytes.
pub const MAX_ROW_BYTES: usize = 1 << 20;

/// How a request file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Rows of text; needs a mapping.
    Csv,
    /// A JSON object a line, with the field names of the request.
    Jsonl,
    /// An Avro object container file, with the field names of the request.
    Avro,
}

impl Format {
    /// The name for people.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Jsonl => "JSONL",
            Self::Avro => "Avro",
        }
    }
}

/// Why a row is not a request.
#[derive(Debug)]
enum RowError {
    /// The row cannot become a request. The rows after it can.
    Rejected(Box<Reject>),
    /// Nothing more can be read; the iterator ends.
    Fatal(ReadError),
}

/// A row as it is read: taken, or not.
type Row = Result<PaymentRequested, RowError>;

/// The requests of a file in its order.
pub struct Requests {
    source: Source,
    has_ended: bool,
}

enum Source {
    Csv(csv::CsvRequests),
    Jsonl(jsonl::JsonlRequests),
    Avro(avro::AvroRequests),
}

impl Requests {
    /// Opens a request file. CSV needs a mapping, the other formats take none. `currencies` tells how many decimals
    /// an amount has.
    pub fn open(
        path: &Path,
        format: Format,
        mapping: Option<Mapping>,
        currencies: &CurrencyTable,
    ) -> Result<Self, Error> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|source| ReadError::Unreadable { file: name.clone(), source })?;
        Ok(from_reader(&name, file, format, mapping.as_ref(), currencies, MAX_ROW_BYTES)?)
    }
}

/// As [`Requests::open`], from any source of bytes. `name` stands for it in rejects; `max_row_bytes` bounds a row of CSV and
/// JSONL: a longer one is a reject.
fn from_reader(
    name: &str,
    reader: impl Read + Send + 'static,
    format: Format,
    mapping: Option<&Mapping>,
    currencies: &CurrencyTable,
    max_row_bytes: usize,
) -> Result<Requests, ReadError> {
    let reader: Box<dyn Read + Send> = Box::new(reader);
    let source = match (format, mapping) {
        (Format::Csv, Some(mapping)) => {
            Source::Csv(csv::CsvRequests::open(name, reader, mapping, currencies, max_row_bytes)?)
        }
        (Format::Csv, None) => return Err(ReadError::MappingMissing { file: name.to_owned() }),
        (other, Some(_)) => {
            return Err(ReadError::MappingNotUsed { file: name.to_owned(), format: other.as_str() });
        }
        (Format::Jsonl, None) => Source::Jsonl(jsonl::JsonlRequests::new(name, reader, max_row_bytes)),
        (Format::Avro, None) => Source::Avro(avro::AvroRequests::open(name, reader)?),
    };
    Ok(Requests { source, has_ended: false })
}

impl Iterator for Requests {
    /// The outer error ends the file, the inner one is about a row.
    type Item = Result<Result<PaymentRequested, Reject>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let row = match &mut self.source {
            Source::Csv(rows) => rows.next_row(),
            Source::Jsonl(rows) => rows.next_row(),
            Source::Avro(rows) => rows.next_row(),
        };
        self.has_ended = matches!(row, None | Some(Err(RowError::Fatal(_))));
        Some(match row? {
            Ok(request) => Ok(Ok(request)),
            Err(RowError::Rejected(reject)) => Ok(Err(*reject)),
            Err(RowError::Fatal(error)) => Err(error.into()),
        })
    }
}

/// A failed read in the middle of a file.
fn unreadable(file: &str, source: io::Error) -> RowError {
    RowError::Fatal(ReadError::Unreadable { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_error(name: &str, bytes: &'static [u8], format: Format, mapping: Option<&Mapping>) -> ReadError {
        let opened = from_reader(name, bytes, format, mapping, &CurrencyTable::iso_4217(), MAX_ROW_BYTES);
        opened.err().expect("refused")
    }

    #[test]
    fn what_cannot_be_read_says_what_to_do() {
        let missing =
            Requests::open(Path::new("missing/x.csv"), Format::Csv, None, &CurrencyTable::iso_4217());
        let error = missing.err().expect("no such file");
        assert!(error.to_string().contains("missing/x.csv"), "{error}");
        assert!(error.hint().contains("check the path"), "{}", error.hint());
        let error = open_error("x.csv", b"a;b", Format::Csv, None);
        assert!(error.hint().contains("--mapping"), "{}", error.hint());
        let mapping =
            Mapping::parse("m", include_str!("../../../deploy/examples/orders.toml")).expect("valid");
        let error = open_error("x.jsonl", b"{}", Format::Jsonl, Some(&mapping));
        assert!(error.to_string().contains("JSONL"), "{error}");
        assert!(open_error("x.avro", b"Obj", Format::Avro, None).to_string().contains("x.avro"));
    }

    #[test]
    fn a_source_that_breaks_ends_the_stream() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let opened = from_reader("x", Broken, Format::Jsonl, None, &CurrencyTable::iso_4217(), MAX_ROW_BYTES);
        let mut requests = opened.expect("nothing has been read");
        assert!(matches!(requests.next(), Some(Err(Error::Read(ReadError::Unreadable { .. })))));
        assert!(requests.next().is_none());
    }
}
