//! CSV: rows become requests by a mapping.

use std::collections::VecDeque;
use std::io::{self, Read};

use settle_types::CurrencyTable;

use super::error::ReadError;
use super::lines::{Line, LineReader};
use super::split::{Fed, RowSplitter};
use super::{Row, RowError, unreadable};
use crate::field::Problem;
use crate::mapping::bound::BoundMapping;
use crate::mapping::{Dialect, Mapping};
use crate::rejects::{Place, Reject};

/// Most lines of a row: bounds what is read again after a quote that is not closed.
const MAX_ROW_LINES: usize = 100;

/// The rows of a CSV file.
pub(super) struct CsvRequests {
    file: String,
    rows: RowReader,
    mapping: BoundMapping,
}

impl CsvRequests {
    /// Reads the header, if there is one, and finds the columns of the mapping.
    pub(super) fn open(
        file: &str,
        reader: Box<dyn Read + Send>,
        mapping: &Mapping,
        currencies: &CurrencyTable,
        max_row_bytes: usize,
    ) -> Result<Self, ReadError> {
        let mut rows = RowReader::new(reader, mapping.dialect.clone(), max_row_bytes);
        let columns = match &mapping.columns {
            Some(columns) => columns.clone(),
            None => read_header(file, &mut rows)?,
        };
        let bound =
            BoundMapping::new(mapping, columns, currencies).map_err(|problem| ReadError::ColumnMissing {
                file: file.to_owned(),
                column: problem.column,
                field: problem.field,
                hint: problem.hint,
            })?;
        Ok(Self { file: file.to_owned(), rows, mapping: bound })
    }

    /// The next row that is not blank.
    pub(super) fn next_row(&mut self) -> Option<Row> {
        let row = match self.rows.next_row() {
            Ok(row) => row?,
            Err(error) => return Some(Err(unreadable(&self.file, error))),
        };
        let converted = self.convert(&row);
        Some(converted.map_err(|problem| {
            let mut reject = Reject::new(&self.file, Place::Line(row.line), problem, row.raw);
            reject.raw_truncated = matches!(row.fields, Err(RowProblem::TooLong));
            RowError::Rejected(reject)
        }))
    }

    fn convert(&self, row: &RawRow) -> Result<settle_types::request::PaymentRequested, Problem> {
        let fields = match &row.fields {
            Ok(fields) => fields,
            Err(problem) => return Err(self.row_problem(*problem)),
        };
        let columns = self.mapping.columns();
        let mut values = Vec::with_capacity(fields.len());
        for (index, field) in fields.iter().enumerate() {
            let Ok(text) = std::str::from_utf8(field) else {
                let expected = "UTF-8 text: convert the file, for example with iconv";
                return Err(self.at_column(
                    index,
                    Some(String::from_utf8_lossy(field).into_owned()),
                    expected,
                ));
            };
            values.push(text);
        }
        if values.len() != columns.len() {
            let expected = format!(
                "{} columns as in the header, found {}: check delimiter and quotes of the row",
                columns.len(),
                values.len()
            );
            return Err(Problem::of_row(expected));
        }
        self.mapping.apply(&values)
    }

    fn row_problem(&self, problem: RowProblem) -> Problem {
        match problem {
            RowProblem::TooLong => {
                Problem::of_row(format!("a row of at most {} bytes", self.rows.lines.max_bytes()))
            }
            RowProblem::AfterQuote(index) => self.at_column(
                index,
                None,
                "a delimiter after the closing quote; a quote within a quoted field is written twice",
            ),
            RowProblem::NotClosed(index) => self.at_column(
                index,
                None,
                "a closing quote within the 100 lines that a row may have; the lines after this one are read as rows of \
                 their own",
            ),
        }
    }

    fn at_column(&self, index: usize, value: Option<String>, expected: &str) -> Problem {
        Problem { column: self.mapping.columns().get(index).cloned(), value, expected: expected.to_owned() }
    }
}

