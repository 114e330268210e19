//! Schemas whose records could take time or memory out of proportion to their bytes.
//!
//! Owns one bound: what is read without a byte of its own (nulls, records in records) is little in every record,
//! and nothing in a list. Then time and memory of reading are bounded by the length of the value, and those of
//! compiling by the length of the schema. Anybody who may write to the registry can put a schema under an id,
//! and any producer can name it; so this is looked at before a schema goes to the codec.

use std::collections::BTreeMap;

use apache_avro::Schema;

/// Nulls and records that a record holds without a byte to tell so, at most.
const MAX_FREE_PARTS: u64 = 256;

/// What one value of a type costs without taking bytes.
#[derive(Clone, Copy)]
struct Weight {
    is_empty: bool,
    free_parts: u64,
}

/// Fields that are not counted: each takes bytes.
const PAID_FOR: Weight = Weight { is_empty: false, free_parts: 0 };

/// Refuses a schema that is too cheap to write for what it costs to read.
///
/// # Errors
/// In words, what it has.
pub(super) fn check_cost(schema: &Schema) -> Result<(), String> {
    weigh(schema, &mut BTreeMap::new()).map(|_| ())
}

/// Looks at every type once, where it is defined: a name always stands for a type that was defined before, or
/// for one that it is in itself, whose entry is empty until it ends.
fn weigh(schema: &Schema, known: &mut BTreeMap<String, Option<Weight>>) -> Result<Weight, String> {
    match schema {
        Schema::Null => Ok(Weight { is_empty: true, free_parts: 1 }),
        Schema::Fixed(fixed) if fixed.size == 0 => Ok(Weight { is_empty: true, free_parts: 1 }),
        Schema::Ref { name } => match known.get(&name.fullname(None)) {
            Some(Some(weight)) => Ok(*weight),
            Some(None) => Err(format!("its record {} always contains itself", name.name())),
            None => Ok(PAID_FOR),
        },
        Schema::Record(record) => {
            let name = record.name.fullname(None);
            known.insert(name.clone(), None);
            let mut whole = Weight { is_empty: true, free_parts: 1 };
            for field in &record.fields {
                let part = weigh(&field.schema, known)?;
                whole.is_empty &= part.is_empty;
                whole.free_parts = whole.free_parts.saturating_add(part.free_parts);
            }
            if whole.free_parts > MAX_FREE_PARTS {
                return Err(format!(
                    "it has a record with more than {MAX_FREE_PARTS} parts that take no bytes"
                ));
            }
            known.insert(name, Some(whole));
            Ok(whole)
        }
        Schema::Array(array) => {
            if weigh_inside(&array.items, known)?.is_empty {
                return Err("it has a list of elements that take no bytes".to_owned());
            }
            Ok(PAID_FOR)
        }
        Schema::Map(map) => weigh_inside(&map.types, known).map(|_| PAID_FOR),
        Schema::Union(union) => {
            for branch in union.variants() {
                weigh_inside(branch, known)?;
            }
            Ok(PAID_FOR)
        }
        _ => Ok(PAID_FOR),
    }
}

/// Behind a byte that says whether and how often: there, a record may contain itself. That byte is its own, so
/// it is not empty.
fn weigh_inside(schema: &Schema, known: &mut BTreeMap<String, Option<Weight>>) -> Result<Weight, String> {
    let is_open = |name: &str| matches!(known.get(name), Some(None));
    match schema {
        Schema::Ref { name } if is_open(&name.fullname(None)) => Ok(PAID_FOR),
        _ => weigh(schema, known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        check_cost(&Schema::parse_str(text).expect("a schema"))
    }

    fn with_field(field_type: &str) -> String {
        format!(r#"{{"type": "record", "name": "R", "fields": [{{"name": "f", "type": {field_type}}}]}}"#)
    }

    #[test]
    fn ordinary_schemas_pass() {
        for schema in crate::BuiltIn::ALL {
            assert_eq!(check(schema.text()), Ok(()), "{schema:?}");
        }
        let types = [
            r#""null""#,
            r#"["null", "R"]"#,
            r#"{"type": "map", "values": "R"}"#,
            r#"{"type": "record", "name": "N", "fields": [{"name": "r", "type": ["null", "R"]}]}"#,
        ];
        for field_type in types {
            assert_eq!(check(&with_field(field_type)), Ok(()), "{field_type}");
        }
    }

    #[test]
    fn lists_of_nothing_are_refused() {
        let items = [
            r#""null""#,
            r#"{"type": "record", "name": "E", "fields": []}"#,
            r#"{"type": "record", "name": "E", "fields": [{"name": "n", "type": "null"}]}"#,
            r#"{"type": "fixed", "name": "F", "size": 0}"#,
        ];
        for items in items {
            let list = with_field(&format!(r#"{{"type": "array", "items": {items}}}"#));
            assert!(check(&list).is_err(), "{items}");
            let inside = with_field(&format!(r#"["null", {{"type": "array", "items": {items}}}]"#));
            assert!(check(&inside).is_err(), "{items}");
        }
    }

    #[test]
    fn a_record_that_always_contains_itself_is_refused() {
        assert!(check(&with_field(r#""R""#)).is_err());
        // A list in a list of itself never ends in nothing, and never begins with a byte either.
        let own_list = with_field(r#"{"type": "array", "items": "R"}"#);
        assert_eq!(check(&own_list), Ok(()));
    }

    /// Forty types, each with two fields of the one before: a record of 2^40 parts, from a short text.
    #[test]
    fn records_that_double_are_refused() {
        for leaf in [r#""null""#, r#""int""#] {
            let mut inner = leaf.to_owned();
            for level in 0..40 {
                let second = if level == 0 { leaf.to_owned() } else { format!(r#""R{}""#, level - 1) };
                inner = format!(
                    r#"{{"type": "record", "name": "R{level}", "fields": [{{"name": "a", "type": {inner}}}, {{"name": "b", "type": {second}}}]}}"#
                );
            }
            let error = check(&inner).expect_err("too many parts");
            assert!(error.contains("256"), "{error}");
            let registered = crate::RegisteredSchema::new(1, &inner);
            assert_eq!(registered.defect(), Some(&*error), "found before the schema is compiled");
        }
    }
}
