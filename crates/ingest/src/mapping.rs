//! The mapping file: which column, constant or template each field of a request comes from.
//!
//! Owns the format of the file (TOML) and its checks. Must not know the rows: `mapping::bound` applies a mapping
//! to the columns of one file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use compact_str::CompactString;

use crate::error::Error;
use crate::field::{self, Draft, Field};
use crate::instant::InstantFormat;
use crate::mask::masked;
use document::Section;

pub(crate) mod bound;
mod document;
mod template;

use template::Part;

/// How a CSV file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Between the fields of a row.
    pub(crate) delimiter: u8,
    /// Around a field that holds delimiters or line ends; none if the file does not quote.
    pub(crate) quote: Option<u8>,
}

/// A checked mapping.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub(crate) dialect: Dialect,
    /// Names of the columns where the file has no header.
    pub(crate) columns: Option<Vec<String>>,
    decimal_separator: char,
    rules: Vec<Rule>,
}

/// Where the value of one field comes from.
#[derive(Clone, Debug)]
struct Rule {
    target: Target,
    source: Source,
    reading: Reading,
    /// Values to replace; where present, every value must stand in it.
    replacements: Option<BTreeMap<String, String>>,
}

/// What a rule fills.
#[derive(Clone, Debug)]
enum Target {
    Field(Field),
    Metadata(CompactString),
}

#[derive(Clone, Debug)]
enum Source {
    Column(String),
    Constant(String),
    Template(Vec<Part>),
}

/// How the text becomes the value.
#[derive(Clone, Debug)]
enum Reading {
    Text,
    DecimalAmount,
    MinorAmount,
    Instant(InstantFormat),
}

/// A mapping file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file cannot be read.
    #[error("cannot read the mapping file {}", path.display())]
    Unreadable {
        /// The mapping file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("mapping {file}, line {line}, {key}: {problem}")]
    Invalid {
        /// The mapping file as the caller named it.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Path of the key, such as `fields.amount.unit`.
        key: String,
        /// What is wrong, what was expected.
        problem: String,
    },
}

impl MappingError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check the path and its permissions; a mapping is UTF-8 text",
            Self::Invalid { .. } => {
                "docs/produce.md explains every key; deploy/examples/orders.toml is an example"
            }
        }
    }

    pub(crate) fn at(line: usize, key: String, problem: String) -> Self {
        let key = if key.is_empty() { "the document".to_owned() } else { masked(&key) };
        Self::Invalid { file: String::new(), line, key, problem }
    }

    fn in_file(self, name: &str) -> Self {
        match self {
            Self::Invalid { line, key, problem, .. } => {
                Self::Invalid { file: name.to_owned(), line, key, problem }
            }
            unreadable @ Self::Unreadable { .. } => unreadable,
        }
    }
}

/// The name of the amount in a mapping, which has no unit yet.
const AMOUNT: &str = "amount";
const DOCUMENT_KEYS: [&str; 2] = ["file", "fields"];
const FILE_KEYS: [&str; 5] = ["delimiter", "quote", "header", "columns", "decimal_separator"];
const SOURCE_KEYS: [&str; 4] = ["column", "constant", "template", "map"];
const EXAMPLE: &str = "{ column = \"...\" }";

impl Mapping {
    /// Reads and checks a mapping file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| MappingError::Unreadable { path: path.to_owned(), source })?;
        Ok(Self::parse(&path.display().to_string(), &text)?)
    }

    /// Checks the text of a mapping file; `name` is for messages.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, MappingError> {
        parse_document(text).map_err(|error| error.in_file(name))
    }
}

fn parse_document(text: &str) -> Result<Mapping, MappingError> {
    let table = toml::de::DeTable::parse(text).map_err(|error| {
        let line = document::line_of(text, error.span().map_or(0, |span| span.start));
        MappingError::at(line, String::new(), format!("not TOML: {}", error.message()))
    })?;
    let root = Section::root(text, table.get_ref());
    root.check_keys(&DOCUMENT_KEYS)?;
    let file = match root.table("file", "[file]")? {
        Some(file) => file,
        None => Section::empty(text, "file"),
    };
    file.check_keys(&FILE_KEYS)?;
    let dialect = parse_dialect(&file)?;
    let decimal_separator = match file.text("decimal_separator")? {
        None | Some(".") => '.',
        Some(",") => ',',
        Some(_) => return Err(file.error("decimal_separator", "expected \".\" or \",\"")),
    };
    let Some(fields) = root.table("fields", EXAMPLE)? else {
        return Err(
            root.error("fields", "the table [fields] is missing: it says where each field comes from")
        );
    };
    Ok(Mapping { dialect, columns: parse_columns(&file)?, decimal_separator, rules: parse_fields(&fields)? })
}

