//! A mapping applied to the columns of one file: a row becomes a request or a problem.

use std::collections::BTreeMap;

use settle_types::CurrencyTable;
use settle_types::request::PaymentRequested;

use super::template::Part;
use super::{Mapping, Reading, Rule, Source, Target};
use crate::decimal::{self, DecimalError};
use crate::field::{Draft, Field, Problem};
use crate::nearest;

/// A mapping whose columns are positions.
#[derive(Debug)]
pub(crate) struct BoundMapping {
    columns: Vec<String>,
    rules: Vec<BoundRule>,
    decimal_separator: char,
    currencies: CurrencyTable,
}

#[derive(Debug)]
struct BoundRule {
    rule: Rule,
    /// Positions of the columns of the source, in its order.
    positions: Vec<usize>,
}

/// A column that the mapping names and the file does not have once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ColumnProblem {
    /// The column.
    pub(crate) column: String,
    /// The field that needs it.
    pub(crate) field: String,
    /// What to do.
    pub(crate) hint: String,
}

/// What a rule gives for a row.
enum Found {
    Absent,
    /// A text, and the name that rejects give to its source.
    Text {
        text: String,
        column: String,
    },
}

impl BoundMapping {
    /// Finds each column of the mapping among those of the file.
    pub(crate) fn new(
        mapping: &Mapping,
        columns: Vec<String>,
        currencies: &CurrencyTable,
    ) -> Result<Self, ColumnProblem> {
        let mut rules = Vec::with_capacity(mapping.rules.len());
        for rule in &mapping.rules {
            let mut positions = Vec::new();
            for name in rule.source.columns() {
                let position = find_column(&columns, name).map_err(|hint| ColumnProblem {
                    column: name.to_owned(),
                    field: rule.target.name(),
                    hint,
                })?;
                positions.push(position);
            }
            rules.push(BoundRule { rule: rule.clone(), positions });
        }
        // The amount is read last: it needs the exponent of the currency.
        rules.sort_by_key(|bound| bound.rule.target.is_amount());
        let decimal_separator = mapping.decimal_separator;
        Ok(Self { columns, rules, decimal_separator, currencies: currencies.clone() })
    }

    /// Names of the file's columns.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Makes the request of a row with as many values as the file has columns.
    pub(crate) fn apply(&self, values: &[&str]) -> Result<PaymentRequested, Problem> {
        let mut draft = Draft::default();
        for bound in &self.rules {
            if bound.rule.target.is_amount() && !draft.has(Field::Currency) {
                return Err(self.missing(Field::Currency));
            }
            let found = bound.find(values, &self.columns)?;
            let Found::Text { text, column } = found else { continue };
            self.set(&mut draft, &bound.rule, &text)
                .map_err(|expected| Problem::of(column, text.as_str(), expected))?;
        }
        draft.finish().map_err(|field| self.missing(field))
    }

    fn set(&self, draft: &mut Draft, rule: &Rule, text: &str) -> Result<(), String> {
        let found = match &rule.target {
            Target::Field(found) => *found,
            Target::Metadata(name) => {
                draft.set_metadata(name, text);
                return Ok(());
            }
        };
        match &rule.reading {
            Reading::Text => draft.set_text(found, text),
            Reading::Instant(format) => {
                let instant = format.parse(text.trim()).ok_or_else(|| format.expected())?;
                draft.set_instant(found, instant);
                Ok(())
            }
            Reading::MinorAmount => {
                let minor_units = text.trim().parse().map_err(|_| MINOR_EXPECTED.to_owned())?;
                draft.set_amount(minor_units);
                Ok(())
            }
            Reading::DecimalAmount => {
                draft.set_amount(self.decimal_amount(draft.currency(), text.trim())?);
                Ok(())
            }
        }
    }

    fn decimal_amount(&self, code: &str, text: &str) -> Result<i64, String> {
        let currency = self.currencies.find(code);
        let Some(exponent) = currency.and_then(|currency| self.currencies.exponent(currency)) else {
            return Err(
                "a known currency (ISO 4217) beside a decimal amount: without it the number of decimals is not known"
                    .to_owned(),
            );
        };
        decimal::to_minor(text, self.decimal_separator, exponent).map_err(|error| match error {
            DecimalError::NotANumber => {
                format!("digits with at most one \"{}\", such as 12{0}50", self.decimal_separator)
            }
            DecimalError::TooManyDecimals => {
                format!("at most {exponent} decimals for {code}, or zeros after them")
            }
            DecimalError::TooLarge => "an amount within 64-bit minor units".to_owned(),
        })
    }

