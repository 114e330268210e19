//! What every file of `schemas/` must hold.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use settle_schema::{BuiltIn, check_full_compatibility};

use crate::random::enum_symbols;

fn schema_files() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the folder of schemas") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "avsc") {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            files.insert(name, std::fs::read_to_string(&path).expect("a text file"));
        }
    }
    files
}

/// Every JSON object of a schema, outermost first.
fn objects(value: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                found.push(value);
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    found
}

fn parsed(schema: BuiltIn) -> Value {
    serde_json::from_str(schema.text()).expect("JSON")
}

#[test]
fn every_file_is_built_in_under_the_name_of_its_record() {
    let built_in: BTreeMap<String, String> = BuiltIn::ALL
        .into_iter()
        .map(|schema| (schema.full_name().replace("settle.v1.", ""), schema.text().to_owned()))
        .collect();
    assert_eq!(schema_files(), built_in);
}

#[test]
fn every_enum_has_unknown_as_default_and_the_symbols_of_the_program() {
    let program = enum_symbols();
    let mut found = BTreeMap::new();
    for schema in BuiltIn::ALL {
        let json = parsed(schema);
        for object in objects(&json).into_iter().filter(|object| object["type"] == "enum") {
            assert_eq!(object["default"], "UNKNOWN", "{object}");
            let symbols: Vec<String> = serde_json::from_value(object["symbols"].clone()).expect("symbols");
            assert_eq!(symbols[0], "UNKNOWN");
            let name = object["name"].as_str().expect("a name").to_owned();
            found.insert(name, symbols);
        }
    }
    let program: BTreeMap<String, Vec<String>> =
        program.into_iter().map(|(name, symbols)| (name.to_owned(), symbols)).collect();
    assert_eq!(found, program);
}

#[test]
fn every_record_and_field_says_what_it_is_and_optional_ones_default_to_null() {
    let mut fields = 0;
    for schema in BuiltIn::ALL {
        let json = parsed(schema);
        for object in objects(&json).into_iter().filter(|object| object.get("name").is_some()) {
            assert!(object["doc"].as_str().is_some_and(|doc| doc.ends_with('.')), "{object}");
            let Value::Array(variants) = &object["type"] else { continue };
            assert_eq!((variants.len(), &variants[0]), (2, &Value::from("null")), "{object}");
            assert_eq!(object.get("default"), Some(&Value::Null), "{object}");
            fields += 1;
        }
    }
    assert!(fields > 20, "only {fields} optional fields were seen");
}

/// A type that several files spell out is the same in all of them, or readers would disagree on it.
#[test]
fn a_type_of_several_files_is_one_type() {
    let mut definitions: BTreeMap<String, (BuiltIn, Value)> = BTreeMap::new();
    let mut shared = 0;
    for schema in BuiltIn::ALL {
        for (name, mut definition) in expanded_definitions(&parsed(schema)) {
            definition.as_object_mut().expect("a definition").remove("namespace");
            let (first, known) = definitions.entry(name.clone()).or_insert((schema, definition.clone()));
            assert_eq!(*known, definition, "{name} in {first:?} and {schema:?}");
            shared += usize::from(*first != schema);
        }
    }
    assert!(shared > 10, "only {shared} shared types were seen");
}

/// Named types with every name inside replaced by its definition: which use comes first differs by file.
fn expanded_definitions(schema: &Value) -> BTreeMap<String, Value> {
    fn expand(value: &Value, definitions: &mut BTreeMap<String, Value>) -> Value {
        match value {
            Value::String(name) => definitions.get(name).unwrap_or(value).clone(),
            Value::Array(items) => items.iter().map(|item| expand(item, definitions)).collect(),
            Value::Object(members) => {
                let mut expanded = members.clone();
                // Only these hold types; and fields are expanded in their order, so that a name is known.
                for key in ["type", "items", "values", "fields"] {
                    if let Some(inner) = members.get(key) {
                        expanded[key] = expand(inner, definitions);
                    }
                }
                let is_named_type = members.contains_key("symbols") || members.contains_key("fields");
                if is_named_type {
                    let name = members["name"].as_str().expect("a name").to_owned();
                    definitions.insert(name, Value::Object(expanded.clone()));
                }
                Value::Object(expanded)
            }
            _ => value.clone(),
        }
    }
    let mut definitions = BTreeMap::new();
    expand(schema, &mut definitions);
    definitions
}

#[test]
fn every_schema_is_compatible_with_itself() {
    for schema in BuiltIn::ALL {
        assert_eq!(check_full_compatibility(schema.text(), schema.text()), Ok(()), "{schema:?}");
    }
}