fn parse_dialect(file: &Section<'_>) -> Result<Dialect, MappingError> {
    let delimiter = file.character("delimiter")?.unwrap_or(b',');
    let quote = match file.text("quote")? {
        None => Some(b'"'),
        Some("") => None,
        Some(_) => file.character("quote")?,
    };
    if quote == Some(delimiter) {
        return Err(file.error("quote", "expected another character than the delimiter"));
    }
    Ok(Dialect { delimiter, quote })
}

fn parse_columns(file: &Section<'_>) -> Result<Option<Vec<String>>, MappingError> {
    let has_header = file.boolean("header")?.unwrap_or(true);
    let columns = file.texts("columns")?;
    match (has_header, columns) {
        (true, None) => Ok(None),
        (true, Some(_)) => {
            Err(file.error("columns", "the file has a header: remove columns, or set header = false"))
        }
        (false, None) => {
            Err(file.error("columns", "header is false: expected the names of the columns in order"))
        }
        (false, Some(names)) => {
            for (index, name) in names.iter().enumerate() {
                if name.is_empty() || names[..index].contains(name) {
                    return Err(file.error("columns", format!("expected different names, found \"{name}\"")));
                }
            }
            Ok(Some(names.into_iter().map(str::to_owned).collect()))
        }
    }
}

fn parse_fields(fields: &Section<'_>) -> Result<Vec<Rule>, MappingError> {
    let mut known = field::top_names();
    for name in &mut known {
        if *name == Field::AmountMinor.name() {
            *name = AMOUNT;
        }
    }
    fields.check_keys(&known)?;
    let mut rules = Vec::new();
    for entry in fields.entries() {
        let example = if entry.key == AMOUNT { "{ column = \"...\", unit = \"decimal\" }" } else { EXAMPLE };
        let Some(section) = fields.table(entry.key, example)? else { continue };
        match entry.key {
            "card" => parse_card(&section, &mut rules)?,
            "metadata" => parse_metadata(&section, &mut rules)?,
            AMOUNT => rules.push(parse_rule(&section, Target::Field(Field::AmountMinor))?),
            name => {
                let found = Field::find(name).expect("check_keys let only known names pass");
                rules.push(parse_rule(&section, Target::Field(found))?);
            }
        }
    }
    for required in field::REQUIRED {
        if !rules.iter().any(|rule| matches!(rule.target, Target::Field(found) if found == required)) {
            let name = if required == Field::AmountMinor { AMOUNT } else { required.name() };
            return Err(fields.error(name, "the field is missing: every request needs it"));
        }
    }
    Ok(rules)
}

fn parse_card(section: &Section<'_>, rules: &mut Vec<Rule>) -> Result<(), MappingError> {
    section.check_keys(&field::card_names())?;
    let mut has_token = false;
    for entry in section.entries() {
        let Some(rule_section) = section.table(entry.key, EXAMPLE)? else { continue };
        let found = Field::find_in_card(entry.key).expect("check_keys let only known names pass");
        has_token |= found == Field::CardToken;
        rules.push(parse_rule(&rule_section, Target::Field(found))?);
    }
    if has_token {
        Ok(())
    } else {
        Err(section.error("token", "the field is missing: every card needs a token"))
    }
}

fn parse_metadata(section: &Section<'_>, rules: &mut Vec<Rule>) -> Result<(), MappingError> {
    for entry in section.entries() {
        let Some(rule_section) = section.table(entry.key, EXAMPLE)? else { continue };
        rules.push(parse_rule(&rule_section, Target::Metadata(CompactString::from(entry.key)))?);
    }
    Ok(())
}

fn parse_rule(section: &Section<'_>, target: Target) -> Result<Rule, MappingError> {
    let extra: &[&str] = match target {
        Target::Field(Field::AmountMinor) => &["unit"],
        Target::Field(Field::RequestedAt | Field::ExecuteAt) => &["format", "zone"],
        _ => &[],
    };
    section.check_keys(&[&SOURCE_KEYS, extra].concat())?;
    let source = parse_source(section)?;
    let reading = parse_reading(section, &target)?;
    let replacements = parse_replacements(section, &source)?;
    let rule = Rule { target, source, reading, replacements };
    check_constant(section, &rule)?;
    Ok(rule)
}

