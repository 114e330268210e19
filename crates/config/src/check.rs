//! Whether a configuration makes sense: what the shape of single values cannot say.
//!
//! Rules, contracts and calendars are judged by the crates that own them; this collects what they say, adds what
//! concerns several sections, and warns of what is allowed and most likely not meant.

use std::collections::BTreeMap;
use std::path::Path;

use settle_engine::authorize::AuthorizeConfig;
use settle_engine::settle::SettleConfig;
use settle_engine::stage::ConfigError;
use settle_risk::{Mode, Rule};
use settle_settlement::contract::DEFAULT_CONTRACT;
use settle_types::{Currency, CurrencyTable, topic};

use crate::config::Config;
use crate::key_path::{KeyPath, quoted_if_needed};
use crate::problem::{Problem, code};
use crate::shape::Shape;
use crate::tree::Entry;
use crate::verify::verify_values;

/// Longest name of an application: it stands in the names of groups and transactions.
const MAX_NAME_CHARACTERS: usize = 100;

/// Everything that is wrong or doubtful, errors first, each in the order of the sections. Empty if all is well.
pub fn check(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    check_ranges(config, &mut problems);
    check_application(config, &mut problems);
    check_directories(config, &mut problems);
    check_log_level(config, &mut problems);
    check_snapshots(config, &mut problems);
    check_currencies(config, &mut problems);
    check_rules_and_contracts(config, &mut problems);
    check_stages(config, &mut problems);
    warn_of_gaps(config, &mut problems);
    problems.sort_by_key(|problem| problem.severity);
    problems
}

/// The ranges of the shape, for a configuration that was not loaded but made.
fn check_ranges(config: &Config, problems: &mut Vec<Problem>) {
    let json = serde_json::to_value(config).expect("a configuration of plain values becomes JSON");
    let mut findings = Vec::new();
    verify_values(&Entry::from_json(&json), Shape::root(), &KeyPath::default(), &mut findings);
    problems.extend(findings.into_iter().map(|(_, problem)| problem));
}

fn check_application(config: &Config, problems: &mut Vec<Problem>) {
    let name = &config.application.name;
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || ".-_".contains(character);
    if name.is_empty() || name.len() > MAX_NAME_CHARACTERS || !name.chars().all(is_allowed) {
        let message = format!(
            "found {name:?}, expected 1 to {MAX_NAME_CHARACTERS} letters, digits, `.`, `_` and `-`: topics, groups and \
             transactions carry the name"
        );
        problems.push(Problem::error(code::CONTRADICTION, "application.name", message));
    }
}

fn check_directories(config: &Config, problems: &mut Vec<Problem>) {
    let directories =
        [("embedded.directory", &config.embedded.directory), ("store.directory", &config.store.directory)];
    for (path, directory) in directories {
        if directory.as_deref() == Some(Path::new("")) {
            let problem =
                Problem::error(code::CONTRADICTION, path, "the path is empty, expected a directory");
            problems.push(problem.hint("leave the key out to have the default"));
        }
    }
}

fn check_log_level(config: &Config, problems: &mut Vec<Problem>) {
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    let filter = &config.telemetry.log_level;
    let level_of = |part: &str| part.rsplit_once('=').map_or(part, |(_, level)| level).trim().to_owned();
    let is_known = |part: &str| levels.contains(&level_of(part).as_str());
    if !filter.split(',').all(is_known) {
        let message = format!(
            "found {filter:?}, expected {}, or parts with levels: info,settle_runtime=debug",
            levels.join(", ")
        );
        problems.push(Problem::error(code::CONTRADICTION, "telemetry.log_level", message));
    }
}