fn read_header(file: &str, rows: &mut RowReader) -> Result<Vec<String>, ReadError> {
    let invalid =
        |problem: &str| ReadError::HeaderInvalid { file: file.to_owned(), problem: problem.to_owned() };
    let row = rows.next_row().map_err(|source| ReadError::Unreadable { file: file.to_owned(), source })?;
    let Some(row) = row else { return Err(invalid("the file is empty")) };
    let fields =
        row.fields.map_err(|_| invalid("the first row is too long or has a quote that is not closed"))?;
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        columns.push(String::from_utf8(field).map_err(|_| invalid("the first row is not UTF-8 text"))?);
    }
    Ok(columns)
}

/// Why a row has no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowProblem {
    TooLong,
    /// Something stands between a closing quote and the delimiter, in the field with this position.
    AfterQuote(usize),
    /// The quote of the field with this position is not closed.
    NotClosed(usize),
}

/// A row, before its values are read.
#[derive(Debug)]
struct RawRow {
    /// Its first line, from 1.
    line: u64,
    /// Its bytes without the last line end.
    raw: Vec<u8>,
    fields: Result<Vec<Vec<u8>>, RowProblem>,
}

/// Splits a stream into rows.
///
/// A row whose quotes are broken is its first line alone: the lines after it are read again as rows, so that one
/// stray quote costs one row. At most one row's bytes are held.
struct RowReader {
    lines: LineReader,
    read_again: VecDeque<Line>,
    dialect: Dialect,
}

impl RowReader {
    fn new(reader: Box<dyn Read + Send>, dialect: Dialect, max_row_bytes: usize) -> Self {
        Self { lines: LineReader::new(reader, max_row_bytes), read_again: VecDeque::new(), dialect }
    }

    fn next_line(&mut self) -> io::Result<Option<Line>> {
        match self.read_again.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next_line(),
        }
    }

    fn next_row(&mut self) -> io::Result<Option<RawRow>> {
        let mut first = self.next_line()?;
        while first.as_ref().is_some_and(Line::is_blank) {
            first = self.next_line()?;
        }
        let Some(first) = first else { return Ok(None) };
        let mut splitter = RowSplitter::new(&self.dialect);
        let mut row_bytes = first.bytes.len();
        let mut taken = vec![first];
        loop {
            let last = taken.last().expect("the first line is there");
            if last.is_too_long {
                let problem = if taken.len() == 1 { RowProblem::TooLong } else { not_closed(&splitter) };
                return Ok(Some(self.broken(taken, problem)));
            }
            match splitter.feed(&last.bytes) {
                Fed::Complete => return Ok(Some(complete(&taken, splitter.into_fields()))),
                Fed::Broken(index) => return Ok(Some(self.broken(taken, RowProblem::AfterQuote(index)))),
                Fed::NeedsMore => {}
            }
            let may_go_on = row_bytes < self.lines.max_bytes() && taken.len() < MAX_ROW_LINES;
            let next = if may_go_on { self.next_line()? } else { None };
            match next {
                Some(line) => {
                    row_bytes += line.bytes.len();
                    taken.push(line);
                }
                None => return Ok(Some(self.broken(taken, not_closed(&splitter)))),
            }
        }
    }

    /// The first line becomes a row with a problem; the others are read again.
    fn broken(&mut self, taken: Vec<Line>, problem: RowProblem) -> RawRow {
        let mut lines = taken.into_iter();
        let first = lines.next().expect("the first line is there");
        for line in lines.rev() {
            self.read_again.push_front(line);
        }
        RawRow { line: first.number, raw: first.content().to_vec(), fields: Err(problem) }
    }
}

fn not_closed(splitter: &RowSplitter) -> RowProblem {
    RowProblem::NotClosed(splitter.position())
}

fn complete(taken: &[Line], fields: Vec<Vec<u8>>) -> RawRow {
    let bytes: Vec<u8> = taken.iter().flat_map(|line| line.bytes.iter().copied()).collect();
    let raw = super::lines::split_line_end(&bytes).0.to_vec();
    RawRow { line: taken[0].number, raw, fields: Ok(fields) }
}