fn parse_source(section: &Section<'_>) -> Result<Source, MappingError> {
    match (section.text("column")?, section.text("constant")?, section.text("template")?) {
        (Some(""), None, None) => Err(section.error("column", "expected the name of a column")),
        (Some(column), None, None) => Ok(Source::Column(column.to_owned())),
        (None, Some(constant), None) if constant.trim().is_empty() => Err(section
            .error("constant", "expected a text that is not blank; leave the field out if it is absent")),
        (None, Some(constant), None) => Ok(Source::Constant(constant.to_owned())),
        (None, None, Some(text)) => {
            template::parse(text).map(Source::Template).map_err(|problem| section.error("template", problem))
        }
        _ => Err(section.error_here("expected exactly one of column, constant and template")),
    }
}

fn parse_reading(section: &Section<'_>, target: &Target) -> Result<Reading, MappingError> {
    match target {
        Target::Field(Field::AmountMinor) => match section.text("unit")? {
            Some("decimal") => Ok(Reading::DecimalAmount),
            Some("minor") => Ok(Reading::MinorAmount),
            _ => Err(section.error(
                "unit",
                "expected unit = \"decimal\" (12.50) or unit = \"minor\" (1250): a guess could be wrong by a hundred",
            )),
        },
        Target::Field(Field::RequestedAt | Field::ExecuteAt) => {
            InstantFormat::new(section.text("format")?, section.text("zone")?)
                .map(Reading::Instant)
                .map_err(|problem| section.error_here(problem))
        }
        _ => Ok(Reading::Text),
    }
}

fn parse_replacements(
    section: &Section<'_>,
    source: &Source,
) -> Result<Option<BTreeMap<String, String>>, MappingError> {
    let Some(map) = section.table("map", "{ A = \"PAYMENT\" }")? else { return Ok(None) };
    if matches!(source, Source::Constant(_)) {
        return Err(section.error("map", "a constant needs no map: write the value itself"));
    }
    let mut replacements = BTreeMap::new();
    for entry in map.entries() {
        let replacement = map.text(entry.key)?.expect("the entry is there");
        replacements.insert(entry.key.to_owned(), replacement.to_owned());
    }
    Ok(Some(replacements))
}

