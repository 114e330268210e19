//! Records whose fields have the names of the request (JSONL, Avro) become requests.
//!
//! Owns the rules that both formats share. Must not know either: a [`Node`] is all it sees.

use settle_types::Timestamp;
use settle_types::request::PaymentRequested;

use crate::field::{self, Draft, Field, PRIORITY_EXPECTED, Problem};
use crate::{instant, nearest};

/// A value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Null.
    Absent,
    /// Text or a symbol.
    Text(String),
    /// An integer of 64 bits.
    Integer(i64),
    /// A timestamp of a type that says so.
    Instant(Timestamp),
    /// Names and values, in the order of the file; names may repeat.
    Pairs(Vec<(String, Node)>),
    /// What no field takes.
    Other {
        /// For people: `an array`.
        kind: &'static str,
        /// As found.
        shown: String,
    },
}

const AMOUNT_EXPECTED: &str = "an integer of minor units within 64 bits, without quotes";
const INSTANT_EXPECTED: &str =
    "an ISO 8601 time with a zone, such as 2026-03-02T09:15:00Z, or microseconds since 1970 as an integer";

/// The request of a record.
pub(super) fn to_request(record: Node) -> Result<PaymentRequested, Problem> {
    let Node::Pairs(pairs) = record else {
        return Err(Problem::of_row(format!(
            "a record with the fields of a request, found {}",
            record.kind()
        )));
    };
    let mut draft = Draft::default();
    let mut seen: Vec<&str> = Vec::with_capacity(pairs.len());
    for (name, node) in &pairs {
        if seen.contains(&name.as_str()) {
            return Err(Problem::missing(name, "each field once"));
        }
        match (name.as_str(), node) {
            ("card" | "metadata", Node::Absent) => {}
            ("card", Node::Pairs(pairs)) => set_card(&mut draft, pairs)?,
            ("metadata", Node::Pairs(pairs)) => set_metadata(&mut draft, pairs)?,
            ("card" | "metadata", other) => {
                return Err(Problem::of(name, other.shown(), format!("an object, found {}", other.kind())));
            }
            _ => match Field::find(name) {
                Some(field) => set_field(&mut draft, field, node)?,
                None => return Err(unknown(name, name, &field::top_names())),
            },
        }
        seen.push(name);
    }
    draft.finish().map_err(missing)
}

fn set_card(draft: &mut Draft, pairs: &[(String, Node)]) -> Result<(), Problem> {
    draft.set_card_present();
    for (name, node) in pairs {
        let Some(field) = Field::find_in_card(name) else {
            return Err(unknown(&format!("card.{name}"), name, &field::card_names()));
        };
        if draft.has(field) {
            return Err(Problem::missing(field.name(), "each field once"));
        }
        set_field(draft, field, node)?;
    }
    Ok(())
}

fn set_metadata(draft: &mut Draft, pairs: &[(String, Node)]) -> Result<(), Problem> {
    for (name, node) in pairs {
        let column = || format!("metadata.{name}");
        match node {
            Node::Absent => {}
            Node::Text(text) if draft.set_metadata(name, text) => {}
            Node::Text(_) => return Err(Problem::missing(column(), "each name once")),
            other => {
                return Err(Problem::of(column(), other.shown(), format!("a text, found {}", other.kind())));
            }
        }
    }
    Ok(())
}

fn set_field(draft: &mut Draft, field: Field, node: &Node) -> Result<(), Problem> {
    if *node == Node::Absent {
        return if field.is_required() { Err(missing(field)) } else { Ok(()) };
    }
    let wrong = |expected: String| Problem::of(field.name(), node.shown(), expected);
    match (field, node) {
        (Field::AmountMinor, Node::Integer(minor_units)) => draft.set_amount(*minor_units),
        (Field::AmountMinor, _) => return Err(wrong(AMOUNT_EXPECTED.to_owned())),
        (Field::RequestedAt | Field::ExecuteAt, _) => {
            let instant = to_instant(node).ok_or_else(|| wrong(INSTANT_EXPECTED.to_owned()))?;
            draft.set_instant(field, instant);
        }
        (Field::Priority, Node::Integer(priority)) => draft.set_priority(*priority).map_err(wrong)?,
        (Field::Priority, _) => return Err(wrong(PRIORITY_EXPECTED.to_owned())),
        (_, Node::Text(text)) => draft.set_text(field, text).map_err(wrong)?,
        (_, other) => return Err(wrong(format!("a text, found {}", other.kind()))),
    }
    Ok(())
}

fn to_instant(node: &Node) -> Option<Timestamp> {
    match node {
        Node::Instant(instant) => Some(*instant),
        Node::Integer(micros) => Some(Timestamp::from_micros(*micros)),
        Node::Text(text) => instant::parse_iso(text),
        _ => None,
    }
}

fn missing(field: Field) -> Problem {
    Problem::missing(field.name(), "a value: the field is required")
}

fn unknown(column: &str, name: &str, known: &[&str]) -> Problem {
    Problem::missing(column, format!("a field of the request; {}", nearest::hint(name, known)))
}

impl Node {
    fn kind(&self) -> &'static str {
        match self {
            Self::Absent => "null",
            Self::Text(_) => "a text",
            Self::Integer(_) => "an integer",
            Self::Instant(_) => "a time",
            Self::Pairs(_) => "an object",
            Self::Other { kind, .. } => kind,
        }
    }

    /// As found, for rejects.
    fn shown(&self) -> String {
        match self {
            Self::Absent => "null".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Integer(integer) => integer.to_string(),
            Self::Instant(instant) => instant.to_string(),
            Self::Pairs(_) => "{...}".to_owned(),
            Self::Other { shown, .. } => shown.clone(),
        }
    }
}
