//! Every example configuration is sound, and shows what it promises.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use settle_config::{Config, Sources, load};
use settle_engine::ClockMode;
use settle_types::Currency;

/// Says which column of a file becomes which field; it is no configuration.
const MAPPING: &str = "orders.toml";

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples")
}

fn example(name: &str) -> Config {
    let loaded = load(Sources { file: Some(directory().join(name)), ..Sources::default() });
    let loaded = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
    let problems: Vec<String> = loaded.check().iter().map(ToString::to_string).collect();
    assert_eq!(problems, [""; 0], "{name}");
    loaded.config
}

#[test]
fn every_example_loads_and_checks() {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(directory()).expect("examples") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        if name.ends_with(".toml") && name != MAPPING {
            example(&name);
            names.insert(name);
        }
    }
    assert!(names.contains("settle.toml") && names.contains("orders-settle.toml"), "{names:?}");
}

#[test]
fn the_complete_example_covers_six_currencies_in_rules_and_contracts() {
    let config = example("settle.toml");
    let contract = &config.contracts.0["default"];
    for code in ["EUR", "CZK", "USD", "GBP", "JPY", "BHD"] {
        let currency = Currency::new(code).expect("a code");
        assert!(contract.fees["CARD"].fixed_minor.contains_key(&currency), "{code}");
        assert!(contract.minimum_payout_minor.contains_key(&currency), "{code}");
        for rule in &config.risk.rules[..3] {
            let amounts = rule.limits_minor.as_ref().or(rule.limits.as_ref()).expect("a limit");
            assert!(amounts.contains_key(&currency), "{code}: {}", rule.id);
        }
    }
}

#[test]
fn the_complete_example_names_every_section() {
    let text = fs::read_to_string(directory().join("settle.toml")).expect("the example");
    let table: toml::Table = text.parse().expect("TOML");
    let sections: toml::Table = settle_config::to_toml(&Config::default()).parse().expect("TOML");
    for section in sections.keys() {
        assert!(table.contains_key(section), "[{section}] is missing");
    }
}

#[test]
fn the_orders_are_free_and_within_the_limits() {
    let config = example("orders-settle.toml");
    assert_eq!(config.clock.mode, ClockMode::Event);
    let contract = &config.contracts.0["default"];
    let fee = contract.fee_for("BANK_TRANSFER").expect("a fee");
    assert_eq!(fee.basis_points.get(), 0);
    assert!(fee.fixed_minor.values().all(|fixed| fixed.get() == 0));
    assert_eq!((contract.reserve_days, contract.minimum_payout_minor.len()), (0, 0));
    // The largest order, and the largest number and sum of one account, in the published file.
    let czk = Currency::new("CZK").expect("a code");
    let limits: Vec<i64> = config
        .risk
        .rules
        .iter()
        .map(|rule| rule.limits_minor.as_ref().or(rule.limits.as_ref()).expect("a limit")[&czk])
        .collect();
    for (limit, most) in limits.iter().zip([1_488_200, 2_270_430, 5]) {
        assert!(*limit >= most, "{limits:?}");
    }
    assert_eq!(limits.len(), 3);
}
