//! JSONL: an object a line, with the field names of the request.

use std::fmt;
use std::io::Read;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use settle_types::request::PaymentRequested;

use super::lines::{Line, LineReader};
use super::record::{self, Node};
use super::{Row, RowError, unreadable};
use crate::field::Problem;
use crate::rejects::{Place, Reject};

/// The lines of a JSONL file.
pub(super) struct JsonlRequests {
    file: String,
    lines: LineReader,
}

impl JsonlRequests {
    /// Nothing is read yet.
    pub(super) fn new(file: &str, reader: Box<dyn Read + Send>, max_row_bytes: usize) -> Self {
        Self { file: file.to_owned(), lines: LineReader::new(reader, max_row_bytes) }
    }

    /// The next line that is not blank.
    pub(super) fn next_row(&mut self) -> Option<Row> {
        loop {
            let line = match self.lines.next_line() {
                Ok(line) => line?,
                Err(error) => return Some(Err(unreadable(&self.file, error))),
            };
            if line.is_blank() {
                continue;
            }
            let converted = self.convert(&line);
            return Some(converted.map_err(|problem| {
                let place = Place::Line(line.number);
                let mut reject = Reject::new(&self.file, place, problem, line.content().to_vec());
                reject.raw_truncated = line.is_too_long;
                RowError::Rejected(reject)
            }));
        }
    }

    fn convert(&self, line: &Line) -> Result<PaymentRequested, Problem> {
        if line.is_too_long {
            return Err(Problem::of_row(format!("a line of at most {} bytes", self.lines.max_bytes())));
        }
        let Ok(text) = std::str::from_utf8(line.content()) else {
            return Err(Problem::of_row("UTF-8 text: convert the file, for example with iconv"));
        };
        let parsed: Result<Node, serde_json::Error> = serde_json::from_str(text);
        let node = parsed.map_err(|error| Problem::of_row(broken_json(&error)))?;
        record::to_request(node)
    }
}

/// The parser counts lines within the text, which is always one: only its column helps.
fn broken_json(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let cause = message.split(" at line ").next().unwrap_or_default();
    format!("a JSON object on one line; it breaks at character {}: {cause}", error.column())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

/// Takes any JSON value; integers stay exact and repeated names visible.
struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Other { kind: "true or false", shown: value.to_string() })
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        let beyond = Node::Other { kind: "an integer beyond 64 bits", shown: value.to_string() };
        Ok(i64::try_from(value).map_or(beyond, Node::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Other { kind: "a number that is no 64-bit integer", shown: value.to_string() })
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::Other { kind: "an array", shown: "[...]".to_owned() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = entries.next_entry::<String, Node>()? {
            pairs.push(pair);
        }
        Ok(Node::Pairs(pairs))
    }
}
