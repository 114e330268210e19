//! Environment variables as a layer: `SETTLE__WORKER__WORKERS=2` is `worker.workers = 2`.
//!
//! Owns the way from a name to a key and from a text to a value. Must not read the environment: it is handed in.

use std::collections::BTreeMap;

use settle_settlement::contract::DEFAULT_CONTRACT;

use crate::key_path::KeyPath;
use crate::problem::{Origin, Problem, code};
use crate::shape::Shape;
use crate::tree::Entry;
use crate::verify::Finding;

/// What the names of variables start with; upper and lower case are the same.
pub const PREFIX: &str = "SETTLE__";

/// What stands between the parts of a name.
const SEPARATOR: &str = "__";

/// The layer of the variables that start with [`PREFIX`]; all others are passed over.
///
/// `below` are the layers below: names of merchants, currencies and the like are found there whatever their case.
pub(crate) fn layer(variables: &[(String, String)], below: &Entry, findings: &mut Vec<Finding>) -> Entry {
    let mut sorted: Vec<&(String, String)> = variables.iter().collect();
    sorted.sort();
    let mut layer = Entry::table(None);
    let mut set_by: BTreeMap<Vec<String>, &str> = BTreeMap::new();
    for (name, text) in sorted {
        let Some(rest) = without_prefix(name) else { continue };
        let origin = Some(Origin::Environment { variable: name.as_str().into() });
        let misplaced = |message: String| {
            let problem = Problem::error(code::MISPLACED, "", message).at(origin.clone());
            (KeyPath::default(), problem)
        };
        let (path, shape) = match resolve(rest, below, &layer) {
            Ok(found) => found,
            Err(message) => {
                findings.push(misplaced(message));
                continue;
            }
        };
        if let Some(first) = set_by.insert(path.clone(), name) {
            findings.push(misplaced(format!("sets the same key as {first}; remove one of the two")));
            continue;
        }
        let entry = Entry::from_text(text, shape, &origin);
        layer.merge(entry.below(&path));
    }
    layer
}

fn without_prefix(name: &str) -> Option<&str> {
    let (start, rest) = name.split_at_checked(PREFIX.len())?;
    start.eq_ignore_ascii_case(PREFIX).then_some(rest)
}

/// The keys that a name stands for, and what is expected there if the key is known.
fn resolve(
    name: &str,
    below: &Entry,
    layer: &Entry,
) -> Result<(Vec<String>, Option<&'static Shape>), String> {
    let mut shape = Some(Shape::root());
    let mut present = [Some(below), Some(layer)];
    let mut path: Vec<String> = Vec::new();
    for part in name.split(SEPARATOR) {
        if part.is_empty() {
            return Err(format!("a part of the name is empty; expected {PREFIX}SECTION__KEY"));
        }
        let key = match shape {
            Some(Shape::Table { fields, .. }) => {
                let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(part));
                shape = field.map(|field| &field.shape);
                field.map_or_else(|| part.to_ascii_lowercase(), |field| field.name.clone())
            }
            Some(Shape::Map(inner)) => {
                shape = Some(inner);
                name_of_ones_own(part, &present)
            }
            Some(other) => {
                return Err(format!(
                    "{} takes {} as a whole, and nothing below it can be set by itself",
                    path.join("."),
                    other.expected()
                ));
            }
            None => part.to_ascii_lowercase(),
        };
        present = present.map(|entry| entry.and_then(|entry| entry.get(&key)));
        path.push(key);
    }
    Ok((path, shape))
}

