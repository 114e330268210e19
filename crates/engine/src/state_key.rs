//! Keys of the state: bytes whose order is the order of the store.
//!
//! A key is a table id and its components: text as a two-byte length and its bytes (so that no two different
//! keys are written the same), numbers in big-endian with the sign flipped (so that they sort). Tables whose
//! rows wait for a time begin with that time.

use settle_types::{Day, Timestamp};
use smallvec::SmallVec;

/// Id of a table: the first byte of its keys. Never reused.
pub type TableId = u8;

/// The row that holds the active configuration, in both stages.
pub const CONFIG_TABLE: TableId = 0x01;
/// Rows that wait for a time, in both stages: the key begins with it.
pub const DUE_TABLE: TableId = 0x80;

/// Keys of usual length stand in place: one decision names the same few rows again and again.
type Bytes = SmallVec<[u8; 64]>;

/// A key of the state.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey(Bytes);

impl StateKey {
    /// The active configuration.
    pub fn config() -> Self {
        KeyBuilder::new(CONFIG_TABLE).finish()
    }

    /// From bytes that a store gave back.
    #[inline]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Bytes::from_slice(bytes))
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The table that it belongs to.
    #[inline]
    pub fn table(&self) -> TableId {
        self.0.first().copied().unwrap_or_default()
    }

    /// For a key of the due table: the time that its row waits for.
    pub fn due_at(&self) -> Option<Timestamp> {
        let [DUE_TABLE, time @ ..] = &*self.0 else { return None };
        let bytes: [u8; 8] = time.get(..8)?.try_into().ok()?;
        Some(Timestamp::from_micros(unflip(bytes)))
    }

    /// Before every key of the due table that waits for `time` or later.
    pub fn due_from(time: Timestamp) -> Self {
        KeyBuilder::new(DUE_TABLE).time(time).finish()
    }

    /// Before every key of the due table that waits for a time after `now`: the end of what is due.
    pub fn end_of_due(now: Timestamp) -> Self {
        Self::due_from(Timestamp::from_micros(now.as_micros().saturating_add(1)))
    }

    /// The smallest key after this one.
    pub fn successor(&self) -> Self {
        let mut bytes = self.0.clone();
        bytes.push(0);
        Self(bytes)
    }

    /// The beginning of a table.
    pub fn start_of(table: TableId) -> Self {
        KeyBuilder::new(table).finish()
    }

    /// The end of a table (exclusive).
    pub fn end_of(table: TableId) -> Self {
        KeyBuilder::new(table + 1).finish()
    }
}

impl std::fmt::Debug for StateKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0.escape_ascii())
    }
}

/// Writes a key component by component.
pub struct KeyBuilder(Bytes);

impl KeyBuilder {
    /// A key of this table.
    #[inline]
    pub fn new(table: TableId) -> Self {
        let mut bytes = Bytes::new();
        bytes.push(table);
        Self(bytes)
    }

    /// Text: its length in two bytes, then the text. Validation keeps every text far below 65,536 bytes.
    #[inline]
    pub fn text(mut self, text: &str) -> Self {
        let length = u16::try_from(text.len()).expect("validated text is shorter than 65,536 bytes");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// A time, in an order that sorts.
    #[inline]
    pub fn time(mut self, time: Timestamp) -> Self {
        self.0.extend_from_slice(&flip(time.as_micros()));
        self
    }

    /// A day, in an order that sorts.
    #[inline]
    pub fn day(mut self, day: Day) -> Self {
        self.0.extend_from_slice(&flip(i64::from(day.as_days())));
        self
    }

    /// A small number.
    #[inline]
    pub fn tag(mut self, tag: u8) -> Self {
        self.0.push(tag);
        self
    }

    /// The key.
    #[inline]
    pub fn finish(self) -> StateKey {
        StateKey(self.0)
    }
}

/// The text components at the beginning of a key that has no time in front, for people who look into a store.
pub fn parts_of(key: &StateKey) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = key.as_bytes().get(1..).unwrap_or_default();
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        // What is left is no text: a day.
        let Some((text, tail)) = tail.split_at_checked(length) else { break };
        parts.push(String::from_utf8_lossy(text).into_owned());
        rest = tail;
    }
    parts
}

/// Big-endian with the sign bit flipped: negative numbers sort before positive ones.
fn flip(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

fn unflip(bytes: [u8; 8]) -> i64 {
    i64::from_be_bytes(bytes) ^ i64::MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_sort_and_come_back(left in any::<i64>(), right in any::<i64>()) {
            let key = |micros| KeyBuilder::new(DUE_TABLE).time(Timestamp::from_micros(micros)).text("x").finish();
            prop_assert_eq!(key(left).due_at(), Some(Timestamp::from_micros(left)));
            prop_assert_eq!(key(left).cmp(&key(right)), left.cmp(&right));
            let is_due = key(left) < StateKey::end_of_due(Timestamp::from_micros(right));
            prop_assert_eq!(is_due, left <= right || right == i64::MAX && left < i64::MAX);
        }

        #[test]
        fn different_components_give_different_keys(a in ".{0,8}", b in ".{0,8}", c in ".{0,8}", d in ".{0,8}") {
            let first = KeyBuilder::new(2).text(&a).text(&b).finish();
            let second = KeyBuilder::new(2).text(&c).text(&d).finish();
            prop_assert_eq!(first == second, a == c && b == d);
        }
    }
}
