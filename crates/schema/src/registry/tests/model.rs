//! A plain model of Avro's resolution rules (Avro 1.12 specification, "Schema Resolution").

use apache_avro::Schema;
use apache_avro::schema::NamesRef;
use apache_avro::types::Value;
use serde_json::Value as Json;

/// The rules, value by value: none if the specification calls it an error.
pub(super) struct Model<'a> {
    pub(super) writer: &'a NamesRef<'a>,
    pub(super) reader: &'a NamesRef<'a>,
}

impl Model<'_> {
    pub(super) fn resolve(&self, value: &Value, writer: &Schema, reader: &Schema) -> Option<Value> {
        if let Schema::Ref { name } = writer {
            return self.resolve(value, self.writer[name], reader);
        }
        if let Schema::Ref { name } = reader {
            return self.resolve(value, writer, self.reader[name]);
        }
        if let (Value::Union(index, inner), Schema::Union(union)) = (value, writer) {
            return self.resolve(inner, &union.variants()[usize::try_from(*index).ok()?], reader);
        }
        match (reader, value, writer) {
            (Schema::Union(_), Value::Null, _) => Some(Value::Union(0, Box::new(Value::Null))),
            (Schema::Union(union), ..) => {
                let present = self.resolve(value, writer, &union.variants()[1])?;
                Some(Value::Union(1, Box::new(present)))
            }
            (Schema::Record(ours), Value::Record(written), Schema::Record(theirs)) => {
                let mut fields = Vec::new();
                for field in &ours.fields {
                    let place = theirs.fields.iter().position(|candidate| candidate.name == field.name);
                    let found = match place {
                        Some(at) => self.resolve(&written[at].1, &theirs.fields[at].schema, &field.schema)?,
                        None => default_of(field.default.as_ref()?, &field.schema),
                    };
                    fields.push((field.name.clone(), found));
                }
                Some(Value::Record(fields))
            }
            (Schema::Enum(ours), Value::Enum(_, symbol), Schema::Enum(_)) => {
                let known = ours.symbols.iter().position(|candidate| candidate == symbol);
                let default = ours.default.as_ref()?;
                let at = known.or_else(|| ours.symbols.iter().position(|candidate| candidate == default))?;
                Some(Value::Enum(u32::try_from(at).ok()?, ours.symbols[at].clone()))
            }
            (Schema::Array(ours), Value::Array(items), Schema::Array(theirs)) => {
                let resolved = items.iter().map(|item| self.resolve(item, &theirs.items, &ours.items));
                resolved.collect::<Option<_>>().map(Value::Array)
            }
            (Schema::Map(ours), Value::Map(entries), Schema::Map(theirs)) => {
                let resolved = entries.iter().map(|(key, value)| {
                    self.resolve(value, &theirs.types, &ours.types).map(|value| (key.clone(), value))
                });
                resolved.collect::<Option<_>>().map(Value::Map)
            }
            (Schema::Long | Schema::TimestampMicros, Value::Int(number), _) => {
                Some(Value::Long(i64::from(*number)))
            }
            (Schema::Long | Schema::TimestampMicros, Value::Long(number), _) => Some(Value::Long(*number)),
            (Schema::Int | Schema::Date, Value::Int(number), _) => Some(Value::Int(*number)),
            (Schema::String, Value::String(text), _) => Some(Value::String(text.clone())),
            (Schema::String, Value::Bytes(bytes), _) => {
                String::from_utf8(bytes.clone()).ok().map(Value::String)
            }
            (Schema::Boolean, Value::Boolean(flag), _) => Some(Value::Boolean(*flag)),
            _ => None,
        }
    }
}

pub(super) fn default_of(default: &Json, schema: &Schema) -> Value {
    match (default, schema) {
        (Json::Null, Schema::Union(_)) => Value::Union(0, Box::new(Value::Null)),
        (Json::Number(number), Schema::Int) => {
            Value::Int(i32::try_from(number.as_i64().expect("a whole number")).expect("32 bits"))
        }
        (Json::Object(members), Schema::Map(_)) if members.is_empty() => Value::Map(Default::default()),
        _ => panic!("the model does not know the default {default} of {schema:?}"),
    }
}
