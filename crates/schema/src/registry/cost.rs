//! Schemas whose records could take time or memory out of proportion to their bytes.
//!
//! Owns one bound: what is read without a byte of its own (nulls, empty records) is little in every record, and
//! nothing in a list. Then time and memory of reading are bounded by the length of the value. Anybody who may
//! write to the registry can put a schema under an id, and any producer can name it.

use serde_avro_fast::schema::{RegularType, SchemaKey, SchemaMut};

/// Nulls and nested records of one record, at most, that no byte stands for.
const MAX_FREE_STEPS: u64 = 256;

/// What one value of a type costs without taking bytes.
#[derive(Clone, Copy)]
struct Weight {
    is_empty: bool,
    free_steps: u64,
}

/// Refuses a schema that is too cheap to write for what it costs to read.
///
/// # Errors
/// In words, what it has.
pub(super) fn check_cost(schema: &SchemaMut) -> Result<(), String> {
    // A type that many fields name is weighed once.
    let mut known = vec![None; schema.nodes().len()];
    for index in 0..schema.nodes().len() {
        let key = SchemaKey::from_idx(index);
        if weigh(schema, key, &mut known).free_steps > MAX_FREE_STEPS {
            return Err(format!("it has a record with more than {MAX_FREE_STEPS} parts that take no bytes"));
        }
        let RegularType::Array(array) = &schema[key].type_ else { continue };
        if weigh(schema, array.items, &mut known).is_empty {
            return Err("it has a list of elements that take no bytes".to_owned());
        }
    }
    Ok(())
}

/// Ends: in a schema that compiled, no record always contains itself.
fn weigh(schema: &SchemaMut, key: SchemaKey, known: &mut [Option<Weight>]) -> Weight {
    if let Some(weight) = known[key.idx()] {
        return weight;
    }
    let weight = match &schema[key].type_ {
        RegularType::Null => Weight { is_empty: true, free_steps: 1 },
        RegularType::Fixed(fixed) if fixed.size == 0 => Weight { is_empty: true, free_steps: 1 },
        RegularType::Record(record) => {
            let mut whole = Weight { is_empty: true, free_steps: 1 };
            for field in &record.fields {
                let part = weigh(schema, field.type_, known);
                whole.is_empty &= part.is_empty;
                whole.free_steps = whole.free_steps.saturating_add(part.free_steps);
            }
            whole
        }
        _ => Weight { is_empty: false, free_steps: 0 },
    };
    known[key.idx()] = Some(weight);
    weight
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let schema: SchemaMut = text.parse().expect("a schema");
        assert!(schema.clone().freeze().is_ok(), "{text}");
        check_cost(&schema)
    }

    fn with_field(field_type: &str) -> String {
        format!(r#"{{"type": "record", "name": "R", "fields": [{{"name": "f", "type": {field_type}}}]}}"#)
    }

    #[test]
    fn ordinary_schemas_pass() {
        for schema in crate::BuiltIn::ALL {
            assert_eq!(check(schema.text()), Ok(()), "{schema:?}");
        }
        for field_type in [r#""null""#, r#"["null", "R"]"#, r#"{"type": "array", "items": "R"}"#] {
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
        }
    }

    /// Forty types, each with two fields of the next: a record of no bytes and 2^40 parts.
    #[test]
    fn records_that_double_are_refused() {
        let mut inner = r#""null""#.to_owned();
        for level in 0..40 {
            let name = format!("R{level}");
            let second = if level == 0 { r#""null""#.to_owned() } else { format!(r#""R{}""#, level - 1) };
            inner = format!(
                r#"{{"type": "record", "name": "{name}", "fields": [{{"name": "a", "type": {inner}}}, {{"name": "b", "type": {second}}}]}}"#
            );
        }
        assert!(check(&inner).expect_err("too many parts").contains("256"));
    }
}
