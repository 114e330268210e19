//! Which changes of a schema are allowed: those after which old and new readers both read old and new records.
//!
//! Owns the check that runs before a schema is committed. Stricter than a registry's FULL: Settle reads by
//! field name and without conversions, so a field keeps its exact type and logical type, and aliases do not
//! count. (A registry takes `timestamp-micros` to `timestamp-millis` for compatible; the time would be off a
//! thousandfold.)

use apache_avro::Schema;
use apache_avro::schema::{NamesRef, ResolvedSchema, SchemaKind, UnionSchema};
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

/// Why a schema cannot replace another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IncompatibleSchemas {
    /// A text is no Avro schema.
    #[error("the {which} text is not an Avro schema: {what}")]
    Unreadable {
        /// `old` or `new`.
        which: &'static str,
        /// What the parser says.
        what: String,
    },
    /// A reader would fail on some or all records.
    #[error(
        "a reader of the {reader} schema cannot read every record of the {writer} one: {what}; add fields with a \
         default, remove only fields that have one, keep names and types"
    )]
    Unresolvable {
        /// `old` or `new`: the side that fails.
        reader: &'static str,
        /// The other side.
        writer: &'static str,
        /// What stands in the way.
        what: String,
    },
    /// A field that both have is of another type in the new one.
    #[error("{path} changes its type from {old} to {new}; add a new field beside it")]
    TypeChanged {
        /// The field, from the outermost record.
        path: String,
        /// Type before.
        old: String,
        /// Type after.
        new: String,
    },
    /// A field has aliases, which Settle does not resolve.
    #[error("{path} has an alias, which Settle does not resolve: a renamed field is a new field")]
    Alias {
        /// The field, from the outermost record.
        path: String,
    },
}

/// Checks that readers of either schema read all records of both (FULL), by name and without conversion.
///
/// For FULL_TRANSITIVE, check a new schema against every older one.
///
/// # Errors
/// The first difference that breaks a reader.
pub fn check_full_compatibility(old: &str, new: &str) -> Result<(), IncompatibleSchemas> {
    let old = parse("old", old)?;
    let new = parse("new", new)?;
    check_reader("new", &new, "old", &old)?;
    check_reader("old", &old, "new", &new)?;
    check_types("the record", &old, &new)
}

fn parse(which: &'static str, text: &str) -> Result<Schema, IncompatibleSchemas> {
    let unreadable = |what: String| IncompatibleSchemas::Unreadable { which, what };
    let schema = Schema::parse_str(text).map_err(|error| unreadable(error.to_string()))?;
    let resolved = ResolvedSchema::new(&schema).map_err(|error| unreadable(error.to_string()))?;
    let mut open = Vec::new();
    expand(&schema, resolved.get_names(), &mut open).map_err(unreadable)
}

/// The schema with every reference replaced by what it names, so that it does not matter which of a type's
/// uses comes first and spells it out.
fn expand(schema: &Schema, names: &NamesRef<'_>, open: &mut Vec<String>) -> Result<Schema, String> {
    match schema {
        Schema::Ref { name } => {
            let target = names.get(name).ok_or_else(|| format!("{name} is not defined"))?;
            expand(target, names, open)
        }
        Schema::Record(record) => {
            let name = record.name.fullname(None);
            if open.contains(&name) {
                return Err(format!("{name} contains itself"));
            }
            open.push(name);
            let mut expanded = record.clone();
            for field in &mut expanded.fields {
                field.schema = expand(&field.schema, names, open)?;
            }
            open.pop();
            Ok(Schema::Record(expanded))
        }
        Schema::Array(array) => {
            let mut expanded = array.clone();
            *expanded.items = expand(&array.items, names, open)?;
            Ok(Schema::Array(expanded))
        }
        Schema::Map(map) => {
            let mut expanded = map.clone();
            *expanded.types = expand(&map.types, names, open)?;
            Ok(Schema::Map(expanded))
        }
        Schema::Union(union) => {
            let mut variants = Vec::with_capacity(union.variants().len());
            for variant in union.variants() {
                variants.push(expand(variant, names, open)?);
            }
            UnionSchema::new(variants).map(Schema::Union).map_err(|error| error.to_string())
        }
        _ => Ok(schema.clone()),
    }
}

fn check_reader(
    reader: &'static str,
    reader_schema: &Schema,
    writer: &'static str,
    writer_schema: &Schema,
) -> Result<(), IncompatibleSchemas> {
    let what = match SchemaCompatibility::can_read(writer_schema, reader_schema) {
        Ok(Compatibility::Full) => return Ok(()),
        Ok(Compatibility::Partial) => "a union or an enum lacks a member without a default".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(IncompatibleSchemas::Unresolvable { reader, writer, what })
}

fn check_types(path: &str, old: &Schema, new: &Schema) -> Result<(), IncompatibleSchemas> {
    match (old, new) {
        (Schema::Record(old), Schema::Record(new)) => {
            for new_field in &new.fields {
                let path = format!("{path}.{}", new_field.name);
                if !new_field.aliases.is_empty() {
                    return Err(IncompatibleSchemas::Alias { path });
                }
                if let Some(old_field) = old.fields.iter().find(|field| field.name == new_field.name) {
                    check_types(&path, &old_field.schema, &new_field.schema)?;
                }
            }
            Ok(())
        }
        (Schema::Array(old), Schema::Array(new)) => check_types(path, &old.items, &new.items),
        (Schema::Map(old), Schema::Map(new)) => check_types(path, &old.types, &new.types),
        (Schema::Union(old_union), Schema::Union(new_union)) => {
            for variant in old_union.variants() {
                let kind = SchemaKind::from(variant);
                let same_kind = |candidate: &&Schema| {
                    SchemaKind::from(*candidate) == kind && candidate.name() == variant.name()
                };
                let counterpart = new_union.variants().iter().find(same_kind);
                check_types(path, variant, counterpart.ok_or_else(|| type_changed(path, old, new))?)?;
            }
            Ok(())
        }
        _ if SchemaKind::from(old) == SchemaKind::from(new) && old.name() == new.name() => Ok(()),
        _ => Err(type_changed(path, old, new)),
    }
}

fn type_changed(path: &str, old: &Schema, new: &Schema) -> IncompatibleSchemas {
    IncompatibleSchemas::TypeChanged { path: path.to_owned(), old: type_name(old), new: type_name(new) }
}

fn type_name(schema: &Schema) -> String {
    match schema {
        Schema::Union(union) => {
            let variants: Vec<String> = union.variants().iter().map(type_name).collect();
            format!("[{}]", variants.join(", "))
        }
        _ => format!("{:?}", SchemaKind::from(schema)),
    }
}
