//! Where a value stands in the configuration: `risk.rules[2].limits_minor.EUR`.

use std::fmt;

/// One step from a table or a list to what it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Segment {
    Key(String),
    Index(usize),
}

/// Steps from the root; empty for the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyPath(pub(crate) Vec<Segment>);

impl KeyPath {
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    pub(crate) fn starts_with(&self, start: &Self) -> bool {
        self.0.starts_with(&start.0)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(formatter, "[{index}]")?,
                Segment::Key(key) => {
                    let dot = if position == 0 { "" } else { "." };
                    write!(formatter, "{dot}{}", quoted_if_needed(key))?;
                }
            }
        }
        Ok(())
    }
}

/// A key as TOML writes it: bare where it may be, else in quotes.
pub(crate) fn quoted_if_needed(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !key.is_empty() && key.bytes().all(is_bare) { key.to_owned() } else { format!("{key:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_toml_writes_it() {
        let rule = KeyPath::default().key("risk").key("rules").index(2);
        let path = rule.key("limits_minor").key("E R");
        assert_eq!(path.to_string(), "risk.rules[2].limits_minor.\"E R\"");
        assert!(path.starts_with(&rule) && path.starts_with(&KeyPath::default()) && !rule.starts_with(&path));
    }
}
