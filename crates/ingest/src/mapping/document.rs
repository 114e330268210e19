//! A TOML document that knows the line and the path of each key, so that every error can name both.

use toml::de::{DeTable, DeValue};

use crate::mapping::MappingError;
use crate::nearest;

/// A table of the document.
pub(crate) struct Section<'d> {
    text: &'d str,
    path: String,
    offset: usize,
    entries: Vec<Entry<'d>>,
}

/// A key and its value.
pub(crate) struct Entry<'d> {
    pub(crate) key: &'d str,
    offset: usize,
    value: &'d DeValue<'d>,
}

impl<'d> Section<'d> {
    /// The document itself.
    pub(crate) fn root(text: &'d str, table: &'d DeTable<'d>) -> Self {
        Self::new(text, String::new(), 0, table)
    }

    /// A table that the document leaves out.
    pub(crate) fn empty(text: &'d str, path: &str) -> Self {
        Self { text, path: path.to_owned(), offset: 0, entries: Vec::new() }
    }

    fn new(text: &'d str, path: String, offset: usize, table: &'d DeTable<'d>) -> Self {
        let mut entries = Vec::new();
        for (key, value) in table {
            entries.push(Entry {
                key: key.get_ref().as_ref(),
                offset: key.span().start,
                value: value.get_ref(),
            });
        }
        Self { text, path, offset, entries }
    }

    /// Refuses keys that are not known, with the nearest that is.
    pub(crate) fn check_keys(&self, known: &[&str]) -> Result<(), MappingError> {
        for entry in &self.entries {
            if !known.contains(&entry.key) {
                let problem = format!("the key is not known; {}", nearest::hint(entry.key, known));
                return Err(self.error_at(entry, problem));
            }
        }
        Ok(())
    }

    /// The entries in the order of their names.
    pub(crate) fn entries(&self) -> &[Entry<'d>] {
        &self.entries
    }

    fn find(&self, key: &str) -> Option<&Entry<'d>> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// A text.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'d str>, MappingError> {
        let Some(entry) = self.find(key) else { return Ok(None) };
        match entry.value {
            DeValue::String(text) => Ok(Some(text.as_ref())),
            other => Err(self.error_at(entry, format!("expected a text in quotes, found {}", kind(other)))),
        }
    }

    /// A text of exactly one ASCII character.
    pub(crate) fn character(&self, key: &str) -> Result<Option<u8>, MappingError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(Some(*byte)),
            _ => Err(self.error(key, "expected one ASCII character that is no line end")),
        }
    }

    /// True or false.
    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>, MappingError> {
        let Some(entry) = self.find(key) else { return Ok(None) };
        match entry.value {
            DeValue::Boolean(value) => Ok(Some(*value)),
            other => Err(self.error_at(entry, format!("expected true or false, found {}", kind(other)))),
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &str) -> Result<Option<Vec<&'d str>>, MappingError> {
        let Some(entry) = self.find(key) else { return Ok(None) };
        let DeValue::Array(items) = entry.value else {
            return Err(
                self.error_at(entry, format!("expected a list of texts, found {}", kind(entry.value)))
            );
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            let DeValue::String(text) = item.get_ref() else {
                return Err(self.error_at(entry, format!("expected texts, found {}", kind(item.get_ref()))));
            };
            texts.push(text.as_ref());
        }
        Ok(Some(texts))
    }

    /// A table.
    pub(crate) fn table(&self, key: &str, example: &str) -> Result<Option<Self>, MappingError> {
        let Some(entry) = self.find(key) else { return Ok(None) };
        let DeValue::Table(table) = entry.value else {
            let problem = format!("expected a table such as {example}, found {}", kind(entry.value));
            return Err(self.error_at(entry, problem));
        };
        Ok(Some(Self::new(self.text, self.path_of(key), entry.offset, table)))
    }

    /// An error about a key of this table, or about the table where the key is absent.
    pub(crate) fn error(&self, key: &str, problem: impl Into<String>) -> MappingError {
        match self.find(key) {
            Some(entry) => self.error_at(entry, problem),
            None => MappingError::at(line_of(self.text, self.offset), self.path_of(key), problem.into()),
        }
    }

    /// An error about this table.
    pub(crate) fn error_here(&self, problem: impl Into<String>) -> MappingError {
        MappingError::at(line_of(self.text, self.offset), self.path.clone(), problem.into())
    }

    fn error_at(&self, entry: &Entry<'_>, problem: impl Into<String>) -> MappingError {
        MappingError::at(line_of(self.text, entry.offset), self.path_of(entry.key), problem.into())
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// Line of a byte of the text, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number (put it in quotes)",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time (put it in quotes)",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
