//! What may stand where: the JSON schema of [`Config`], in the form that checks and the reference walk through.
//!
//! Derived from the types and their doc comments; nothing here names a key of the configuration.

use std::sync::LazyLock;

use serde_json::Value;

use crate::config::{
    ApplicationConfig, Config, EmbeddedConfig, IdFormats, IdempotencyConfig, StoreConfig, TelemetryConfig,
    WorkerConfig,
};
use crate::field_order::fields_of;

/// A key of a table.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Doc comment of the field.
    pub(crate) doc: String,
    /// `None` where there is none: the key is required, or absence has a meaning of its own.
    pub(crate) default: Option<Value>,
    pub(crate) is_required: bool,
    pub(crate) shape: Shape,
}

/// One of the texts that a key takes.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) doc: String,
}

/// What a value looks like.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Known keys. `doc` is the doc comment of the type.
    Table { doc: String, fields: Vec<Field> },
    /// Keys of the operator's choice.
    Map(Box<Shape>),
    /// Any number of these.
    List(Box<Shape>),
    /// One of these.
    Choice(Vec<Choice>),
    /// Any text.
    Text,
    /// A whole number, bounds included.
    Integer { min: i128, max: i128 },
    /// True or false.
    Boolean,
}

impl Shape {
    /// The shape of the whole configuration.
    pub(crate) fn root() -> &'static Self {
        static ROOT: LazyLock<Shape> = LazyLock::new(|| {
            let schema = schemars::schema_for!(Config).to_value();
            Schema { root: &schema }.shape(&schema, "Config")
        });
        &ROOT
    }

    /// The key of a table; `None` if this is none, or lacks the key.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        match self {
            Self::Table { fields, .. } => fields.iter().find(|field| field.name == name),
            _ => None,
        }
    }

    /// What is expected at a path of keys; `None` if a key is not known.
    pub(crate) fn at(&self, path: &[String]) -> Option<&Self> {
        path.iter().try_fold(self, |shape, key| match shape {
            Self::Map(inner) => Some(&**inner),
            _ => shape.field(key).map(|field| &field.shape),
        })
    }

    /// What was expected, in a sentence after "expected".
    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Table { .. } | Self::Map(_) => "a table".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Integer { min, .. } if *min <= i128::from(i32::MIN) => "a whole number".to_owned(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Choice(choices) => {
                let values: Vec<_> = choices.iter().map(|choice| format!("{:?}", choice.value)).collect();
                format!("one of {}", values.join(", "))
            }
        }
    }
}

/// Tables of the schema and the names of their keys in declared order. A test finds a table that is missing here.
fn declared_order(table: &str) -> &'static [&'static str] {
    match table {
        "Config" => fields_of::<Config>(),
        "ApplicationConfig" => fields_of::<ApplicationConfig>(),
        "EmbeddedConfig" => fields_of::<EmbeddedConfig>(),
        "KafkaConfig" => fields_of::<crate::kafka::KafkaConfig>(),
        "TlsConfig" => fields_of::<crate::kafka::TlsConfig>(),
        "SaslConfig" => fields_of::<crate::kafka::SaslConfig>(),
        "RegistryConfig" => fields_of::<crate::registry::RegistryConfig>(),
        "SnapshotsConfig" => fields_of::<crate::snapshots::SnapshotsConfig>(),
        "StandbyConfig" => fields_of::<crate::snapshots::StandbyConfig>(),
        "HttpConfig" => fields_of::<crate::http::HttpConfig>(),
        "WorkerConfig" => fields_of::<WorkerConfig>(),
        "StoreConfig" => fields_of::<StoreConfig>(),
        "ClockConfig" => fields_of::<settle_engine::ClockConfig>(),
        "IdempotencyConfig" => fields_of::<IdempotencyConfig>(),
        "IdFormats" => fields_of::<IdFormats>(),
        "RiskConfig" => fields_of::<settle_risk::RiskConfig>(),
        "Rule" => fields_of::<settle_risk::Rule>(),
        "Contract" => fields_of::<settle_settlement::Contract>(),
        "Fee" => fields_of::<settle_settlement::Fee>(),
        "Calendar" => fields_of::<settle_settlement::Calendar>(),
        "TelemetryConfig" => fields_of::<TelemetryConfig>(),
        _ => &[],
    }
}

/// The part of JSON schema that the types of [`Config`] produce.
struct Schema<'a> {
    root: &'a Value,
}

impl Schema<'_> {
    /// `name` is the definition that `schema` came from, or the nearest around it.
    fn shape(&self, schema: &Value, name: &str) -> Shape {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = reference.rsplit('/').next().expect("a split has a last part");
            return self.shape(&self.root["$defs"][target], target);
        }
        if let Some(options) = schema["anyOf"].as_array() {
            let is_null = |option: &&Value| option["type"] == "null";
            let present = options.iter().find(|option| !is_null(option));
            return self.shape(present.expect("an optional value has a type"), name);
        }
        if let Some(choices) = choices(schema) {
            return Shape::Choice(choices);
        }
        match type_name(schema) {
            "object" if schema["properties"].is_object() => self.table(schema, name),
            "object" => Shape::Map(Box::new(self.shape(&schema["additionalProperties"], name))),
            "array" => Shape::List(Box::new(self.shape(&schema["items"], name))),
            "string" => Shape::Text,
            "boolean" => Shape::Boolean,
            "integer" => integer(schema),
            other => {
                panic!("{name} has a value of the type {other:?}, which this reader of schemas does not know")
            }
        }
    }

    fn table(&self, schema: &Value, name: &str) -> Shape {
        let properties = schema["properties"].as_object().expect("asked before");
        let order = declared_order(name);
        let position = |key: &str| order.iter().position(|field| *field == key).unwrap_or(usize::MAX);
        let mut keys: Vec<&String> = properties.keys().collect();
        keys.sort_by_key(|key| position(key));
        let fields = keys.into_iter().map(|key| self.field(schema, key, &properties[key])).collect();
        Shape::Table { doc: text(&schema["description"]), fields }
    }

    fn field(&self, table: &Value, key: &str, property: &Value) -> Field {
        let is_required =
            table["required"].as_array().is_some_and(|required| required.iter().any(|name| name == key));
        let default = property.get("default").filter(|value| !value.is_null()).cloned();
        let shape = self.shape(property, key);
        Field { name: key.to_owned(), doc: text(&property["description"]), default, is_required, shape }
    }
}

