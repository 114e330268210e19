//! The reference of the configuration: a page made from the types and their doc comments.

use std::fmt::Write as _;

use serde_json::Value;

use crate::environment::PREFIX;
use crate::shape::{Choice, Field, Shape};

const INTRODUCTION: &str = "\
# Configuration

This page is generated from the program (`settle config reference`). Do not edit it: change the doc comments in
`crates/config` and the crates that own a section, then run the tests with `SETTLE_UPDATE_REFERENCE=1`.

## Where values come from

Later ones win:

1. built-in defaults; with an embedded log the default of `clock.mode` is `event`;
2. the TOML file of `--config FILE`;
3. environment variables: `SETTLE__` and the key, its parts separated by two underscores. `SETTLE__WORKER__WORKERS=2`
   is `worker.workers = 2`;
4. flags of the command line.

Tables are merged key by key; lists, `risk.rules` among them, are replaced as a whole.

Names of variables may be in upper or lower case. A name of your own in them (`<merchant>`, `<currency>`) is matched with
`default` and with the names in the file whatever its case, and is else taken as it is spelled. Values are TOML; where text is expected, quotes
may be left out. A name that a variable cannot have, such as a merchant id with a dot, can be set in the file only.

`settle config check` reads all of it, and lists everything that is wrong at once, with the full key, where it was set,
and what was expected. An unknown key is an error that names the nearest known one. Relative paths are relative to the
working directory. Amounts are in minor units (`5_000` EUR are 50.00 EUR), rates in basis points (100 are 1 %). There is no
key for a secret.
";

/// Markdown with every key: type, default, environment variable and meaning.
pub fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    let Shape::Table { fields, .. } = Shape::root() else { return page };
    page.push_str("\n## Sections\n\n");
    for field in fields {
        writeln!(page, "- [`[{name}]`](#{name}): {}", first_sentence(&field.doc), name = field.name)
            .expect("writing to text does not fail");
    }
    for field in fields {
        writeln!(page, "\n<a id=\"{}\"></a>", field.name).expect("writing to text does not fail");
        section(&mut page, &Place::root(&field.name), &field.doc, &field.shape, Brackets::Single);
    }
    page
}

#[derive(Clone, Copy)]
enum Brackets {
    Single,
    Double,
}

/// A place in the configuration, as a header of TOML and as the name of a variable.
struct Place {
    header: String,
    variable: Option<String>,
}

impl Place {
    fn root(name: &str) -> Self {
        Self { header: name.to_owned(), variable: Some(format!("{PREFIX}{}", name.to_ascii_uppercase())) }
    }

    fn key(&self, name: &str) -> Self {
        let name_in_variable =
            if name.starts_with('<') { name.to_owned() } else { name.to_ascii_uppercase() };
        Self {
            header: format!("{}.{name}", self.header),
            variable: self.variable.as_ref().map(|variable| format!("{variable}__{name_in_variable}")),
        }
    }

    /// Items of a list have no variable of their own.
    fn item(&self) -> Self {
        Self { header: self.header.clone(), variable: None }
    }
}

/// A table, then the tables within it.
fn section(page: &mut String, place: &Place, doc: &str, shape: &Shape, brackets: Brackets) {
    match shape {
        Shape::Table { doc: type_doc, fields } => {
            let doc = if doc.is_empty() { type_doc } else { doc };
            header(page, &place.header, doc, brackets);
            rows(page, place, fields);
            for field in fields {
                subsections(page, &place.key(&field.name), &field.doc, &field.shape);
            }
        }
        Shape::Map(inner) if is_table(inner) => {
            let name = placeholder(&place.header);
            section(page, &place.key(name), doc, inner, Brackets::Single);
        }
        Shape::Map(inner) => {
            header(page, &place.header, doc, brackets);
            let name = placeholder(&place.header);
            let doc = format!("A row for each {}.", name.trim_matches(['<', '>']));
            let row_of_map = Field {
                name: name.to_owned(),
                doc,
                default: None,
                is_required: false,
                shape: (**inner).clone(),
            };
            rows(page, place, &[row_of_map]);
        }
        _ => {}
    }
}

