//! From written rules to evaluated ones: everything that is wrong is found at once, and nothing doubtful is
//! compiled. Owns what makes a rule valid; must not know how a rule is evaluated.

use std::collections::{BTreeMap, BTreeSet};

use compact_str::CompactString;
use settle_types::Currency;

use crate::config::{CheckKind, DenyField, Mode, Problem, RiskConfig, Rule, RuleSeverity};
use crate::rules::{Check, CompiledRule, Rules};
use crate::verdict::Severity;

impl RiskConfig {
    /// Everything that is wrong, rule by rule; disabled and shadow rules too, because they go live by one word.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut first_uses = BTreeMap::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let at = Place { index };
            check_identity(&at, rule, &mut problems);
            if let Some(first) = first_uses.get(rule.id.as_str()) {
                problems.push(at.problem(
                    "id",
                    format!("`{}` is the id of rules[{first}] already", rule.id),
                    "give each rule an id of its own, also a shadow variant of a live rule",
                ));
            } else {
                first_uses.insert(rule.id.as_str(), index);
            }
            check_reviews(&at, rule, &mut problems);
            if let Err(found) = translate_check(&at, rule) {
                problems.extend(found);
            }
        }
        problems
    }

    /// The evaluated form, or everything that is wrong.
    pub fn compile(&self) -> Result<Rules, Vec<Problem>> {
        let problems = self.check();
        if problems.is_empty() { self.translate() } else { Err(problems) }
    }

    /// Compiles what `check` may still refuse as a whole: tests of the evaluation use REVIEW through this.
    pub(crate) fn translate(&self) -> Result<Rules, Vec<Problem>> {
        let mut compiled = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let check = translate_check(&Place { index }, rule)?;
            if rule.mode == Mode::Disabled {
                continue;
            }
            compiled.push(CompiledRule {
                id: CompactString::new(&rule.id),
                version: rule.version,
                is_shadow: rule.mode == Mode::Shadow,
                severity: severity_of(rule.severity),
                on_error: severity_of(rule.on_error),
                score: rule.score,
                check,
            });
        }
        Ok(Rules::new(compiled))
    }
}

/// Which rule a problem is about.
struct Place {
    index: usize,
}

impl Place {
    fn problem(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem { path: format!("rules[{}].{key}", self.index), message: message.into(), hint: hint.into() }
    }
}

const fn severity_of(severity: RuleSeverity) -> Severity {
    match severity {
        RuleSeverity::Decline => Severity::Decline,
        RuleSeverity::Review => Severity::Review,
    }
}

fn check_identity(at: &Place, rule: &Rule, problems: &mut Vec<Problem>) {
    if rule.id.trim().is_empty() {
        problems.push(at.problem("id", "the id is empty", "name the rule: decisions refer to it by its id"));
    }
    if rule.version < 1 {
        problems.push(at.problem(
            "version",
            format!("version {} is below 1", rule.version),
            "start with 1 and raise it with every change of the rule",
        ));
    }
}

fn check_reviews(at: &Place, rule: &Rule, problems: &mut Vec<Problem>) {
    for (key, severity) in [("severity", rule.severity), ("on_error", rule.on_error)] {
        if severity == RuleSeverity::Review {
            problems.push(at.problem(key, "reviews cannot be resolved yet", "use DECLINE"));
        }
    }
}

/// The check of a rule with exactly the keys that its kind takes.
fn translate_check(at: &Place, rule: &Rule) -> Result<Check, Vec<Problem>> {
    let mut problems = foreign_keys(at, rule);
    let check = match rule.check {
        CheckKind::LimitPerPayment => {
            limits(at, rule, "limits_minor", rule.limits_minor.as_ref(), &mut problems)
                .map(Check::LimitPerPayment)
        }
        CheckKind::LimitDailySum => {
            limits(at, rule, "limits_minor", rule.limits_minor.as_ref(), &mut problems)
                .map(Check::LimitDailySum)
        }
        CheckKind::LimitDailyCount => {
            limits(at, rule, "limits", rule.limits.as_ref(), &mut problems).map(Check::LimitDailyCount)
        }
        CheckKind::DenyList => deny_list(at, rule, &mut problems),
    };
    check.filter(|_| problems.is_empty()).ok_or(problems)
}

