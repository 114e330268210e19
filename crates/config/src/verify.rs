//! A tree of values against the shape of the configuration: unknown keys, wrong types and ranges, missing keys.
//!
//! All problems are found, not only the first. Owns their words. What values mean together is judged by `check`.

use crate::key_path::KeyPath;
use crate::problem::{Problem, code};
use crate::shape::{Field, Shape};
use crate::tree::{Entry, Node};

/// Longest text that a message repeats, in characters.
const LONGEST_QUOTE: usize = 40;

/// A problem and where it stands, so that the value can be passed over.
pub(crate) type Finding = (KeyPath, Problem);

/// Unknown keys and values of a wrong type or range, in a layer or in the whole.
pub(crate) fn verify_values(entry: &Entry, shape: &Shape, path: &KeyPath, findings: &mut Vec<Finding>) {
    match (shape, &entry.node) {
        (_, Node::Removed) => {}
        (Shape::Table { fields, .. }, Node::Table(entries)) => {
            for (key, inner) in entries {
                match fields.iter().find(|field| field.name == *key) {
                    Some(field) => verify_values(inner, &field.shape, &path.key(key), findings),
                    None => findings.push(unknown_key(inner, key, fields, path)),
                }
            }
        }
        (Shape::Map(inner_shape), Node::Table(entries)) => {
            for (key, inner) in entries {
                verify_values(inner, inner_shape, &path.key(key), findings);
            }
        }
        (Shape::List(inner_shape), Node::List(entries)) => {
            for (index, inner) in entries.iter().enumerate() {
                verify_values(inner, inner_shape, &path.index(index), findings);
            }
        }
        (Shape::Text, Node::Text(_)) | (Shape::Boolean, Node::Boolean(_)) => {}
        (Shape::Integer { min, max }, Node::Integer(number)) if (min..=max).contains(&number) => {}
        (Shape::Choice(choices), Node::Text(text)) if choices.iter().any(|choice| choice.value == *text) => {}
        _ => findings.push(wrong_value(entry, shape, path)),
    }
}

/// Required keys that are not there, in the whole.
pub(crate) fn verify_presence(entry: &Entry, shape: &Shape, path: &KeyPath, findings: &mut Vec<Finding>) {
    match (shape, &entry.node) {
        (Shape::Table { fields, .. }, Node::Table(entries)) => {
            for field in fields {
                match entries.get(&field.name) {
                    Some(inner) => verify_presence(inner, &field.shape, &path.key(&field.name), findings),
                    None if field.is_required => {
                        let message = format!("missing: expected {}", field.shape.expected());
                        let path = path.key(&field.name);
                        let problem = Problem::error(code::MISSING_KEY, &path, message);
                        findings.push((path, problem.at(entry.origin.clone())));
                    }
                    None => {}
                }
            }
        }
        (Shape::Map(inner_shape), Node::Table(entries)) => {
            for (key, inner) in entries {
                verify_presence(inner, inner_shape, &path.key(key), findings);
            }
        }
        (Shape::List(inner_shape), Node::List(entries)) => {
            for (index, inner) in entries.iter().enumerate() {
                verify_presence(inner, inner_shape, &path.index(index), findings);
            }
        }
        _ => {}
    }
}

fn unknown_key(entry: &Entry, key: &str, known: &[Field], parent: &KeyPath) -> Finding {
    let path = parent.key(key);
    let names: Vec<&str> = known.iter().map(|field| field.name.as_str()).collect();
    let hint = match nearest(key, &names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => match section_of(key) {
            Some(section) => format!("`{key}` belongs to [{section}]"),
            None => format!("known here: {}", names.join(", ")),
        },
    };
    let problem = Problem::error(code::UNKNOWN_KEY, &path, "unknown key").hint(hint).at(entry.origin.clone());
    (path, problem)
}

/// The section that has a key of this name.
fn section_of(key: &str) -> Option<&'static str> {
    let Shape::Table { fields, .. } = Shape::root() else { return None };
    fields.iter().find(|section| section.shape.field(key).is_some()).map(|section| section.name.as_str())
}

/// The known name that was most likely meant; `None` if none is near.
fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '.'], "_");
    let found = plain(found);
    let distance = |name: &&'a str| (strsim::damerau_levenshtein(&found, &plain(name)), *name);
    // Beyond a third of the letters it is another word, not a slip.
    let is_near = |(distance, name): &(usize, &str)| *distance <= (found.len().max(name.len()) / 3).max(1);
    known.iter().map(distance).min().filter(is_near).map(|(_, name)| name)
}

fn wrong_value(entry: &Entry, shape: &Shape, path: &KeyPath) -> Finding {
    // A list of a rule may hold accounts: of what should be text or a list, only the kind is repeated.
    let may_quote = !matches!(shape, Shape::Text | Shape::List(_));
    let message = format!("found {}, expected {}", found(&entry.node, may_quote), shape.expected());
    let mut problem = Problem::error(code::WRONG_VALUE, path, message).at(entry.origin.clone());
    problem.hint = hint(&entry.node, shape);
    (path.clone(), problem)
}

fn found(node: &Node, may_quote: bool) -> String {
    let (kind, value) = match node {
        Node::Removed => return "nothing".to_owned(),
        Node::Table(_) => return "a table".to_owned(),
        Node::List(_) => return "a list".to_owned(),
        Node::Boolean(value) => return value.to_string(),
        Node::Text(text) => ("text", format!("{text:?}")),
        Node::Integer(number) => ("whole number", number.to_string()),
        Node::Number(number) => ("number", number.clone()),
        Node::DateTime(value) => ("date or time", value.clone()),
    };
    if may_quote && value.chars().count() <= LONGEST_QUOTE {
        format!("the {kind} {value}")
    } else if kind == "text" {
        kind.to_owned()
    } else {
        format!("a {kind}")
    }
}

fn hint(node: &Node, shape: &Shape) -> Option<String> {
    let hint = match (shape, node) {
        (Shape::Text, Node::Integer(_) | Node::Number(_) | Node::Boolean(_) | Node::DateTime(_)) => {
            "put it in quotes".to_owned()
        }
        (Shape::Integer { .. }, Node::Text(text)) if text.parse::<i64>().is_ok() => {
            "remove the quotes".to_owned()
        }
        (Shape::Boolean, Node::Text(text)) if text.parse::<bool>().is_ok() => "remove the quotes".to_owned(),
        (Shape::List(_), Node::Text(_) | Node::Integer(_)) => "put it in square brackets".to_owned(),
        (Shape::List(inner), Node::Table(_)) if matches!(**inner, Shape::Table { .. }) => {
            "write its header in double square brackets".to_owned()
        }
        (Shape::Choice(choices), Node::Text(text)) => {
            let values: Vec<&str> = choices.iter().map(|choice| choice.value.as_str()).collect();
            format!("did you mean {:?}?", nearest(text, &values)?)
        }
        _ => return None,
    };
    Some(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key() {
        let known = ["workers", "batch_records", "commit_records", "sync"];
        let cases = [
            ("worker", Some("workers")),
            ("Workers", Some("workers")),
            ("batch-records", Some("batch_records")),
            ("comit_record", Some("commit_records")), // typos:ignore
            ("snyc", Some("sync")),                   // typos:ignore
            ("directory", None),
            ("", None),
            ("x", None),
        ];
        for (found, expected) in cases {
            assert_eq!(nearest(found, &known), expected, "{found}");
        }
    }
}
