//! Values before they are a [`Config`](crate::Config), each with the place where it was set.
//!
//! All layers become such trees and are merged: tables key by key, everything else as a whole.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::key_path::{KeyPath, Segment};
use crate::problem::{Origin, Problem, code};
use crate::shape::Shape;

/// A value and where it was set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) origin: Option<Origin>,
    pub(crate) node: Node,
}

/// A value of TOML.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// Was reported, and is passed over from then on. Lists keep it, so that later items keep their numbers.
    Removed,
    Table(BTreeMap<String, Entry>),
    List(Vec<Entry>),
    Text(String),
    Integer(i128),
    /// A number with a fraction, or beyond 128 bits, as it was written: the configuration has none.
    Number(String),
    Boolean(bool),
    DateTime(String),
}

impl Entry {
    pub(crate) fn table(origin: Option<Origin>) -> Self {
        Self { origin, node: Node::Table(BTreeMap::new()) }
    }

    /// This value below a path of keys.
    pub(crate) fn below(self, path: &[String]) -> Self {
        path.iter().rev().fold(self, |inner, key| {
            let origin = inner.origin.clone();
            Self { origin, node: Node::Table(BTreeMap::from([(key.clone(), inner)])) }
        })
    }

    /// Puts another layer on top of this one.
    pub(crate) fn merge(&mut self, above: Self) {
        match (&mut self.node, above.node) {
            (Node::Table(own), Node::Table(others)) => {
                for (key, other) in others {
                    match own.get_mut(&key) {
                        Some(present) => present.merge(other),
                        None => drop(own.insert(key, other)),
                    }
                }
            }
            (own, other) => *own = other,
        }
        self.origin = above.origin;
    }

    /// The value of a key; `None` if this is no table, or lacks the key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.node {
            Node::Table(entries) => entries.get(key),
            _ => None,
        }
    }

    /// Keys of a table; none for anything else.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        let entries = if let Node::Table(entries) = &self.node { Some(entries) } else { None };
        entries.into_iter().flat_map(BTreeMap::keys)
    }

    /// Where the value at a path, or the nearest one around it, was set.
    pub(crate) fn origin_of(&self, path: &KeyPath) -> Option<&Origin> {
        let mut entry = self;
        for segment in &path.0 {
            let inner = match (segment, &entry.node) {
                (Segment::Key(key), Node::Table(entries)) => entries.get(key),
                (Segment::Index(index), Node::List(entries)) => entries.get(*index),
                _ => None,
            };
            let Some(inner) = inner else { break };
            entry = inner;
        }
        entry.origin.as_ref()
    }

    /// Marks the value at a path as [`Node::Removed`]. False if nothing stands there.
    pub(crate) fn remove(&mut self, path: &KeyPath) -> bool {
        let mut entry = self;
        for segment in &path.0 {
            let inner = match (segment, &mut entry.node) {
                (Segment::Key(key), Node::Table(entries)) => entries.get_mut(key),
                (Segment::Index(index), Node::List(entries)) => entries.get_mut(*index),
                _ => None,
            };
            let Some(inner) = inner else { return false };
            entry = inner;
        }
        let was_there = entry.node != Node::Removed;
        entry.node = Node::Removed;
        was_there
    }

    /// From the text of a file, with every error of its syntax. What can be read is there in spite of them.
    pub(crate) fn from_toml_file(path: &Path, text: &str) -> (Self, Vec<Problem>) {
        let lines =
            Lines { path: path.into(), newlines: text.match_indices('\n').map(|(at, _)| at).collect() };
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut problems: Vec<Problem> = Vec::new();
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            let (origin, column) = (lines.origin(offset), lines.column(offset, text));
            // What follows the first error of a line is mostly its echo.
            if problems.last().is_some_and(|last| last.origin.as_ref() == Some(&origin)) {
                continue;
            }
            let message = format!("column {column}: not TOML: {}", error.message());
            let hint = "correct the line; https://toml.io shows what may stand there";
            problems.push(Problem::error(code::SYNTAX, "", message).hint(hint).at(Some(origin)));
        }
        let mut root = Self::table(None);
        root.node = from_table(table.get_ref(), &|offset| Some(lines.origin(offset)));
        (root, problems)
    }

    /// From the text of one value, as a variable or a flag carries it. Text is taken as it is where text is expected
    /// (`17:00` would else be a time), where nothing is known, and where it is not TOML; a text in quotes loses them.
    pub(crate) fn from_text(text: &str, shape: Option<&Shape>, origin: &Option<Origin>) -> Self {
        let takes_text = matches!(shape, None | Some(Shape::Text | Shape::Choice(_)));
        let node = match DeValue::parse(text.trim()) {
            Ok(value) if !takes_text || value.get_ref().is_str() => {
                from_value(value.get_ref(), &|_| origin.clone())
            }
            _ => Node::Text(text.to_owned()),
        };
        Self { origin: origin.clone(), node }
    }

    /// From JSON, where null stands for what is not set.
    pub(crate) fn from_json(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        let node = match value {
            Value::Null => Node::Removed,
            Value::Bool(value) => Node::Boolean(*value),
            Value::Number(number) => {
                number.as_i128().map_or_else(|| Node::Number(number.to_string()), Node::Integer)
            }
            Value::String(text) => Node::Text(text.clone()),
            Value::Array(items) => Node::List(items.iter().map(Self::from_json).collect()),
            Value::Object(table) => {
                Node::Table(table.iter().map(|(key, value)| (key.clone(), Self::from_json(value))).collect())
            }
        };
        Self { origin: None, node }
    }
}