/// A journal that has an end needs snapshots, and must reach back far enough behind them.
fn check_snapshots(config: &Config, problems: &mut Vec<Problem>) {
    if config.kafka.bootstrap_servers.is_none() {
        return;
    }
    let retention_ms = config.retention_ms();
    for journal in [topic::DECIDED, topic::SETTLEMENT_EVENTS] {
        let kept_seconds = match retention_ms.get(journal) {
            Some(ms) if *ms >= 0 => u64::try_from(*ms).unwrap_or(0) / 1_000,
            _ => continue,
        };
        let path = format!("kafka.retention_days.{}", quoted_if_needed(journal));
        let needed = config.snapshots.journal_seconds();
        if config.snapshots.url.is_none() {
            let message = format!(
                "{journal} is the state, and it is not kept forever: without snapshots a lost store could not be built again"
            );
            let hint = "set snapshots.url, or keep the topic forever (0)";
            problems.push(Problem::error(code::CONTRADICTION, path, message).hint(hint));
        } else if kept_seconds < needed {
            let message = format!(
                "{journal} is kept for {kept_seconds} s, expected at least {needed} s: twice the age that the oldest \
                 snapshot reaches"
            );
            let hint = "keep the topic longer, or lower snapshots.keep, interval_seconds or grace_seconds";
            problems.push(Problem::error(code::CONTRADICTION, path, message).hint(hint));
        }
    }
}

fn check_currencies(config: &Config, problems: &mut Vec<Problem>) {
    let known = CurrencyTable::with_overrides(&config.currencies);
    for (path, currency) in mentions_in_rules(config).into_iter().chain(mentions_in_contracts(config)) {
        if known.exponent(currency).is_none() {
            let message = format!("{currency} is no currency of ISO 4217, and [currencies] does not add it");
            let hint = format!("correct the code, or add its decimals to [currencies]: {currency} = 2");
            problems.push(Problem::error(code::CONTRADICTION, path, message).hint(hint));
        }
    }
}

/// Every currency in the tables of rules, with its path.
fn mentions_in_rules(config: &Config) -> Vec<(String, Currency)> {
    let mut mentions = Vec::new();
    for (index, rule) in config.risk.rules.iter().enumerate() {
        for (key, table) in limit_tables(rule) {
            let path = |currency: &Currency| format!("risk.rules[{index}].{key}.{currency}");
            mentions.extend(table.keys().map(|currency| (path(currency), *currency)));
        }
    }
    mentions
}

fn limit_tables(rule: &Rule) -> impl Iterator<Item = (&'static str, &BTreeMap<Currency, i64>)> {
    let tables = [("limits_minor", &rule.limits_minor), ("limits", &rule.limits)];
    tables.into_iter().filter_map(|(key, table)| Some((key, table.as_ref()?)))
}

/// Every currency in the tables of contracts, with its path.
fn mentions_in_contracts(config: &Config) -> Vec<(String, Currency)> {
    let mut mentions = Vec::new();
    for (merchant, contract) in &config.contracts.0 {
        let start = format!("contracts.{}", quoted_if_needed(merchant));
        let mut add = |key: String, currencies: Vec<Currency>| {
            let path = |currency: &Currency| format!("{start}.{key}.{currency}");
            mentions.extend(currencies.iter().map(|currency| (path(currency), *currency)));
        };
        for (method, fee) in &contract.fees {
            let key = format!("fees.{}.fixed_minor", quoted_if_needed(method));
            add(key, fee.fixed_minor.keys().copied().collect());
        }
        add("minimum_payout_minor".to_owned(), contract.minimum_payout_minor.keys().copied().collect());
        add("net_debit_cap_minor".to_owned(), contract.net_debit_cap_minor.keys().copied().collect());
    }
    mentions
}

fn check_rules_and_contracts(config: &Config, problems: &mut Vec<Problem>) {
    for found in config.risk.check() {
        let path = format!("risk.{}", found.path);
        problems.push(Problem::error(code::CONTRADICTION, path, found.message).hint(found.hint));
    }
    for found in config.contracts.check(&config.calendars) {
        problems.push(Problem::error(code::CONTRADICTION, found.path, found.message));
    }
}

/// What the engine itself refuses, as far as nothing above has said it: nothing that passes here may fail when it
/// is activated.
fn check_stages(config: &Config, problems: &mut Vec<Problem>) {
    let authorize = AuthorizeConfig::new(config.authorize_settings()).err();
    let settle = SettleConfig::new(config.settle_settings()).err();
    for line in authorize.into_iter().chain(settle).flat_map(lines_of) {
        let (path, message) = line.split_once(": ").unwrap_or(("", &line));
        // The engine's settings are flat: this key stands in a section of its own here.
        let path = if path == "key_retention_days" { "idempotency.retention_days" } else { path };
        if !problems.iter().any(|problem| problem.path == path) {
            problems.push(Problem::error(code::CONTRADICTION, path, message));
        }
    }
}