/// Keys that the kind of the rule does not read: most likely the analyst meant another kind or another key.
fn foreign_keys(at: &Place, rule: &Rule) -> Vec<Problem> {
    let own: &[&str] = match rule.check {
        CheckKind::LimitPerPayment | CheckKind::LimitDailySum => &["limits_minor"],
        CheckKind::LimitDailyCount => &["limits"],
        CheckKind::DenyList => &["field", "values"],
    };
    let present = [
        ("limits_minor", rule.limits_minor.is_some()),
        ("limits", rule.limits.is_some()),
        ("field", rule.field.is_some()),
        ("values", rule.values.is_some()),
    ];
    let mut problems = Vec::new();
    for (key, is_present) in present {
        if is_present && !own.contains(&key) {
            let message = format!("{} does not read `{key}`", rule.check.as_str());
            problems.push(at.problem(key, message, format!("it takes `{}`", own.join("` and `"))));
        }
    }
    problems
}

fn limits(
    at: &Place,
    rule: &Rule,
    key: &str,
    table: Option<&BTreeMap<Currency, i64>>,
    problems: &mut Vec<Problem>,
) -> Option<BTreeMap<Currency, i64>> {
    let Some(table) = table.filter(|table| !table.is_empty()) else {
        let message = format!("{} has no limits", rule.check.as_str());
        problems.push(at.problem(key, message, format!("add a row per currency: {key} = {{ EUR = 100 }}")));
        return None;
    };
    for (currency, limit) in table {
        if *limit < 0 {
            let key = format!("{key}.{currency}");
            let message = format!("the limit {limit} is negative");
            problems.push(at.problem(&key, message, "use 0 to refuse everything in this currency"));
        }
    }
    Some(table.clone())
}

fn deny_list(at: &Place, rule: &Rule, problems: &mut Vec<Problem>) -> Option<Check> {
    if rule.field.is_none() {
        problems.push(at.problem("field", "the deny list names no field", "say which field it is about"));
    }
    let Some(values) = rule.values.as_ref().filter(|values| !values.is_empty()) else {
        problems.push(at.problem(
            "values",
            "the deny list is empty",
            "add values, or set mode = \"DISABLED\"",
        ));
        return None;
    };
    // A value that no request can carry would look like protection and be none. The value itself is not
    // printed: it may be an account.
    let unmatchable =
        values.iter().filter(|value| value.trim() != value.as_str() || value.is_empty()).count();
    if unmatchable > 0 {
        problems.push(at.problem(
            "values",
            format!("{unmatchable} of {} values are empty or have blanks around them", values.len()),
            "remove the blanks: values are compared exactly",
        ));
    }
    rule.field.map(|field| Check::DenyList { field, values: sorted(field, values) })
}

