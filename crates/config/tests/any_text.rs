//! Whatever stands in a file, a variable or a flag: an answer, never a panic.

use std::fs;

use proptest::prelude::*;
use settle_config::{FlagValue, Sources, load};

/// Pieces that get far into the reader: real keys, with values of every kind.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "worker",
        "worker.workers",
        "[worker]",
        "[contracts.m]",
        "[[risk.rules]]",
        "risk.rules",
        "contracts.default.fees",
        "currencies.XBT",
        "currencies.x",
        "calendars.c.holidays",
        "clock.mode",
        "id",
        "version",
        "check",
        "values",
        "fees.CARD",
        "embedded.directory",
        "limits_minor",
        "\"\"",
        "é.\"\\u0000\"",
    ]);
    let value = prop::sample::select(vec![
        "1",
        "-1",
        "0",
        "99999999999999999999999999999999999999999999",
        "1.5",
        "nan",
        "\"\"",
        "\"EUR\"",
        "[]",
        "{}",
        "17:00",
        "2026-02-30",
        "[\"2026-12-24\", 1]",
        "{ EUR = 1, e = 2 }",
        "true",
        "\"DENY_LIST\"",
        "[[1], { a = 1 }]",
        "'''",
        "",
    ]);
    (key, value).prop_map(|(key, value)| {
        if key.starts_with('[') && !key.contains('=') { key.to_owned() } else { format!("{key} = {value}") }
    })
}

fn loads(content: &[u8], environment: Vec<(String, String)>, flags: Vec<FlagValue>) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("settle.toml");
    fs::write(&path, content).expect("a file");
    match load(Sources { file: Some(path), environment, flags }) {
        Ok(loaded) => drop(loaded.check()),
        Err(error) => {
            assert!(!error.problems().is_empty());
            assert!(!error.to_string().is_empty());
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes(content in prop::collection::vec(any::<u8>(), 0..200)) {
        loads(&content, Vec::new(), Vec::new());
    }

    #[test]
    fn arbitrary_text(content in "\\PC{0,200}") {
        loads(content.as_bytes(), Vec::new(), Vec::new());
    }

    #[test]
    fn lines_that_look_right(lines in prop::collection::vec(line(), 0..12)) {
        loads(lines.join("\n").as_bytes(), Vec::new(), Vec::new());
    }

    #[test]
    fn variables_and_flags(
        lines in prop::collection::vec(line(), 0..4),
        names in prop::collection::vec("(?i:settle__)?[a-z_]{0,6}(worker__workers|contracts__m__fees|risk__rules)?[\\PC]{0,3}", 0..6),
        text in "\\PC{0,20}",
        value in line(),
    ) {
        let pieces = |name: &String| (name.clone(), value.clone());
        let flags = names.iter().map(|name| FlagValue::parsed(name.replace("__", "."), text.clone())).collect();
        loads(lines.join("\n").as_bytes(), names.iter().map(pieces).collect(), flags);
    }
}

#[test]
fn deep_nesting() {
    let depth = 400_000;
    for content in [
        format!("a = {}", "[".repeat(depth)),
        format!("a = {}{}", "[".repeat(depth), "]".repeat(depth)),
        format!("a = {}1{}", "{a=".repeat(depth), "}".repeat(depth)),
        format!("{}a = 1", "a.".repeat(depth)),
        format!("[{}a]", "a.".repeat(depth)),
    ] {
        loads(content.as_bytes(), vec![("SETTLE__RISK__RULES".to_owned(), content.clone())], Vec::new());
        let flags = vec![FlagValue::parsed(content.replace(" = 1", ""), content.clone())];
        loads(b"", vec![(format!("SETTLE__{}", "a__".repeat(depth)), "1".to_owned())], flags);
    }
}
