//! The fields of a CSV row (RFC 4180), line by line, strict about quotes.
//!
//! Strict, because a quote that is not closed would swallow the rows after it without a word.

use super::lines::split_line_end;
use crate::mapping::Dialect;

/// What a line did to the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// The row is complete.
    Complete,
    /// A quoted field goes on in the next line.
    NeedsMore,
    /// A closing quote is followed by something else than a delimiter; in the field with this position.
    Broken(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quote inside a quoted field: its end, or half of a doubled quote.
    AfterQuote,
}

/// Collects the fields of one row.
#[derive(Debug)]
pub(super) struct RowSplitter {
    delimiter: u8,
    quote: Option<u8>,
    fields: Vec<Vec<u8>>,
    current: Vec<u8>,
    state: State,
}

impl RowSplitter {
    /// An empty row.
    pub(super) fn new(dialect: &Dialect) -> Self {
        Self {
            delimiter: dialect.delimiter,
            quote: dialect.quote,
            fields: Vec::new(),
            current: Vec::new(),
            state: State::FieldStart,
        }
    }

    /// Takes the next line of the row, with its line end.
    pub(super) fn feed(&mut self, line: &[u8]) -> Fed {
        let (content, line_end) = split_line_end(line);
        for byte in content {
            if !self.take(*byte) {
                return Fed::Broken(self.fields.len());
            }
        }
        if self.state == State::Quoted {
            self.current.extend_from_slice(line_end);
            return Fed::NeedsMore;
        }
        self.end_field();
        Fed::Complete
    }

    /// False where the byte may not stand.
    fn take(&mut self, byte: u8) -> bool {
        let is_quote = self.quote == Some(byte);
        match self.state {
            State::FieldStart if is_quote => self.state = State::Quoted,
            State::FieldStart | State::Unquoted if byte == self.delimiter => self.end_field(),
            State::FieldStart | State::Unquoted => {
                self.current.push(byte);
                self.state = State::Unquoted;
            }
            State::Quoted if is_quote => self.state = State::AfterQuote,
            State::Quoted => self.current.push(byte),
            State::AfterQuote if is_quote => {
                self.current.push(byte);
                self.state = State::Quoted;
            }
            State::AfterQuote if byte == self.delimiter => self.end_field(),
            State::AfterQuote => return false,
        }
        true
    }

    fn end_field(&mut self) {
        self.fields.push(std::mem::take(&mut self.current));
        self.state = State::FieldStart;
    }

    /// Position of the field that is being read.
    pub(super) fn position(&self) -> usize {
        self.fields.len()
    }

    /// The fields of a complete row.
    pub(super) fn into_fields(self) -> Vec<Vec<u8>> {
        self.fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEMICOLONS: Dialect = Dialect { delimiter: b';', quote: Some(b'"') };

    fn split(dialect: &Dialect, text: &str) -> (Fed, Vec<String>) {
        let mut splitter = RowSplitter::new(dialect);
        let mut fed = Fed::NeedsMore;
        for line in text.split_inclusive('\n') {
            fed = splitter.feed(line.as_bytes());
            if fed != Fed::NeedsMore {
                break;
            }
        }
        let texts = splitter.into_fields().into_iter().map(|field| String::from_utf8(field).expect("text"));
        (fed, texts.collect())
    }

    #[test]
    fn rows_of_each_kind() {
        let cases: [(&str, Fed, &[&str]); 9] = [
            ("1;\"a;b\";2452.00\r\n", Fed::Complete, &["1", "a;b", "2452.00"]),
            ("\"a \"\"b\"\"\";\" \"\n", Fed::Complete, &["a \"b\"", " "]),
            ("\"a\r\nb\";c\n", Fed::Complete, &["a\r\nb", "c"]),
            (";;\n", Fed::Complete, &["", "", ""]),
            ("a;\"\"", Fed::Complete, &["a", ""]),
            ("5\" pipe;b\n", Fed::Complete, &["5\" pipe", "b"]),
            ("a;\"b\" c;d\n", Fed::Broken(1), &["a"]),
            ("a;\"b\n", Fed::NeedsMore, &["a"]),
            ("a;\"b\nc\n", Fed::NeedsMore, &["a"]),
        ];
        for (text, fed, fields) in cases {
            let (found, texts) = split(&SEMICOLONS, text);
            assert_eq!((found, texts.as_slice()), (fed, fields.map_owned().as_slice()), "{text}");
        }
        let unquoted = Dialect { delimiter: b'\t', quote: None };
        assert_eq!(split(&unquoted, "\"a\tb\"\n").1, ["\"a", "b\""]);
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    proptest! {
        #[test]
        fn what_a_csv_writer_writes_is_read_back(
            fields in proptest::collection::vec("[a;\"\r\n 1é]{0,8}", 1..6),
            delimiter in prop_oneof![Just(b';'), Just(b','), Just(b'\t')],
        ) {
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
            writer.write_record(&fields).expect("memory does not fail");
            let bytes = writer.into_inner().expect("memory does not fail");
            let text = String::from_utf8(bytes).expect("text");
            let dialect = Dialect { delimiter, quote: Some(b'"') };
            prop_assert_eq!(split(&dialect, &text), (Fed::Complete, fields));
        }
    }
}
