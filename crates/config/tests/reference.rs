//! The page docs/configuration.md is the generated one.

use std::fs;
use std::path::PathBuf;

/// Set it to anything to write the page anew.
const UPDATE: &str = "SETTLE_UPDATE_REFERENCE";

#[test]
fn the_page_is_up_to_date() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let expected = settle_config::reference_markdown();
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &expected).expect("the page can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/configuration.md is not what the program says: run `{UPDATE}=1 cargo test --release -p settle-config`"
    );
}

#[test]
fn it_has_every_section_in_order_and_every_key() {
    let page = settle_config::reference_markdown();
    let headers: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## `")).collect();
    let expected = [
        "[application]`",
        "[embedded]`",
        "[kafka]`",
        "[kafka.tls]`",
        "[kafka.sasl]`",
        "[registry]`",
        "[worker]`",
        "[store]`",
        "[snapshots]`",
        "[standby]`",
        "[http]`",
        "[clock]`",
        "[idempotency]`",
        "[currencies]`",
        "[id_formats]`",
        "[risk]`",
        "[[risk.rules]]`",
        "[contracts.<merchant>]`",
        "[contracts.<merchant>.fees.<method>]`",
        "[calendars.<calendar>]`",
        "[telemetry]`",
    ];
    assert_eq!(headers, expected);
    for row in [
        "| `workers` | whole number, 1 to 256 | `1` | `SETTLE__WORKER__WORKERS` | Workers per stage",
        "| `directory` | text | none | `SETTLE__EMBEDDED__DIRECTORY` |",
        "| `mode` | `\"processing\"`, `\"event\"` | `\"processing\"` | `SETTLE__CLOCK__MODE` |",
        "| `<currency>` | whole number, 0 to 6 | none | `SETTLE__CURRENCIES__<currency>` |",
        "| `id` | text | required |  | Name of the rule",
        "| `cut_off` | text | `\"00:00\"` | `SETTLE__CONTRACTS__<merchant>__CUT_OFF` |",
        "| `fixed_minor` | table: currency to whole number | none | `SETTLE__CONTRACTS__<merchant>__FEES__<method>__FIXED_MINOR__<currency>` |",
        "| `rules` | list of tables | none | `SETTLE__RISK__RULES` |",
    ] {
        assert!(page.contains(row), "missing: {row}");
    }
    assert!(page.contains("What a payment costs the merchant"), "a table within a table has its own words");
    assert!(!page.contains("Default: "), "a default stands in its column");
    assert!(!page.contains("|  |\n"), "a key without a meaning");
}
