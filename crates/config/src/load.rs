//! The layers of a configuration, one on top of the other, and the whole that they make.
//!
//! Each layer is verified by itself, so that a wrong value is reported although a higher layer replaces it. Then
//! they are merged, and read once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::check::check;
use crate::config::Config;
use crate::environment;
use crate::key_path::KeyPath;
use crate::problem::{Error, Origin, Problem, code};
use crate::read::read;
use crate::shape::Shape;
use crate::tree::{Entry, Node};
use crate::verify::{Finding, verify_presence, verify_values};

/// Where a configuration comes from. Later sources win: built-in defaults, `file`, `environment`,
/// `flags`. Tables are merged key by key; lists and all other values are replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file.
    pub file: Option<PathBuf>,
    /// All environment variables; those that do not start with `SETTLE__` are passed over.
    pub environment: Vec<(String, String)>,
    /// What the command line sets. Of two flags for one key, the later wins.
    pub flags: Vec<FlagValue>,
}

/// A key that the command line sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagValue {
    key: String,
    text: String,
    is_parsed: bool,
}

impl FlagValue {
    /// Text, taken as it is. `key` is dotted: `embedded.directory`.
    pub fn text(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { key: key.into(), text: text.into(), is_parsed: false }
    }

    /// A value of TOML, or text where text is expected, as in an environment variable: `--set worker.workers=2`.
    pub fn parsed(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { key: key.into(), text: text.into(), is_parsed: true }
    }
}

/// A configuration that was read, and where each value of it was set.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration. It has the right shape; whether it makes sense is said by [`Loaded::check`].
    pub config: Config,
    tree: Entry,
}

impl Loaded {
    /// As [`check`](crate::check()), with the place where each value was set.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = check(&self.config);
        for problem in &mut problems {
            problem.origin = self.origin(&problem.path).cloned();
        }
        problems
    }

    /// True if a source sets this very key, or something within it.
    pub fn is_set(&self, key: &str) -> bool {
        let path = dotted(key).unwrap_or_default();
        let found = path.iter().try_fold(&self.tree, |entry, part| entry.get(part));
        found.is_some() && !path.is_empty()
    }

    /// Where the value of a dotted key was set, or the nearest table or list around it; `None` if all of it is
    /// default.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        let mut nearest = None;
        visit(&self.tree, &KeyPath::default(), &mut |path, entry| {
            let is_around =
                key.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
            if is_around && entry.origin.is_some() {
                nearest = entry.origin.as_ref();
            }
            is_around
        });
        nearest
    }
}

/// Calls `enter` for each value from the outside in; it goes on inside where the answer is true.
fn visit<'a>(entry: &'a Entry, path: &KeyPath, enter: &mut impl FnMut(&str, &'a Entry) -> bool) {
    let is_root = path.0.is_empty();
    if !is_root && !enter(&path.to_string(), entry) {
        return;
    }
    match &entry.node {
        Node::Table(entries) => {
            for (key, inner) in entries {
                visit(inner, &path.key(key), enter);
            }
        }
        Node::List(entries) => {
            for (index, inner) in entries.iter().enumerate() {
                visit(inner, &path.index(index), enter);
            }
        }
        _ => {}
    }
}

/// Reads a configuration from its sources.
///
/// # Errors
/// [`Error::Unreadable`] for the file; [`Error::Invalid`] with every unknown key, wrong value and missing key of all
/// sources, each with its full path, its source and what was expected.
pub fn load(sources: Sources) -> Result<Loaded, Error> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut layers = Vec::new();
    if let Some(path) = &sources.file {
        layers.push(file_layer(path, &mut findings)?);
    }
    let mut below = merged(&layers);
    layers.push(environment::layer(&sources.environment, &below, &mut findings));
    layers.push(flag_layer(&sources.flags, &mut findings));

    let (root, shape) = (KeyPath::default(), Shape::root());
    for layer in &layers {
        verify_values(layer, shape, &root, &mut findings);
    }
    below = merged(&layers);
    verify_presence(&below, shape, &root, &mut findings);
    let mut tree = below.clone();
    match read(&mut tree, &mut findings) {
        Some(config) => Ok(Loaded { config, tree: below }),
        None => Err(Error::Invalid(findings.into_iter().map(|(_, problem)| problem).collect())),
    }
}

fn merged(layers: &[Entry]) -> Entry {
    let mut whole = Entry::table(None);
    for layer in layers {
        whole.merge(layer.clone());
    }
    whole
}

fn file_layer(path: &Path, findings: &mut Vec<Finding>) -> Result<Entry, Error> {
    let unreadable = |source: io::Error| Error::Unreadable { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(unreadable)?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            let origin = Origin::File { path: Arc::from(path), line };
            let problem =
                Problem::error(code::SYNTAX, "", "not TOML: the line is not UTF-8").at(Some(origin));
            findings.push((KeyPath::default(), problem));
            return Ok(Entry::table(None));
        }
    };
    let (layer, problems) = Entry::from_toml_file(path, &text);
    let is_toml = problems.is_empty();
    findings.extend(problems.into_iter().map(|problem| (KeyPath::default(), problem)));
    // What was guessed behind a syntax error would only bring messages about guesses.
    Ok(if is_toml { layer } else { Entry::table(None) })
}

fn flag_layer(flags: &[FlagValue], findings: &mut Vec<Finding>) -> Entry {
    let mut layer = Entry::table(None);
    for FlagValue { key, text, is_parsed } in flags {
        let origin = Some(Origin::Flag { key: key.as_str().into() });
        let Some(path) = dotted(key) else {
            let message =
                format!("{key:?} is not a dotted key; expected section.key, such as worker.workers");
            findings.push((KeyPath::default(), Problem::error(code::MISPLACED, "", message).at(origin)));
            continue;
        };
        let entry = if *is_parsed {
            Entry::from_text(text, Shape::root().at(&path), &origin)
        } else {
            Entry { origin, node: Node::Text(text.clone()) }
        };
        layer.merge(entry.below(&path));
    }
    layer
}

/// The parts of a dotted key of TOML; `None` if it is none.
fn dotted(key: &str) -> Option<Vec<String>> {
    let (mut entry, problems) = Entry::from_toml_file(Path::new(""), &format!("{key} = true"));
    let mut path = Vec::new();
    while let Node::Table(entries) = entry.node {
        if entries.len() != 1 {
            return None;
        }
        let (key, inner) = entries.into_iter().next()?;
        path.push(key);
        entry = inner;
    }
    (problems.is_empty() && entry.node == Node::Boolean(true)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_keys() {
        let cases: [(&str, Option<&[&str]>); 8] = [
            ("worker.workers", Some(&["worker", "workers"])),
            ("contracts.\"a.b\".cut_off", Some(&["contracts", "a.b", "cut_off"])),
            ("worker", Some(&["worker"])),
            ("", None),
            ("worker.", None),
            ("a b", None),
            ("a = 1\nb", None),
            ("a = 1 # b", None),
        ];
        for (key, expected) in cases {
            let expected = expected.map(|parts| parts.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(dotted(key), expected, "{key}");
        }
    }
}
