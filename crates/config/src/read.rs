//! From a tree of values to a [`Config`]: a deserializer that knows the path of what it could not read.
//!
//! It comes after `verify` and so meets only what the types themselves refuse: codes of currencies, dates.

use std::collections::btree_map;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use crate::config::Config;
use crate::key_path::{KeyPath, Segment};
use crate::problem::{Problem, code};
use crate::tree::{Entry, Node};
use crate::verify::Finding;

/// Reads the tree. What cannot be read is added to `findings` and passed over, so that the rest is looked at, too;
/// then, or if there were findings before, there is no configuration.
pub(crate) fn read(tree: &mut Entry, findings: &mut Vec<Finding>) -> Option<Config> {
    // A finding without a path is about a whole source, not about a value.
    for (path, _) in findings.iter().filter(|(path, _)| !path.0.is_empty()) {
        tree.remove(path);
    }
    loop {
        let failure = match Config::deserialize(&*tree) {
            Ok(config) => return findings.is_empty().then_some(config),
            Err(failure) => failure,
        };
        let path = KeyPath(failure.reversed.into_iter().rev().collect());
        // A table that lacks a key which was passed over is no news.
        let is_echo = findings.iter().any(|(reported, _)| reported.starts_with(&path));
        if !is_echo {
            let origin = tree.origin_of(&path).cloned();
            let problem = Problem::error(code::WRONG_VALUE, &path, failure.message).at(origin);
            findings.push((path.clone(), problem));
        }
        if path.0.is_empty() || !tree.remove(&path) {
            return None;
        }
    }
}

/// What a type refused, and the path to it, innermost step first.
#[derive(Debug)]
pub(crate) struct Failure {
    reversed: Vec<Segment>,
    message: String,
}

impl Failure {
    fn inside(mut self, segment: Segment) -> Self {
        self.reversed.push(segment);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl serde::de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { reversed: Vec::new(), message: message.to_string() }
    }

    fn invalid_value(found: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        let found = match found {
            serde::de::Unexpected::Str(text) => format!("the text {text:?}"),
            other => format!("the {other}"),
        };
        Self::custom(format_args!("found {found}, expected {expected}"))
    }
}

impl<'de> Deserializer<'de> for &'de Entry {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node {
            Node::Table(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
            Node::List(entries) => visitor.visit_seq(Items { rest: entries, index: 0 }),
            Node::Text(text) | Node::Number(text) | Node::DateTime(text) => visitor.visit_borrowed_str(text),
            Node::Boolean(value) => visitor.visit_bool(*value),
            Node::Integer(number) => match i64::try_from(*number) {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => Err(Failure::custom("found a number that 64 bits cannot hold")),
            },
            Node::Removed => visitor.visit_unit(),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match &self.node {
            Node::Text(text) => visitor.visit_enum(named(text)),
            _ => Err(Failure::custom("found no text, expected the name of a choice")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

fn named(text: &str) -> StrDeserializer<'_, Failure> {
    text.into_deserializer()
}

struct Entries<'de> {
    rest: btree_map::Iter<'de, String, Entry>,
    value: Option<(&'de String, &'de Entry)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let Some((key, value)) = self.rest.find(|(_, entry)| entry.node != Node::Removed) else {
            return Ok(None);
        };
        self.value = Some((key, value));
        seed.deserialize(named(key)).map(Some).map_err(|failure| failure.inside(Segment::Key(key.clone())))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let (key, entry) = self.value.take().expect("a value is asked for after its key");
        seed.deserialize(entry).map_err(|failure| failure.inside(Segment::Key(key.clone())))
    }
}

struct Items<'de> {
    rest: &'de [Entry],
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        while let Some((first, rest)) = self.rest.split_first() {
            let index = self.index;
            self.rest = rest;
            self.index += 1;
            if first.node != Node::Removed {
                let item = seed.deserialize(first);
                return item.map(Some).map_err(|failure| failure.inside(Segment::Index(index)));
            }
        }
        Ok(None)
    }
}
