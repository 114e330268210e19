//! Configurations as operators write them: what is wrong with them, and which layer wins.

use std::fs;
use std::path::PathBuf;

use settle_config::{Error, FlagValue, Loaded, Sources, load};
use tempfile::TempDir;

struct File {
    _directory: TempDir,
    path: PathBuf,
}

fn file(content: impl AsRef<[u8]>) -> File {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("settle.toml");
    fs::write(&path, content).expect("a file");
    File { _directory: directory, path }
}

fn loaded(content: &str, environment: &[(&str, &str)], flags: Vec<FlagValue>) -> Result<Loaded, Error> {
    let file = file(content);
    let environment = environment.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    load(Sources { file: Some(file.path.clone()), environment, flags })
}

/// The messages, with the directory of the file cut off.
fn messages(error: &Error) -> Vec<String> {
    let short = |text: String| match text.split_once("settle.toml") {
        Some((_, rest)) => format!("settle.toml{rest}"),
        None => text,
    };
    error.problems().iter().map(|problem| short(problem.to_string())).collect()
}

#[test]
fn each_bad_line_and_its_message() {
    let cases = [
        // Unknown keys.
        (
            "[worker]\nworker = 2",
            "STL-0403",
            "settle.toml:2: worker.worker: unknown key; did you mean `workers`?",
        ),
        ("[wroker]\nworkers = 2", "STL-0403", "settle.toml:1: wroker: unknown key; did you mean `worker`?"), // typos:ignore
        ("workers = 2", "STL-0403", "settle.toml:1: workers: unknown key; did you mean `worker`?"),
        (
            "[store]\nsync = \"never\"",
            "STL-0403",
            "settle.toml:2: store.sync: unknown key; `sync` belongs to [embedded]",
        ),
        (
            "[idempotency]\nfoo = 1",
            "STL-0403",
            "settle.toml:2: idempotency.foo: unknown key; known here: retention_days",
        ),
        (
            "[contracts.\"a.b\"]\ncutoff = \"17:00\"",
            "STL-0403",
            "settle.toml:2: contracts.\"a.b\".cutoff: unknown key; did you mean `cut_off`?",
        ),
        (
            "[[risk.rules]]\nid = \"a\"\nversion = 1\ncheck = \"DENY_LIST\"\nvalue = [\"x\"]",
            "STL-0403",
            "settle.toml:5: risk.rules[0].value: unknown key; did you mean `values`?",
        ),
        (
            "id_formats.debtor = \"IBAN\"",
            "STL-0403",
            "settle.toml:1: id_formats.debtor: unknown key; known here: payment_id, original_payment_id, \
             idempotency_key, debtor_account, merchant_id",
        ),
        // Types and ranges.
        (
            "[worker]\nworkers = \"two\"",
            "STL-0404",
            "settle.toml:2: worker.workers: found the text \"two\", expected a whole number from 1 to 256",
        ),
        (
            "[worker]\nworkers = \"2\"",
            "STL-0404",
            "settle.toml:2: worker.workers: found the text \"2\", expected a whole number from 1 to 256; remove the quotes",
        ),
        (
            "[worker]\nworkers = 1.5",
            "STL-0404",
            "settle.toml:2: worker.workers: found the number 1.5, expected a whole number from 1 to 256",
        ),
        (
            "[embedded]\npartitions = 0",
            "STL-0404",
            "settle.toml:2: embedded.partitions: found the whole number 0, expected a whole number from 1 to 10000",
        ),
        (
            "[store]\nblock_cache_bytes = 99999999999999999999",
            "STL-0404",
            "settle.toml:2: store.block_cache_bytes: found the whole number 99999999999999999999, expected a whole \
             number from 1048576 to 9223372036854775807",
        ),
        ("worker = 2", "STL-0404", "settle.toml:1: worker: found the whole number 2, expected a table"),
        (
            "[clock]\nmode = \"Event\"",
            "STL-0404",
            "settle.toml:2: clock.mode: found the text \"Event\", expected one of \"processing\", \"event\"; did you mean \
             \"event\"?",
        ),
        (
            "contracts.m.cut_off = 17:00",
            "STL-0404",
            "settle.toml:1: contracts.m.cut_off: found a date or time, expected text; put it in quotes",
        ),
        (
            "[risk.rules]\nid = \"a\"",
            "STL-0404",
            "settle.toml:1: risk.rules: found a table, expected a list; write its header in double square brackets",
        ),
        (
            "contracts.m.refund_returns_fee = \"yes\"",
            "STL-0404",
            "settle.toml:1: contracts.m.refund_returns_fee: found the text \"yes\", expected true or false",
        ),
        (
            "currencies.xbt = 6",
            "STL-0404",
            "settle.toml:1: currencies.xbt: found the text \"xbt\", expected three capital letters (ISO 4217)",
        ),
        (
            "[calendars.cz]\nholidays = [\n\"2026-12-24\",\n\"2026-13-24\"]",
            "STL-0404",
            "settle.toml:4: calendars.cz.holidays[1]: found the text \"2026-13-24\", expected a day that exists, in \
             quotes, as \"YYYY-MM-DD\"",
        ),
        // Missing keys.
        (
            "[[risk.rules]]\nid = \"a\"\nversion = 1",
            "STL-0405",
            "settle.toml:1: risk.rules[0].check: missing: expected one of \"LIMIT_PER_PAYMENT\", \"LIMIT_DAILY_SUM\", \
             \"LIMIT_DAILY_COUNT\", \"DENY_LIST\"",
        ),
    ];
    for (content, code, expected) in cases {
        let error = loaded(content, &[], Vec::new()).expect_err(content);
        assert_eq!(messages(&error), [expected], "{content}");
        assert_eq!(error.code(), code, "{content}");
    }
}