/// The type of a value; of an optional one, the type that it has when it is there.
fn type_name(schema: &Value) -> &str {
    let of_list = |types: &'_ Vec<Value>| types.iter().position(|name| name != "null");
    match &schema["type"] {
        Value::Array(types) => of_list(types).and_then(|index| types[index].as_str()).unwrap_or_default(),
        single => single.as_str().unwrap_or_default(),
    }
}

fn choices(schema: &Value) -> Option<Vec<Choice>> {
    if let Some(options) = schema["oneOf"].as_array() {
        return Some(options.iter().flat_map(|option| choices(option).unwrap_or_default()).collect());
    }
    let doc = text(&schema["description"]);
    if let Some(value) = schema["const"].as_str() {
        return Some(vec![Choice { value: value.to_owned(), doc }]);
    }
    // Variants without a description come as one list; the description is then the type's, not theirs.
    let values = schema["enum"].as_array()?;
    let named = values.iter().filter_map(Value::as_str);
    Some(named.map(|value| Choice { value: value.to_owned(), doc: String::new() }).collect())
}

fn integer(schema: &Value) -> Shape {
    let (min, max) = match schema["format"].as_str() {
        Some("uint8") => (0, i128::from(u8::MAX)),
        Some("uint16") => (0, i128::from(u16::MAX)),
        Some("uint32") => (0, i128::from(u32::MAX)),
        Some("int32") => (i128::from(i32::MIN), i128::from(i32::MAX)),
        // TOML has no larger number than a signed one of 64 bits.
        Some("uint64" | "uint") => (0, i128::from(i64::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    };
    let bound = |key: &str| schema[key].as_i64().map(i128::from);
    Shape::Integer {
        min: bound("minimum").unwrap_or(min).max(min),
        max: bound("maximum").unwrap_or(max).min(max),
    }
}

/// A doc comment as one line.
fn text(description: &Value) -> String {
    description.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(schema: &Value, check: &mut impl FnMut(&str, &Value)) {
        let definitions = schema["$defs"].as_object().expect("definitions");
        for (name, definition) in definitions.iter().filter(|(_, one)| one["properties"].is_object()) {
            check(name, definition);
        }
        check("Config", schema);
    }

    #[test]
    fn every_table_has_an_order_and_every_key_a_description() {
        let schema = schemars::schema_for!(Config).to_value();
        let mut key_count = 0;
        visit(&schema, &mut |name, table| {
            let mut keys: Vec<&str> =
                table["properties"].as_object().expect("keys").keys().map(String::as_str).collect();
            let mut order = declared_order(name).to_vec();
            keys.sort_unstable();
            order.sort_unstable();
            assert_eq!(keys, order, "{name}: add it to declared_order");
            for key in keys {
                assert!(
                    table["properties"][key]["description"].is_string(),
                    "{name}.{key} has no description"
                );
                key_count += 1;
            }
            assert_eq!(table["additionalProperties"], false, "{name} takes unknown keys");
        });
        assert!(key_count > 50, "{key_count}");
    }

    #[test]
    fn bounds_come_from_the_types_and_their_ranges() {
        let of = |section: &str, key: &str| {
            let section = &Shape::root().field(section).expect(section).shape;
            section.field(key).expect(key).shape.expected()
        };
        assert_eq!(of("embedded", "partitions"), "a whole number from 1 to 10000");
        assert_eq!(of("clock", "max_clock_skew_seconds"), "a whole number from 0 to 4294967295");
        assert_eq!(of("embedded", "directory"), "text");
        assert_eq!(of("clock", "mode"), "one of \"processing\", \"event\"");
        assert_eq!(of("id_formats", "merchant_id"), "one of \"NUMERIC\", \"IBAN\", \"UUID\", \"TEXT\"");
        assert_eq!(of("risk", "rules"), "a list");
    }

    #[test]
    fn ranges_agree_with_the_limits_of_the_engine() {
        let max_at = |path: &[&str]| {
            let path: Vec<String> = path.iter().map(ToString::to_string).collect();
            match Shape::root().at(&path) {
                Some(Shape::Integer { max, .. }) => *max,
                other => panic!("{path:?}: {other:?}"),
            }
        };
        let retention = settle_engine::authorize::config::MAX_KEY_RETENTION_DAYS;
        assert_eq!(max_at(&["idempotency", "retention_days"]), i128::from(retention));
        let exponent = settle_types::currency::MAX_EXPONENT;
        assert_eq!(max_at(&["currencies", "EUR"]), i128::from(exponent));
    }
}