fn lines_of(error: ConfigError) -> Vec<String> {
    match error {
        ConfigError::Invalid(lines) => lines,
        ConfigError::Parse(error) => vec![error.to_string()],
    }
}

fn warn_of_gaps(config: &Config, problems: &mut Vec<Problem>) {
    if !config.risk.rules.iter().any(|rule| rule.mode == Mode::Live) {
        let message = "no live rule: every payment will be approved";
        problems.push(
            Problem::warning("risk.rules", message).hint("add a rule, such as a limit for each payment"),
        );
    }
    if !config.contracts.0.contains_key(DEFAULT_CONTRACT) {
        let message =
            "no default contract: payments to merchants without a contract will be refused (NO_CONTRACT)";
        let hint = format!("add [contracts.{DEFAULT_CONTRACT}] with fees, if that is not meant");
        problems.push(Problem::warning("contracts", message).hint(hint));
    }
    warn_of_missing_limits(config, problems);
}

/// A rule without a row for a currency declines all payments in it. Where contracts name the currency, payments in
/// it are to be expected.
fn warn_of_missing_limits(config: &Config, problems: &mut Vec<Problem>) {
    let expected: BTreeMap<Currency, String> =
        mentions_in_contracts(config).into_iter().rev().map(|(path, currency)| (currency, path)).collect();
    for (index, rule) in config.risk.rules.iter().enumerate() {
        if rule.mode != Mode::Live {
            continue;
        }
        for (key, table) in limit_tables(rule) {
            let missing: Vec<&Currency> =
                expected.keys().filter(|currency| !table.contains_key(currency)).collect();
            let Some(first) = missing.first() else { continue };
            let codes: Vec<&str> = missing.iter().map(|currency| currency.as_str()).collect();
            let message = format!(
                "no row for {}: every payment in it will be declined (NO_LIMIT_FOR_CURRENCY), although {} names it",
                codes.join(", "),
                expected[*first]
            );
            let hint = format!("add a row for each: {first} = 100");
            problems.push(Problem::warning(format!("risk.rules[{index}].{key}"), message).hint(hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r#"
        [[risk.rules]]
        id = "large"
        version = 1
        check = "LIMIT_PER_PAYMENT"
        limits_minor = { EUR = 100, CZK = 100 }
        [contracts.default.fees."*"]
        fixed_minor = { EUR = 1, CZK = 1 }
    "#;

    fn checked(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config: Config = toml::from_str(SOUND).expect("valid");
        change(&mut config);
        check(&config).iter().map(ToString::to_string).collect()
    }

    fn currency(code: &str) -> Currency {
        Currency::new(code).expect("a code")
    }

    fn limits(config: &mut Config) -> &mut BTreeMap<Currency, i64> {
        config.risk.rules[0].limits_minor.as_mut().expect("a limit per payment")
    }

    #[test]
    fn a_sound_configuration_has_no_problems() {
        assert_eq!(checked(|_| {}), [""; 0]);
    }

    #[test]
    fn one_problem_each() {
        type Change = fn(&mut Config);
        let cases: [(Change, &str); 19] = [
            (
                |config| {
                    config.kafka.bootstrap_servers = Some("127.0.0.1:9092".to_owned());
                    config.kafka.retention_days.insert(topic::DECIDED.to_owned(), 30);
                },
                "kafka.retention_days.\"payments.decided\": payments.decided is the state, and it is not kept forever: \
                 without snapshots a lost store could not be built again; set snapshots.url, or keep the topic forever (0)",
            ),
            (
                |config| {
                    config.kafka.bootstrap_servers = Some("127.0.0.1:9092".to_owned());
                    config.kafka.retention_days.insert(topic::SETTLEMENT_EVENTS.to_owned(), 1);
                    config.snapshots.url = Some("file:///snapshots".to_owned());
                    config.snapshots.interval_seconds = 86_400;
                },
                "kafka.retention_days.\"settlement.events\": settlement.events is kept for 86400 s, expected at least \
                 698400 s: twice the age that the oldest snapshot reaches; keep the topic longer, or lower \
                 snapshots.keep, interval_seconds or grace_seconds",
            ),
            (
                |config| config.telemetry.log_level = "info,settle_log=loud".to_owned(),
                "telemetry.log_level: found \"info,settle_log=loud\", expected error, warn, info, debug, trace, off, or \
                 parts with levels: info,settle_runtime=debug",
            ),
            (
                |config| config.embedded.partitions = 0,
                "embedded.partitions: found the whole number 0, expected a whole number from 1 to 10000",
            ),
            (
                |config| config.worker.workers = 0,
                "worker.workers: found the whole number 0, expected a whole number from 1 to 256",
            ),
            (
                |config| config.worker.commit_interval_ms = 0,
                "worker.commit_interval_ms: found the whole number 0, expected a whole number from 1 to 5000",
            ),
            (
                |config| config.idempotency.retention_days = 551,
                "idempotency.retention_days: found the whole number 551, expected a whole number from 1 to 550",
            ),
            (
                |config| config.application.name = "my app".to_owned(),
                "application.name: found \"my app\", expected 1 to 100 letters, digits, `.`, `_` and `-`: topics, \
                 groups and transactions carry the name",
            ),
            (
                |config| config.embedded.directory = Some("".into()),
                "embedded.directory: the path is empty, expected a directory; leave the key out to have the \
                 default",
            ),
            (
                |config| config.currencies = BTreeMap::from([(currency("XBT"), 7)]),
                "currencies.XBT: found the whole number 7, expected a whole number from 0 to 6",
            ),
            (
                |config| {
                    *limits(config) = BTreeMap::from(["CZK", "EUR", "EUX"].map(|code| (currency(code), 1)))
                },
                "risk.rules[0].limits_minor.EUX: EUX is no currency of ISO 4217, and [currencies] does not add \
                 it; correct the code, or add its decimals to [currencies]: EUX = 2",
            ),
            (
                |config| config.risk.rules[0].severity = settle_risk::RuleSeverity::Review,
                "risk.rules[0].severity: reviews cannot be resolved yet; use DECLINE",
            ),
            (
                |config| config.contracts.0.get_mut("default").expect("there").cut_off = "25:00".to_owned(),
                "contracts.default.cut_off: `25:00` is not a time of day: expected `HH:MM` from `00:00` to `23:59`",
            ),
            (
                |config| config.clock.max_event_jump_seconds = 7 * 86_400,
                "clock.max_event_jump_seconds: one request could expire every key; less than the retention of 7 \
                 days was expected",
            ),
            (
                |config| config.risk.rules.clear(),
                "warning: risk.rules: no live rule: every payment will be approved; add a rule, such as a limit for each \
                 payment",
            ),
            (
                |config| config.risk.rules[0].mode = Mode::Shadow,
                "warning: risk.rules: no live rule: every payment will be approved; add a rule, such as a limit for each \
                 payment",
            ),
            (
                |config| config.contracts.0.clear(),
                "warning: contracts: no default contract: payments to merchants without a contract will be refused \
                 (NO_CONTRACT); add [contracts.default] with fees, if that is not meant",
            ),
            (
                |config| *limits(config) = BTreeMap::from([(currency("CZK"), 1)]),
                "warning: risk.rules[0].limits_minor: no row for EUR: every payment in it will be declined \
                 (NO_LIMIT_FOR_CURRENCY), although contracts.default.fees.\"*\".fixed_minor.EUR names it; add a row \
                 for each: EUR = 100",
            ),
            (
                |config| config.contracts.0.get_mut("default").expect("there").fees.clear(),
                "contracts.default.fees: no fee: every payment would be refused; expected a method or `*`",
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(checked(change), [expected]);
        }
    }

    #[test]
    fn errors_come_first_and_all_at_once() {
        let problems = checked(|config| {
            config.risk.rules.clear();
            config.worker.workers = 0;
            config.contracts.0.get_mut("default").expect("there").time_zone = "Mars".to_owned();
        });
        let starts = ["worker.workers", "contracts.default.time_zone", "warning: risk.rules"];
        assert_eq!(problems.len(), starts.len(), "{problems:#?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem}");
        }
    }
}