    /// Names the columns that a field would have come from.
    fn missing(&self, field: Field) -> Problem {
        let rule = self
            .rules
            .iter()
            .find(|bound| matches!(bound.rule.target, Target::Field(found) if found == field));
        let column = rule.and_then(|bound| bound.rule.source.columns().next());
        let expected = format!("a value for {}: the column is blank", field.name());
        Problem::missing(column.unwrap_or(field.name()), expected)
    }
}

/// What an amount in minor units must look like.
const MINOR_EXPECTED: &str = "an integer of minor units within 64 bits";

impl BoundRule {
    fn find(&self, values: &[&str], columns: &[String]) -> Result<Found, Problem> {
        let (text, column) = match &self.rule.source {
            Source::Constant(text) => (text.clone(), self.rule.target.name()),
            Source::Column(column) => (values[self.positions[0]].to_owned(), column.clone()),
            Source::Template(parts) => match self.fill(parts, values) {
                Ok(text) => (text, self.rule.target.name()),
                Err(_) if !self.rule.target.is_required() => return Ok(Found::Absent),
                Err(position) => {
                    let expected = format!("a value for {}: the column is blank", self.rule.target.name());
                    return Err(Problem::missing(&columns[position], expected));
                }
            },
        };
        let is_blank = text.trim().is_empty();
        let Some(replacements) = &self.rule.replacements else {
            return Ok(if is_blank { Found::Absent } else { Found::Text { text, column } });
        };
        let replaced = if is_blank { replacements.get("") } else { replacements.get(&text) };
        match replaced {
            Some(replacement) if replacement.is_empty() => Ok(Found::Absent),
            Some(replacement) => Ok(Found::Text { text: replacement.clone(), column }),
            None if is_blank => Ok(Found::Absent),
            None => Err(not_in_map(replacements, column, text)),
        }
    }

    /// The text of a template; the error is the position of a blank column.
    fn fill(&self, parts: &[Part], values: &[&str]) -> Result<String, usize> {
        let mut text = String::new();
        let mut positions = self.positions.iter();
        for part in parts {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Column(_) => {
                    let position = *positions.next().expect("a template has a position for each column");
                    if values[position].trim().is_empty() {
                        return Err(position);
                    }
                    text.push_str(values[position]);
                }
            }
        }
        Ok(text)
    }
}

fn not_in_map(replacements: &BTreeMap<String, String>, column: String, text: String) -> Problem {
    let known: Vec<&str> = replacements.keys().map(String::as_str).collect();
    let expected = format!("a value of the map in the mapping; {}", nearest::hint(&text, &known));
    Problem::of(column, text, expected)
}

impl Source {
    /// Names of the columns it needs, in its order.
    fn columns(&self) -> impl Iterator<Item = &str> {
        let (column, parts): (Option<&str>, &[Part]) = match self {
            Self::Column(column) => (Some(column), &[]),
            Self::Constant(_) => (None, &[]),
            Self::Template(parts) => (None, parts),
        };
        let in_template = parts.iter().filter_map(|part| match part {
            Part::Column(column) => Some(column.as_str()),
            Part::Text(_) => None,
        });
        column.into_iter().chain(in_template)
    }
}

impl Target {
    fn name(&self) -> String {
        match self {
            Self::Field(Field::AmountMinor) => "amount".to_owned(),
            Self::Field(field) => field.name().to_owned(),
            Self::Metadata(name) => format!("metadata.{name}"),
        }
    }

    fn is_required(&self) -> bool {
        matches!(self, Self::Field(field) if field.is_required())
    }

    fn is_amount(&self) -> bool {
        matches!(self, Self::Field(Field::AmountMinor))
    }
}

fn find_column(columns: &[String], name: &str) -> Result<usize, String> {
    let mut positions = columns.iter().enumerate().filter(|(_, column)| *column == name);
    match (positions.next(), positions.next()) {
        (Some((position, _)), None) => Ok(position),
        (Some(_), Some(_)) => Err("the file has several columns of this name; rename one".to_owned()),
        (None, _) => {
            let known: Vec<&str> = columns.iter().map(String::as_str).collect();
            Err(nearest::hint(name, &known))
        }
    }
}
