//! The only place that prints: data to standard output, messages to standard error.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

/// Writes a line of data. A reader that went away (`settle ... | head`) ends the program quietly.
pub(crate) fn data(line: impl AsRef<str>) {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(line.as_ref().as_bytes()).and_then(|()| stdout.write_all(b"\n"));
    if let Err(error) = written {
        let code = if error.kind() == io::ErrorKind::BrokenPipe { 0 } else { 1 };
        std::process::exit(code);
    }
}

/// Writes one JSON object as a line of data.
pub(crate) fn json(value: &impl Serialize) {
    data(serde_json::to_string(value).expect("plain values become JSON"));
}

/// Writes a message for people.
pub(crate) fn message(text: impl AsRef<str>) {
    // Nothing is left to be done where standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// A table for people: a title, a header, and rows; columns from `numbers_from` on are numbers.
pub(crate) struct Sheet {
    title: String,
    table: Table,
}

impl Sheet {
    /// An empty table.
    pub(crate) fn new(title: impl Into<String>, header: &[&str], numbers_from: usize) -> Self {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header.iter().copied());
        for (index, column) in table.column_iter_mut().enumerate() {
            if index >= numbers_from {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { title: title.into(), table }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.table.add_row(cells);
    }

    /// Prints title and table.
    pub(crate) fn print(&self) {
        data(format!("\n{}\n{}", self.title, self.table));
    }
}

/// A count with separators of thousands: `1,234,567`.
pub(crate) fn count(number: impl TryInto<i128>) -> String {
    let number: i128 = number.try_into().unwrap_or_default();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567")];
        for (number, expected) in cases {
            assert_eq!(count(number), expected);
        }
    }
}