/// For a binary search: in order, each once, and in the case in which the field is compared.
fn sorted(field: DenyField, values: &BTreeSet<String>) -> Box<[CompactString]> {
    let mut sorted: Vec<CompactString> = values.iter().map(CompactString::from).collect();
    if field == DenyField::Country {
        for value in &mut sorted {
            value.make_ascii_uppercase();
        }
        sorted.sort_unstable();
        sorted.dedup();
    }
    sorted.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: &str = "check = \"LIMIT_PER_PAYMENT\"\nlimits_minor = { EUR = 100 }\n";
    const LIST: &str = "check = \"DENY_LIST\"\nfield = \"IP\"\nvalues = [\"192.0.2.1\"]\n";

    fn config(rules: &[String]) -> RiskConfig {
        let text: String = rules.iter().map(|rule| format!("[[rules]]\n{rule}\n")).collect();
        toml::from_str(&text).expect("rules that parse")
    }

    fn rule(id: &str, rest: &str) -> String {
        format!("id = \"{id}\"\nversion = 1\n{rest}")
    }

    #[test]
    fn each_problem_has_its_place_and_words() {
        let cases = [
            (rule(" ", LIMIT), "rules[0].id", "empty"),
            (format!("id = \"r\"\nversion = 0\n{LIMIT}"), "rules[0].version", "below 1"),
            (rule("r", &format!("severity = \"REVIEW\"\n{LIMIT}")), "rules[0].severity", "reviews cannot be"),
            (rule("r", &format!("on_error = \"REVIEW\"\n{LIMIT}")), "rules[0].on_error", "reviews cannot be"),
            (rule("r", "check = \"LIMIT_DAILY_SUM\""), "rules[0].limits_minor", "no limits"),
            (rule("r", "check = \"LIMIT_DAILY_COUNT\"\nlimits = {}"), "rules[0].limits", "no limits"),
            (
                rule("r", "check = \"LIMIT_DAILY_COUNT\"\nlimits = { EUR = 1, JPY = -1 }"),
                "rules[0].limits.JPY",
                "-1 is negative",
            ),
            (rule("r", &format!("{LIMIT}limits = {{ EUR = 1 }}")), "rules[0].limits", "does not read"),
            (rule("r", &format!("{LIST}limits = {{ EUR = 1 }}")), "rules[0].limits", "does not read"),
            (rule("r", &format!("{LIMIT}field = \"IP\"")), "rules[0].field", "does not read"),
            (rule("r", &format!("{LIMIT}values = [\"x\"]")), "rules[0].values", "does not read"),
            (rule("r", "check = \"DENY_LIST\"\nvalues = [\"x\"]"), "rules[0].field", "names no field"),
            (rule("r", "check = \"DENY_LIST\"\nfield = \"IP\""), "rules[0].values", "is empty"),
            (rule("r", "check = \"DENY_LIST\"\nfield = \"IP\"\nvalues = []"), "rules[0].values", "is empty"),
            (
                rule(
                    "r",
                    "check = \"DENY_LIST\"\nfield = \"DEBTOR_ACCOUNT\"\nvalues = [\"secret \", \"\", \"b\"]",
                ),
                "rules[0].values",
                "2 of 3 values",
            ),
        ];
        for (text, path, words) in cases {
            let config = config(std::slice::from_ref(&text));
            let problems = config.check();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert_eq!(problems[0].path, path, "{text}");
            assert!(problems[0].message.contains(words), "{text}: {problems:?}");
            assert!(!problems[0].to_string().contains("secret"), "a listed value is printed");
            assert_eq!(config.compile().map(|_| ()), Err(problems), "{text}");
        }
    }

    #[test]
    fn all_problems_are_found_at_once() {
        let shadow = format!("mode = \"SHADOW\"\n{LIST}");
        let disabled = "mode = \"DISABLED\"\ncheck = \"LIMIT_DAILY_SUM\"";
        let problems = config(&[rule("same", LIMIT), rule("same", &shadow), rule("off", disabled)]).check();
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["rules[1].id", "rules[2].limits_minor"]);
        assert!(problems[0].message.contains("rules[0]"), "{}", problems[0]);
    }

    #[test]
    fn valid_rules_compile() {
        let zero = "check = \"LIMIT_DAILY_COUNT\"\nlimits = { EUR = 0 }";
        let config = config(&[rule("a", LIMIT), rule("b", LIST), rule("c", zero)]);
        assert_eq!(config.check(), []);
        assert!(config.compile().is_ok());
        assert!(RiskConfig::default().compile().is_ok(), "no rules are valid");
    }

    #[test]
    fn the_examples_of_the_documentation_are_valid() {
        #[derive(serde::Deserialize)]
        struct File {
            risk: RiskConfig,
        }
        let page = include_str!("../../../docs/risk.md");
        let mut example_count = 0;
        for block in page.split("```toml\n").skip(1) {
            let (example, _) = block.split_once("```").expect("the block ends");
            let file: File = toml::from_str(example).expect(example);
            assert_eq!(file.risk.check(), [], "{example}");
            example_count += file.risk.rules.len();
        }
        assert!(example_count >= 4, "one example per kind at least");
    }
}