/// Tables within a key get a section of their own.
fn subsections(page: &mut String, place: &Place, doc: &str, shape: &Shape) {
    match shape {
        Shape::List(inner) if is_table(inner) => {
            page.push('\n');
            section(page, &place.item(), "", inner, Brackets::Double);
        }
        Shape::Map(inner) if is_table(inner) => {
            page.push('\n');
            section(page, place, "", shape, Brackets::Single);
        }
        Shape::Table { .. } => {
            page.push('\n');
            section(page, place, doc, shape, Brackets::Single);
        }
        _ => {}
    }
}

fn header(page: &mut String, header: &str, doc: &str, brackets: Brackets) {
    let header = match brackets {
        Brackets::Single => format!("[{header}]"),
        Brackets::Double => format!("[[{header}]]"),
    };
    writeln!(page, "## `{header}`\n\n{doc}\n").expect("writing to text does not fail");
    page.push_str("| key | type | default | environment variable | meaning |\n|---|---|---|---|---|\n");
}

fn rows(page: &mut String, place: &Place, fields: &[Field]) {
    for field in fields {
        let variable = match (&place.key(&field.name).variable, &field.shape) {
            (_, Shape::Map(inner)) if is_table(inner) => String::new(),
            (None, _) => String::new(),
            (Some(variable), Shape::Map(_)) => format!("`{variable}__{}`", placeholder(&field.name)),
            (Some(variable), _) => format!("`{variable}`"),
        };
        let cells = [
            format!("`{}`", field.name),
            type_text(&field.name, &field.shape),
            default_text(field),
            variable,
            format!("{}{}", without_default(&field.doc), choices_text(&field.shape)),
        ];
        writeln!(page, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
            .expect("writing to text does not fail");
    }
}

fn type_text(name: &str, shape: &Shape) -> String {
    match shape {
        Shape::Table { .. } => "table".to_owned(),
        Shape::Map(inner) => {
            let key = placeholder(name);
            format!("table: {} to {}", key.trim_matches(['<', '>']), type_text("", inner))
        }
        Shape::List(inner) if is_table(inner) => "list of tables".to_owned(),
        Shape::List(inner) => format!("list of {}", type_text("", inner)),
        Shape::Text => "text".to_owned(),
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::Choice(choices) => {
            choices.iter().map(|choice| format!("`\"{}\"`", choice.value)).collect::<Vec<_>>().join(", ")
        }
        Shape::Integer { min, max } => match (*min, is_width_limit(*max)) {
            (0, true) => "whole number from 0".to_owned(),
            (min, true) if min < 0 => "whole number".to_owned(),
            (min, true) => format!("whole number from {min}"),
            (min, false) => format!("whole number, {min} to {max}"),
        },
    }
}

/// True for a bound that only the width of a machine word sets.
fn is_width_limit(max: i128) -> bool {
    [i128::from(i32::MAX), i128::from(u32::MAX), i128::from(i64::MAX)].contains(&max)
}

fn default_text(field: &Field) -> String {
    match &field.default {
        _ if field.is_required => "required".to_owned(),
        None => "none".to_owned(),
        Some(Value::Array(items)) if items.is_empty() => "none".to_owned(),
        Some(Value::Object(entries)) if entries.is_empty() => "none".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

/// The documented choices, one after the other.
fn choices_text(shape: &Shape) -> String {
    let choices: &[Choice] = match shape {
        Shape::Choice(choices) => choices,
        Shape::List(inner) => return choices_text(inner),
        _ => &[],
    };
    let documented = choices.iter().filter(|choice| !choice.doc.is_empty());
    documented.map(|choice| format!(" `{}`: {}", choice.value, choice.doc)).collect()
}

/// Some doc comments end with the default, which has a column of its own here.
fn without_default(doc: &str) -> &str {
    doc.rsplit_once(" Default: ").map_or(doc, |(start, _)| start)
}

fn is_table(shape: &Shape) -> bool {
    match shape {
        Shape::Table { .. } => true,
        Shape::Map(inner) => is_table(inner),
        _ => false,
    }
}

/// What the keys of a map are, by the name of the map. Types do not say it.
fn placeholder(header: &str) -> &'static str {
    match header.rsplit('.').next().unwrap_or_default() {
        "contracts" => "<merchant>",
        "calendars" => "<calendar>",
        "fees" => "<method>",
        "currencies" | "limits" => "<currency>",
        name if name.ends_with("_minor") => "<currency>",
        _ => "<name>",
    }
}

fn first_sentence(doc: &str) -> &str {
    doc.split_once(". ").map_or(doc, |(first, _)| first).trim_end_matches('.')
}