/// Where the lines of a file end.
struct Lines {
    path: Arc<Path>,
    newlines: Vec<usize>,
}

impl Lines {
    fn origin(&self, offset: usize) -> Origin {
        let line = self.newlines.partition_point(|newline| *newline < offset) + 1;
        Origin::File { path: Arc::clone(&self.path), line }
    }

    /// Column in characters, from 1.
    fn column(&self, offset: usize, text: &str) -> usize {
        let before = self.newlines.partition_point(|newline| *newline < offset);
        let start = before.checked_sub(1).map_or(0, |index| self.newlines[index] + 1);
        text.get(start..offset).map_or(0, |part| part.chars().count()) + 1
    }
}

type OriginAt<'a> = &'a dyn Fn(usize) -> Option<Origin>;

fn from_table(table: &DeTable<'_>, origin_at: OriginAt<'_>) -> Node {
    let mut entries = BTreeMap::new();
    for (key, value) in table {
        let entry =
            Entry { origin: origin_at(key.span().start), node: from_value(value.get_ref(), origin_at) };
        entries.insert(key.get_ref().to_string(), entry);
    }
    Node::Table(entries)
}

fn from_value(value: &DeValue<'_>, origin_at: OriginAt<'_>) -> Node {
    let item = |item: &Spanned<DeValue<'_>>| Entry {
        origin: origin_at(item.span().start),
        node: from_value(item.get_ref(), origin_at),
    };
    match value {
        DeValue::String(text) => Node::Text(text.to_string()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Node::Number(number.as_str().to_owned()), Node::Integer),
        DeValue::Float(number) => Node::Number(number.as_str().to_owned()),
        DeValue::Boolean(value) => Node::Boolean(*value),
        DeValue::Datetime(value) => Node::DateTime(value.to_string()),
        DeValue::Array(items) => Node::List(items.iter().map(item).collect()),
        DeValue::Table(table) => from_table(table, origin_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Entry {
        let (entry, problems) = Entry::from_toml_file(Path::new("s.toml"), text);
        assert_eq!(problems, []);
        entry
    }

    fn line_of(entry: &Entry, path: &KeyPath) -> usize {
        match entry.origin_of(path) {
            Some(Origin::File { line, .. }) => *line,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn every_value_knows_its_line() {
        let entry = parsed("a = 1\n[b.c]\nd = [\n  2,\n  3,\n]\n[[e]]\nf = 1\n[[e]]\nf = 2\n");
        let root = KeyPath::default();
        let list = root.key("b").key("c").key("d");
        assert_eq!(line_of(&entry, &root.key("a")), 1);
        assert_eq!(line_of(&entry, &root.key("b").key("c")), 2);
        assert_eq!(line_of(&entry, &list), 3);
        assert_eq!(line_of(&entry, &list.index(1)), 5);
        assert_eq!(line_of(&entry, &root.key("e").index(1).key("f")), 10);
        assert_eq!(line_of(&entry, &list.index(7)), 3, "the nearest one around it");
    }

    #[test]
    fn tables_merge_and_everything_else_is_replaced() {
        let mut entry = parsed("a = { b = 1, c = [1, 2] }\nd = 1");
        entry.merge(parsed("a.c = [3]\na.e = 4"));
        let mut expected = parsed("a = { b = 1, c = [3], e = 4 }\nd = 1");
        for entry in [&mut entry, &mut expected] {
            forget_origins(entry);
        }
        assert_eq!(entry, expected);
    }

    fn forget_origins(entry: &mut Entry) {
        entry.origin = None;
        match &mut entry.node {
            Node::Table(entries) => entries.values_mut().for_each(forget_origins),
            Node::List(entries) => entries.iter_mut().for_each(forget_origins),
            _ => {}
        }
    }

    #[test]
    fn integers_of_every_form() {
        let entry = parsed("a = 5_000\nb = 0xff\nc = -1\nd = 99999999999999999999\ne = 1.5");
        let node = |key| entry.get(key).map(|entry| &entry.node);
        assert_eq!(node("a"), Some(&Node::Integer(5_000)));
        assert_eq!(node("b"), Some(&Node::Integer(255)));
        assert_eq!(node("c"), Some(&Node::Integer(-1)));
        assert_eq!(node("d"), Some(&Node::Integer(99_999_999_999_999_999_999)));
        assert_eq!(node("e"), Some(&Node::Number("1.5".to_owned())));
    }
}