#[test]
fn what_is_not_toml() {
    let cases: [(&[u8], &str); 4] = [
        (b"[worker]\nworkers =\n", "settle.toml:2: column 10: not TOML: "),
        (b"[worker\nworkers = 1\n", "settle.toml:1: column 8: not TOML: "),
        (b"[worker]\nworkers = 1\nworkers = 2\n", "settle.toml:3: column 1: not TOML: duplicate key"),
        (b"[worker]\n# \xff\n", "settle.toml:2: not TOML: the line is not UTF-8"),
    ];
    for (content, start) in cases {
        let file = file(content);
        let sources = Sources { file: Some(file.path.clone()), ..Sources::default() };
        let error = load(sources).expect_err("no TOML");
        let messages = messages(&error);
        assert_eq!((messages.len(), error.code()), (1, "STL-0402"), "{messages:?}");
        assert!(messages[0].starts_with(start), "{messages:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read() {
    let file = file("");
    let path = file.path.with_file_name("absent.toml");
    let error = load(Sources { file: Some(path.clone()), ..Sources::default() }).expect_err("no file");
    assert_eq!(error.code(), "STL-0401");
    let start = format!("{}: the configuration file cannot be read: ", path.display());
    assert!(error.to_string().starts_with(&start), "{error}");
}

#[test]
fn all_problems_of_all_sources_at_once() {
    let content = "
        [worker]
        wrokers = 1 # typos:ignore
        batch_records = 0
        [contracts.m]
        fees.CARD.fixed_minor = { euro = 1, EUR = 1, yen = 2 }
        [[risk.rules]]
        id = 5
        version = 1
        check = \"DENY_LIST\"
        [[risk.rules]]
        check = \"DENY_LIST\"
        limits = { dollar = 1 }
    ";
    let environment = [
        ("SETTLE__WORKER__BATCH_RECORDS", "many"),
        ("SETTLE__WORKER__COMMIT_RECORD", "1"),
        ("settle__worker__batch_records", "1"),
        ("SETTLE__CLOCK", "event"),
    ];
    let flags =
        vec![FlagValue::text("telemetry.log_format", "yaml"), FlagValue::parsed("worker workers", "1")];
    let error = loaded(content, &environment, flags).expect_err("many problems");
    let mut found = messages(&error);
    found.sort();
    let expected = [
        "environment variable SETTLE__CLOCK: clock: found the text \"event\", expected a table",
        "environment variable SETTLE__WORKER__BATCH_RECORDS: worker.batch_records: found the text \"many\", expected a whole number from 1 to 100000",
        "environment variable SETTLE__WORKER__COMMIT_RECORD: worker.commit_record: unknown key; did you mean `commit_records`?",
        "environment variable settle__worker__batch_records: sets the same key as SETTLE__WORKER__BATCH_RECORDS; remove one of the two",
        "flag telemetry.log_format: telemetry.log_format: found the text \"yaml\", expected one of \"human\", \"json\"",
        "flag worker workers: \"worker workers\" is not a dotted key; expected section.key, such as worker.workers",
        "settle.toml:11: risk.rules[1].id: missing: expected text",
        "settle.toml:11: risk.rules[1].version: missing: expected a whole number",
        "settle.toml:13: risk.rules[1].limits.dollar: found the text \"dollar\", expected three capital letters (ISO 4217)",
        "settle.toml:3: worker.wrokers: unknown key; did you mean `workers`?", // typos:ignore
        "settle.toml:4: worker.batch_records: found the whole number 0, expected a whole number from 1 to 100000",
        "settle.toml:6: contracts.m.fees.CARD.fixed_minor.euro: found the text \"euro\", expected three capital letters (ISO 4217)",
        "settle.toml:6: contracts.m.fees.CARD.fixed_minor.yen: found the text \"yen\", expected three capital letters (ISO 4217)",
        "settle.toml:8: risk.rules[0].id: found a whole number, expected text; put it in quotes",
    ];
    let text = error.to_string();
    assert!(text.starts_with("the configuration has 14 errors\n  environment variable "), "{text}");
    assert_eq!(found, expected);
}

#[test]
fn later_layers_win_key_by_key() {
    let content = "
        [worker]
        workers = 2
        batch_records = 20
        commit_records = 200
        [contracts.default]
        cut_off = \"10:00\"
        time_zone = \"Europe/Prague\"
        [[risk.rules]]
        id = \"from-file\"
        version = 1
        check = \"DENY_LIST\"
    ";
    let environment = [
        ("SETTLE__WORKER__BATCH_RECORDS", "30"),
        ("SETTLE__WORKER__COMMIT_RECORDS", "300"),
        ("SETTLE__CONTRACTS__DEFAULT__CUT_OFF", "11:00"),
        ("SETTLE__RISK__RULES", "[{ id = \"from-environment\", version = 1, check = \"DENY_LIST\" }]"),
        ("UNRELATED", "x"),
    ];
    let flags = vec![
        FlagValue::parsed("worker.commit_records", "399"),
        FlagValue::parsed("worker.commit_records", "400"),
        FlagValue::text("embedded.directory", "17:00"),
    ];
    let loaded = loaded(content, &environment, flags).expect("valid");
    let config = &loaded.config;
    assert_eq!(config.worker.queue_records, 2_000, "default");
    assert_eq!(config.worker.workers, 2, "file");
    assert_eq!(config.worker.batch_records, 30, "environment over file");
    assert_eq!(config.worker.commit_records, 400, "flag over environment over file");
    assert_eq!(config.embedded.directory, Some(PathBuf::from("17:00")));
    let contract = &config.contracts.0["default"];
    assert_eq!((contract.cut_off.as_str(), contract.time_zone.as_str()), ("11:00", "Europe/Prague"));
    assert_eq!(config.contracts.0.len(), 1);
    let ids: Vec<_> = config.risk.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["from-environment"], "lists are replaced");
}

#[test]
fn it_is_known_what_was_set_and_where() {
    let environment = [("SETTLE__CLOCK__MODE", "event")];
    let loaded =
        loaded("[worker]\nworkers = 2\n[clock]\nmax_clock_skew_seconds = 1", &environment, Vec::new())
            .expect("valid");
    for (key, is_set) in [
        ("clock.mode", true),
        ("clock", true),
        ("worker.workers", true),
        ("worker.batch_records", false),
        ("clock.max_event_jump_seconds", false),
        ("", false),
    ] {
        assert_eq!(loaded.is_set(key), is_set, "{key}");
    }
    let origin = |key| loaded.origin(key).map(ToString::to_string).unwrap_or_default();
    assert_eq!(origin("clock.mode"), "environment variable SETTLE__CLOCK__MODE");
    assert!(origin("worker.workers").ends_with("settle.toml:2"));
    assert!(origin("worker.batch_records").ends_with("settle.toml:1"), "the table around it");
    assert_eq!(origin("workers"), "");
}

#[test]
fn the_check_names_the_source_too() {
    let environment = [("SETTLE__CONTRACTS__DEFAULT__TIME_ZONE", "Mars")];
    let loaded =
        loaded("[contracts.default]\nfees.\"*\" = {}\ncut_off = \"25:00\"", &environment, Vec::new());
    let problems: Vec<String> =
        loaded.expect("of the right shape").check().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 3, "{problems:#?}");
    let start =
        "environment variable SETTLE__CONTRACTS__DEFAULT__TIME_ZONE: contracts.default.time_zone: `Mars`";
    assert!(problems[0].starts_with(start), "{problems:#?}");
    assert!(problems[1].contains("settle.toml:3: contracts.default.cut_off: `25:00`"), "{problems:#?}");
    assert_eq!(
        problems[2],
        "warning: risk.rules: no live rule: every payment will be approved; add a rule, such as a limit for each payment"
    );
}

#[test]
fn values_of_lists_are_never_repeated() {
    let content = "[[risk.rules]]\nid = \"a\"\nversion = 1\ncheck = \"DENY_LIST\"\nfield = \"DEBTOR_ACCOUNT\"\nvalues = ";
    for values in ["4929123", "\"4929123\"", "[4929123]", "[\"4929123\", 4929123.5]"] {
        let error = loaded(&format!("{content}{values}"), &[], Vec::new()).expect_err(values);
        assert!(!error.to_string().contains("4929123"), "{error}");
    }
}

#[test]
fn without_any_source_there_are_the_defaults() {
    let loaded = load(Sources::default()).expect("valid");
    assert_eq!(loaded.config, settle_config::Config::default());
    assert!(loaded.check().iter().all(|problem| !problem.is_error()));
    assert!(!loaded.is_set("worker"));
}

#[test]
fn what_is_written_out_is_read_back() {
    for config in [settle_config::Config::default(), settle_config::demo_config()] {
        let text = settle_config::to_toml(&config);
        assert_eq!(loaded(&text, &[], Vec::new()).expect("valid").config, config);
    }
}
