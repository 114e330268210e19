//! Rows that could not become requests: what is wrong with each, and the file that collects them.
//!
//! Owns the format of the rejects file. The row itself goes only there: it is the caller's own data and may hold
//! what must not reach a log.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Error;
use crate::field::Problem;
use crate::mask::masked;

/// Where in its file a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// First line of the row in a text file, from 1.
    Line(u64),
    /// Number of the record in a container file, from 1.
    Record(u64),
}

/// A row that could not become a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Reject {
    /// The file, as the caller named it.
    pub file: String,
    /// Where in the file.
    pub place: Place,
    /// Column of a CSV file, field of a record; none where the whole row is meant.
    pub column: Option<String>,
    /// What stood there, masked and cut ([`masked`]); none where nothing did.
    pub value: Option<String>,
    /// What was expected, and what to do.
    pub expected: String,
    /// The row as it is in the file; of a record, its JSON. Only for the rejects file.
    pub raw: Vec<u8>,
    /// True if the row is longer than the limit and `raw` holds its beginning.
    pub raw_truncated: bool,
}

impl Reject {
    pub(crate) fn new(file: &str, place: Place, problem: Problem, raw: Vec<u8>) -> Box<Self> {
        Box::new(Self {
            file: file.to_owned(),
            place,
            column: problem.column.map(|column| masked(&column)),
            value: problem.value.map(|value| masked(&value)),
            expected: problem.expected,
            raw,
            raw_truncated: false,
        })
    }
}

impl fmt::Display for Reject {
    /// For messages and logs: without the row.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        match self.place {
            Place::Line(number) => write!(formatter, ", line {number}")?,
            Place::Record(number) => write!(formatter, ", record {number}")?,
        }
        if let Some(column) = &self.column {
            write!(formatter, ", column \"{column}\"")?;
        }
        if let Some(value) = &self.value {
            write!(formatter, ": found \"{value}\"")?;
        }
        write!(formatter, ": expected {}", self.expected)
    }
}

impl fmt::Debug for Reject {
    /// As [`fmt::Display`]: a reject that is logged by accident does not show its row.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Reject({self}; row of {} bytes)", self.raw.len())
    }
}

/// One line of the rejects file.
#[derive(Serialize)]
struct RejectLine<'r> {
    file: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<u64>,
    column: Option<&'r str>,
    value: Option<&'r str>,
    expected: &'r str,
    /// The row as text; bytes that are not UTF-8 are replaced, and `raw_hex` then holds them as they are.
    raw: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_hex: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    raw_truncated: bool,
}

impl<'r> RejectLine<'r> {
    fn new(reject: &'r Reject) -> Self {
        let (line, record) = match reject.place {
            Place::Line(number) => (Some(number), None),
            Place::Record(number) => (None, Some(number)),
        };
        let is_text = std::str::from_utf8(&reject.raw).is_ok();
        Self {
            file: &reject.file,
            line,
            record,
            column: reject.column.as_deref(),
            value: reject.value.as_deref(),
            expected: &reject.expected,
            raw: String::from_utf8_lossy(&reject.raw).into_owned(),
            raw_hex: (!is_text).then(|| reject.raw.iter().map(|byte| format!("{byte:02x}")).collect()),
            raw_truncated: reject.raw_truncated,
        }
    }
}

/// The rejects file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the rejects file {}", path.display())]
pub struct RejectsError {
    /// The rejects file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl RejectsError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        "check the folder, its permissions and the space left, or name another file with --rejects"
    }
}

/// A JSONL file of rejects that comes into being with the first one.
///
/// Only its owner may read it (Unix), because rows may hold what the rest of the system refuses. A file of an
/// earlier run is replaced.
#[derive(Debug)]
pub struct RejectsFile {
    path: PathBuf,
    writer: Option<BufWriter<File>>,
    count: u64,
}

impl RejectsFile {
    /// Nothing is created yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, writer: None, count: 0 }
    }

    /// Adds a reject; the first one creates the file.
    pub fn write(&mut self, reject: &Reject) -> Result<(), Error> {
        self.write_line(reject).map_err(|source| self.failed(source))?;
        self.count += 1;
        Ok(())
    }

    /// Writes what is buffered; returns the number of rejects. Call it at the end: dropping reports no errors.
    pub fn finish(&mut self) -> Result<u64, Error> {
        let flushed = self.writer.as_mut().map_or(Ok(()), Write::flush);
        flushed.map_err(|source| self.failed(source))?;
        Ok(self.count)
    }

    /// Where the file is, or would be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, source: io::Error) -> Error {
        RejectsError { path: self.path.clone(), source }.into()
    }

    fn write_line(&mut self, reject: &Reject) -> io::Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                refuse_input(&self.path, Path::new(&reject.file))?;
                self.writer.insert(BufWriter::new(create_private(&self.path)?))
            }
        };
        serde_json::to_writer(&mut *writer, &RejectLine::new(reject))?;
        writer.write_all(b"\n")
    }
}

/// The input must not be overwritten by its own rejects.
fn refuse_input(rejects: &Path, input: &Path) -> io::Result<()> {
    match (rejects.canonicalize(), input.canonicalize()) {
        (Ok(rejects), Ok(input)) if rejects == input => Err(io::Error::other("it is the input file")),
        _ => Ok(()),
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(raw: &[u8]) -> Box<Reject> {
        let problem = Problem::of("amount", "12,5", "a decimal number");
        Reject::new("orders.csv", Place::Line(17), problem, raw.to_vec())
    }

    #[test]
    fn the_file_comes_with_the_first_reject() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rejects.jsonl");
        let mut rejects = RejectsFile::new(path.clone());
        assert!(!path.exists());
        rejects.write(&reject(b"1;12,5")).expect("written");
        rejects.write(&reject(b"\xff;x")).expect("written");
        assert_eq!(rejects.finish().expect("flushed"), 2);
        let text = std::fs::read_to_string(&path).expect("readable");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            r#"{"file":"orders.csv","line":17,"column":"amount","value":"12,5","expected":"a decimal number","raw":"1;12,5"}"#
        );
        assert!(lines[1].ends_with(r#""raw_hex":"ff3b78"}"#), "{}", lines[1]);
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn without_rejects_there_is_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rejects.jsonl");
        assert_eq!(RejectsFile::new(path.clone()).finish().expect("nothing to flush"), 0);
        assert!(!path.exists());
    }

    #[test]
    fn an_unwritable_place_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut rejects = RejectsFile::new(folder.path().join("missing").join("rejects.jsonl"));
        let error = rejects.write(&reject(b"x")).expect_err("no such folder");
        assert!(error.to_string().contains("missing") && error.hint().contains("--rejects"), "{error}");
        assert_eq!(rejects.finish().expect("nothing to flush"), 0);
    }

    #[test]
    fn the_input_is_not_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let input = folder.path().join("in.csv");
        std::fs::write(&input, "rows").expect("written");
        let mut row = reject(b"x");
        row.file = input.display().to_string();
        assert!(RejectsFile::new(input.clone()).write(&row).is_err());
        assert_eq!(std::fs::read_to_string(&input).expect("readable"), "rows");
    }

    #[test]
    fn messages_hold_no_row() {
        let shown = reject(b"4111111111111111;12,5");
        let expected = "orders.csv, line 17, column \"amount\": found \"12,5\": expected a decimal number";
        assert_eq!(shown.to_string(), expected);
        assert!(!format!("{shown:?}").contains("4111"));
    }
}