/// Finds at once what would otherwise reject every row. An amount needs its currency and waits for the rows.
fn check_constant(section: &Section<'_>, rule: &Rule) -> Result<(), MappingError> {
    let Source::Constant(constant) = &rule.source else { return Ok(()) };
    let Target::Field(found) = rule.target else { return Ok(()) };
    let expected = match &rule.reading {
        Reading::Instant(format) => format.parse(constant).is_none().then(|| format.expected()),
        Reading::Text => Draft::default().set_text(found, constant).err(),
        Reading::DecimalAmount | Reading::MinorAmount => None,
    };
    match expected {
        None => Ok(()),
        Some(expected) => {
            Err(section.error("constant", format!("found \"{}\", expected {expected}", masked(constant))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The smallest mapping, without the lines that start with the given keys.
    fn minimal(without: &[&str]) -> String {
        let lines = [
            "[fields]",
            "event_type = { constant = \"PAYMENT\" }",
            "payment_id = { column = \"id\" }",
            "idempotency_key = { template = \"key-{id}\" }",
            "debtor_account = { column = \"debtor\" }",
            "merchant_id = { column = \"merchant\" }",
            "amount = { column = \"amount\", unit = \"decimal\" }",
            "currency = { constant = \"EUR\" }",
            "payment_method = { constant = \"CARD\" }",
            "requested_at = { column = \"at\" }",
        ];
        let kept = lines.iter().filter(|line| !without.iter().any(|key| line.starts_with(key)));
        kept.map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn the_smallest_mapping_is_enough() {
        let mapping = Mapping::parse("m.toml", &minimal(&[])).expect("valid");
        assert_eq!(mapping.dialect, Dialect { delimiter: b',', quote: Some(b'"') });
        assert_eq!(mapping.rules.len(), 9);
        assert_eq!(mapping.columns, None);
    }

    #[test]
    fn every_fault_is_named_with_its_line_and_key() {
        let with = |head: &str, tail: &str| format!("{head}{}{tail}", minimal(&[]));
        let cases = [
            (
                with("[file]\ndelimitr = \";\"\n", ""),
                "line 2, file.delimitr: the key is not known; did you mean \"delimiter\"?",
            ),
            (with("delimiter = \";\"\n", ""), "line 1, delimiter: the key is not known"),
            (
                with("", "paymentid = { column = \"x\" }"),
                "line 11, fields.paymentid: the key is not known; did you mean \"payment_id\"?",
            ),
            (with("", "amount_minor = { column = \"x\" }"), "did you mean \"amount\"?"),
            (
                with("", "card.tokn = { column = \"x\" }"),
                "fields.card.tokn: the key is not known; did you mean \"token\"?",
            ),
            (with("", "card.bin = { column = \"x\" }"), "fields.card.token: the field is missing"),
            (
                with("", "country = { colum = \"x\" }"),
                "fields.country.colum: the key is not known; did you mean \"column\"?",
            ),
            (
                with("", "country = { column = \"x\", unit = \"minor\" }"),
                "fields.country.unit: the key is not known",
            ),
            (
                with("", "country = \"CZ\""),
                "fields.country: expected a table such as { column = \"...\" }, found a text",
            ),
            (
                with("", "country = {}"),
                "fields.country: expected exactly one of column, constant and template",
            ),
            (with("", "country = { column = \"a\", constant = \"b\" }"), "expected exactly one of"),
            (
                with("", "country = { constant = \" \" }"),
                "fields.country.constant: expected a text that is not blank",
            ),
            (with("", "country = { constant = \"CZ\", map = { a = \"b\" } }"), "a constant needs no map"),
            (
                with("", "country = { column = \"c\", map = { a = 1 } }"),
                "fields.country.map.a: expected a text in quotes",
            ),
            (with("", "country = { template = \"x-{y\" }"), "is not closed"),
            (with("", "priority = { constant = \"high\" }"), "found \"high\", expected an integer"),
            (
                with("", "execute_at = { column = \"x\", zone = \"Prague\" }"),
                "fields.execute_at: zone \"Prague\" is not known",
            ),
            (
                with("", "execute_at = { constant = \"tomorrow\" }"),
                "found \"tomorrow\", expected an ISO 8601 time",
            ),
            (
                with("[file]\nheader = \"no\"\n", ""),
                "line 2, file.header: expected true or false, found a text",
            ),
            (with("[file]\nheader = false\n", ""), "file.columns: header is false"),
            (with("[file]\ncolumns = [\"a\"]\n", ""), "file.columns: the file has a header"),
            (
                with("[file]\nheader = false\ncolumns = [\"a\", \"a\"]\n", ""),
                "line 3, file.columns: expected different names",
            ),
            (with("[file]\ndelimiter = \";;\"\n", ""), "file.delimiter: expected one ASCII character"),
            (
                with("[file]\ndelimiter = \"\\\"\"\n", ""),
                "file.quote: expected another character than the delimiter",
            ),
            (
                with("[file]\ndecimal_separator = \"'\"\n", ""),
                "file.decimal_separator: expected \".\" or \",\"",
            ),
            ("[file]\nquote = \"\"\n".to_owned(), "fields: the table [fields] is missing"),
            (minimal(&["currency"]), "line 1, fields.currency: the field is missing"),
            (minimal(&["amount"]), "fields.amount: the field is missing"),
            (minimal(&["amount"]) + "amount = { column = \"amount\" }", "fields.amount.unit: expected unit"),
            (
                minimal(&["event_type"]) + "event_type = { constant = \"PAYMNT\" }",
                "did you mean \"PAYMENT\"?",
            ),
            ("delimiter = \n".to_owned(), "line 1, the document: not TOML"),
        ];
        for (text, expected) in cases {
            let error = Mapping::parse("m.toml", &text).expect_err(&text).to_string();
            assert!(error.starts_with("mapping m.toml, line "), "{error}");
            assert!(error.contains(expected), "{error}\nexpected: {expected}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = Mapping::load(Path::new("missing/mapping.toml")).expect_err("missing");
        assert!(error.to_string().contains("missing/mapping.toml"), "{error}");
        assert!(error.hint().contains("check the path"), "{}", error.hint());
    }

    proptest! {
        #[test]
        fn any_text_is_a_mapping_or_an_error(text in "(?s).{0,200}") {
            prop_assert!(Mapping::parse("m", &text).is_err(), "too little for a mapping");
        }

        #[test]
        fn a_damaged_mapping_never_panics(position in 0usize..600, junk in "[\\[\\]{}\"=.,\\n#a-z]{0,6}") {
            let mut text = minimal(&[]);
            let at = position.min(text.len());
            text.insert_str(at, &junk);
            let _ = Mapping::parse("m", &text);
        }
    }
}
