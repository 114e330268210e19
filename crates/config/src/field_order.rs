//! The keys of a table in the order in which its struct declares them.
//!
//! A JSON schema holds them by name. Its crate could keep the order, but only by a feature that would turn the order
//! of maps in every other JSON of the program. So the struct itself is asked, through the names that it hands to a
//! deserializer.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

/// Names of the fields of a struct, in declared order; empty for what is not a struct.
pub(crate) fn fields_of<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    T::deserialize(Probe).map_or_else(|Fields(fields)| fields, |_| &[])
}

struct Probe;

/// The answer travels as the error: nothing is ever deserialized.
#[derive(Debug)]
struct Fields(&'static [&'static str]);

impl fmt::Display for Fields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "fields {:?}", self.0)
    }
}

impl std::error::Error for Fields {}

impl Error for Fields {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Fields;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fields> {
        Err(Fields(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fields> {
        Err(Fields(fields))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_declared_order() {
        assert_eq!(fields_of::<crate::TelemetryConfig>(), ["log_level", "log_format"]);
        assert_eq!(fields_of::<Vec<u8>>(), [""; 0]);
    }
}