/// A key of the operator's choice: as it is spelled elsewhere, else as the variable spells it.
fn name_of_ones_own(part: &str, present: &[Option<&Entry>; 2]) -> String {
    let known = present.iter().flatten().flat_map(|entry| entry.keys()).map(String::as_str);
    let mut candidates = known.chain([DEFAULT_CONTRACT]);
    candidates.find(|key| key.eq_ignore_ascii_case(part)).unwrap_or(part).to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tree::Node;

    fn one(name: &str, text: &str, file: &str) -> Result<Entry, String> {
        let (below, _) = Entry::from_toml_file(Path::new("s.toml"), file);
        let mut findings = Vec::new();
        let layer = layer(&[(name.to_owned(), text.to_owned())], &below, &mut findings);
        findings.first().map_or(Ok(layer), |(_, problem)| Err(problem.message.clone()))
    }

    fn node_at<'a>(layer: &'a Entry, path: &[&str]) -> Option<&'a Node> {
        path.iter().try_fold(layer, |entry, key| entry.get(key)).map(|entry| &entry.node)
    }

    #[test]
    fn names_become_keys_whatever_their_case() {
        let file = "[contracts.\"Shop-1\"]\n";
        let cases: [(&str, &[&str]); 7] = [
            ("SETTLE__WORKER__WORKERS", &["worker", "workers"]),
            ("settle__worker__Commit_Interval_Ms", &["worker", "commit_interval_ms"]),
            ("SETTLE__CONTRACTS__SHOP-1__CUT_OFF", &["contracts", "Shop-1", "cut_off"]),
            ("SETTLE__CONTRACTS__DEFAULT__CUT_OFF", &["contracts", "default", "cut_off"]),
            ("SETTLE__CONTRACTS__Shop-2__CUT_OFF", &["contracts", "Shop-2", "cut_off"]),
            ("SETTLE__CURRENCIES__XBT", &["currencies", "XBT"]),
            ("SETTLE__WORKER__WORKERZ__DEEP", &["worker", "workerz", "deep"]),
        ];
        for (name, path) in cases {
            let layer = one(name, "1", file).expect(name);
            assert!(node_at(&layer, path).is_some(), "{name}: {layer:?}");
        }
    }

    #[test]
    fn values_are_toml_unless_text_is_expected() {
        let cases = [
            ("WORKER__WORKERS", "2", Node::Integer(2)),
            ("WORKER__WORKERS", " 2 ", Node::Integer(2)),
            ("WORKER__WORKERS", "two", Node::Text("two".to_owned())),
            ("WORKER__WORKERS", "2\nbatch_records = 3", Node::Text("2\nbatch_records = 3".to_owned())),
            ("WORKER__WORKERS", "", Node::Text(String::new())),
            ("APPLICATION__NAME", "2024", Node::Text("2024".to_owned())),
            ("APPLICATION__NAME", "\"quoted\"", Node::Text("quoted".to_owned())),
            ("CONTRACTS__DEFAULT__CUT_OFF", "17:00", Node::Text("17:00".to_owned())),
            ("CONTRACTS__DEFAULT__REFUND_RETURNS_FEE", "true", Node::Boolean(true)),
            ("RISK__RULES", "[]", Node::List(Vec::new())),
            ("EMBEDDED__DIRECTORY", "[a", Node::Text("[a".to_owned())),
        ];
        for (name, text, expected) in cases {
            let path: Vec<String> = name.to_lowercase().split("__").map(str::to_owned).collect();
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let layer = one(&format!("{PREFIX}{name}"), text, "").expect(name);
            assert_eq!(node_at(&layer, &path), Some(&expected), "{name}={text}");
        }
    }

    #[test]
    fn names_that_lead_nowhere() {
        let cases = [
            ("SETTLE__", "a part of the name is empty; expected SETTLE__SECTION__KEY"),
            ("SETTLE__WORKER____WORKERS", "a part of the name is empty; expected SETTLE__SECTION__KEY"),
            ("SETTLE__RISK__RULES__0__ID", "risk.rules takes a list as a whole"),
            ("SETTLE__WORKER__WORKERS__X", "worker.workers takes a whole number from 1 to 256 as a whole"),
        ];
        for (name, expected) in cases {
            let message = one(name, "1", "").expect_err(name);
            assert!(message.starts_with(expected), "{name}: {message}");
        }
    }

    #[test]
    fn other_variables_are_none_of_our_business() {
        for name in ["SETTLE_HOME", "PATH", "SETTLE", "XSETTLE__WORKER__WORKERS", "ß"] {
            assert_eq!(one(name, "1", ""), Ok(Entry::table(None)), "{name}");
        }
    }
}
