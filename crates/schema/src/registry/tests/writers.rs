//! Random writers: schemas made from ours by changes that a reader may meet, and values of them.

use apache_avro::Schema;
use apache_avro::schema::NamesRef;
use apache_avro::types::Value;
use proptest::prelude::Rng;
use proptest::test_runner::TestRng;
use serde_json::{Value as Json, json};

pub(super) struct Chance(pub(super) TestRng);

impl Chance {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u32()).expect("32 bits") % bound
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(super) fn integer(&mut self) -> i64 {
        let bits = i64::from_ne_bytes(self.0.next_u64().to_ne_bytes());
        bits >> self.below(64)
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in 1..items.len() {
            items.swap(index, self.below(index + 1));
        }
    }
}

/// Changes of a schema that a reader may meet. `rate` is the mean number of places between two changes.
pub(super) struct Changes<'a> {
    pub(super) chance: &'a mut Chance,
    pub(super) rate: usize,
}

impl Changes<'_> {
    fn change(&mut self, schema: &mut Json) {
        self.change_inside(schema);
        if self.chance.one_in(self.rate) {
            self.replace(schema);
        }
    }

    pub(super) fn change_inside(&mut self, schema: &mut Json) {
        match schema {
            Json::Array(branches) => {
                // A branch is not wrapped in a union itself.
                branches.iter_mut().for_each(|branch| self.change_inside(branch));
                if self.chance.one_in(self.rate) {
                    self.chance.shuffle(branches);
                }
            }
            Json::Object(members) => {
                if let Some(Json::Array(fields)) = members.get_mut("fields") {
                    self.change_fields(fields);
                } else if let Some(Json::Array(symbols)) = members.get_mut("symbols") {
                    self.change_symbols(symbols);
                    members.remove("default");
                } else if let Some(inner) = members.get_mut("items") {
                    self.change(inner);
                } else if let Some(inner) = members.get_mut("values") {
                    self.change(inner);
                }
            }
            _ => {}
        }
    }

    fn change_fields(&mut self, fields: &mut Vec<Json>) {
        let mut kept = Vec::with_capacity(fields.len());
        for mut field in fields.drain(..) {
            if field.get("default").is_some() && self.chance.one_in(self.rate) {
                continue;
            }
            // What a writer would take for a missing value is not the reader's business.
            field.as_object_mut().expect("a field").remove("default");
            self.change(&mut field["type"]);
            kept.push(field);
        }
        if self.chance.one_in(self.rate) {
            let extra = [
                json!("double"),
                json!({"type": "array", "items": {"type": "map", "values": "bytes"}}),
                json!({"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 2}),
                json!(["int", "string", "null", {"type": "array", "items": "long"}]),
                json!({"type": "string", "logicalType": "uuid"}),
            ];
            let extra = extra[self.chance.below(extra.len())].clone();
            kept.push(json!({"name": "an_extra_field", "type": extra}));
        }
        if self.chance.one_in(self.rate) {
            self.chance.shuffle(&mut kept);
        }
        *fields = kept;
    }

    fn change_symbols(&mut self, symbols: &mut Vec<Json>) {
        if self.chance.one_in(self.rate) {
            symbols.push(json!("A_NEW_ONE"));
            symbols.push(json!("ANOTHER_NEW_ONE"));
        }
        if self.chance.one_in(self.rate) {
            self.chance.shuffle(symbols);
        }
        if symbols.len() > 1 && self.chance.one_in(self.rate) {
            symbols.pop();
        }
    }

    fn replace(&mut self, schema: &mut Json) {
        let base = match &*schema {
            Json::String(name) => name.clone(),
            Json::Object(members) => members["type"].as_str().unwrap_or_default().to_owned(),
            _ => "union".to_owned(),
        };
        let mut options = match base.as_str() {
            "long" => vec![
                json!("long"),
                json!("int"),
                json!(["null", "int", "long"]),
                json!(["long", "int"]),
                json!({"type": "long", "logicalType": "no-such-type"}),
            ],
            "int" => vec![json!("int"), json!({"type": "int", "logicalType": "no-such-type"})],
            "string" => vec![
                json!("bytes"),
                json!({"type": "string", "logicalType": "uuid"}),
                json!({"type": "string", "avro.java.string": "String"}),
                json!(["string", "bytes"]),
                json!(["null", "bytes"]),
                json!(["bytes", "null", "string"]),
            ],
            "union" => {
                let branches = schema.as_array().expect("a union");
                let present = branches.iter().find(|branch| **branch != "null").expect("one of a type");
                vec![present.clone(), json!([present.clone()]), json!([present.clone(), "null"])]
            }
            _ => Vec::new(),
        };
        if base != "union" {
            let same = schema.clone();
            options.extend([json!(["null", same.clone()]), json!([same.clone(), "null"]), json!([same])]);
        }
        *schema = options[self.chance.below(options.len())].clone();
    }
}

/// So that random values need not be valid dates, decimals and identifiers. Only where a schema has types: names of
/// fields and defaults stay as they are.
pub(super) fn remove_logical_types(schema: &mut Json) {
    match schema {
        Json::Array(branches) => branches.iter_mut().for_each(remove_logical_types),
        Json::Object(members) => {
            members.remove("logicalType");
            for place in ["type", "items", "values", "fields"] {
                if let Some(inner) = members.get_mut(place) {
                    remove_logical_types(inner);
                }
            }
        }
        _ => {}
    }
}

/// A random value of a schema without logical types. Text is of a kind that our records take, mostly.
pub(super) fn any_value(schema: &Schema, field: &str, names: &NamesRef<'_>, chance: &mut Chance) -> Value {
    match schema {
        Schema::Ref { name } => any_value(names[name], field, names, chance),
        Schema::Null => Value::Null,
        Schema::Boolean => Value::Boolean(chance.one_in(2)),
        Schema::Int => Value::Int(i32::try_from(chance.integer() >> 32).expect("32 bits")),
        Schema::Long => Value::Long(chance.integer()),
        Schema::Double => Value::Double(0.5),
        Schema::String => Value::String(any_text(field, chance)),
        Schema::Bytes => Value::Bytes(any_text(field, chance).into_bytes()),
        Schema::Enum(symbols) => {
            let index = chance.below(symbols.symbols.len());
            Value::Enum(u32::try_from(index).expect("few symbols"), symbols.symbols[index].clone())
        }
        Schema::Union(union) => {
            let index = chance.below(union.variants().len());
            let value = any_value(&union.variants()[index], field, names, chance);
            Value::Union(u32::try_from(index).expect("few branches"), Box::new(value))
        }
        Schema::Array(array) => Value::Array(
            (0..chance.below(3)).map(|_| any_value(&array.items, field, names, chance)).collect(),
        ),
        Schema::Map(map) => {
            let entry = |_| (any_text("key", chance), any_value(&map.types, field, names, chance));
            Value::Map((0..2).map(entry).collect())
        }
        Schema::Record(record) => Value::Record(
            record
                .fields
                .iter()
                .map(|field| (field.name.clone(), any_value(&field.schema, &field.name, names, chance)))
                .collect(),
        ),
        other => panic!("no schema of the tests has {other:?}"),
    }
}

pub(super) fn any_text(field: &str, chance: &mut Chance) -> String {
    if field == "currency" && !chance.one_in(20) {
        return ["CZK", "EUR"][chance.below(2)].to_owned();
    }
    if field.ends_with("hash") {
        return "0123456789abcdef".repeat(4);
    }
    ["", "a", "řeka", "m-1042", "2026-03-02"][chance.below(5)].to_owned()
}
