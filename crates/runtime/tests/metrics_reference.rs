//! docs/metrics.md is the generated page; what names metrics elsewhere names existing ones; no metric is made
//! outside of the catalogue.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use settle_runtime::metrics;

/// Set it to anything to write the page anew.
const UPDATE: &str = "SETTLE_UPDATE_REFERENCE";

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Words of a text that look like the name of a metric.
fn names_in(text: &str) -> BTreeSet<&str> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = text.split(|character| !is_part(character));
    // Crates have such names too.
    let crates = ["settle_runtime", "settle_cli", "settle_log", "settle_store"];
    words.filter(|word| word.starts_with("settle_") && !crates.contains(word)).collect()
}

fn catalogue() -> BTreeSet<&'static str> {
    metrics::all().map(|metric| metric.name).collect()
}

/// The name of the metric to which a series belongs: a histogram has three kinds of series.
fn metric_of(series: &str) -> &str {
    let ends = ["_bucket", "_sum", "_count"];
    let stem = ends.iter().find_map(|end| series.strip_suffix(end)).unwrap_or(series);
    let is_histogram =
        metrics::all().any(|metric| metric.name == stem && metric.kind == metrics::Kind::Histogram);
    if is_histogram { stem } else { series }
}

#[test]
fn the_page_is_up_to_date() {
    let expected = metrics::reference_markdown();
    if std::env::var_os(UPDATE).is_some() {
        fs::write(workspace().join("docs/metrics.md"), &expected).expect("the page can be written");
    }
    assert!(
        read("docs/metrics.md") == expected,
        "docs/metrics.md is not what the catalogue says: run `{UPDATE}=1 cargo test --release -p settle-runtime`"
    );
}

#[test]
fn the_page_has_every_metric_and_no_other() {
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.collect::<BTreeSet<_>>(), catalogue());
    assert_eq!(names_in(&page), catalogue());
}

#[test]
fn alerts_and_pages_name_metrics_of_the_catalogue() {
    for file in ["deploy/alerts/settle.rules.yaml", "docs/operations.md"] {
        let text = read(file);
        let names = names_in(&text);
        assert!(names.len() >= 10, "{file}: the names were not found");
        for name in names {
            assert!(catalogue().contains(metric_of(name)), "{file} names {name}, which is in no catalogue");
        }
    }
}

#[test]
fn every_alert_has_a_severity_a_next_step_and_a_page_that_exists() {
    let rules = read("deploy/alerts/settle.rules.yaml");
    let operations = read("docs/operations.md");
    let anchors: BTreeSet<String> = operations
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|title| format!("docs/operations.md#{}", title.to_ascii_lowercase().replace(' ', "-")))
        .collect();
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 10, "the alerts were not found");
    for alert in alerts {
        let name = alert.lines().next().unwrap_or_default();
        let value = |key: &str| {
            let start = alert.find(&format!("  {key}: ")).unwrap_or_else(|| panic!("{name} has no {key}"));
            alert[start..]
                .lines()
                .next()
                .and_then(|line| line.split_once(": "))
                .map(|(_, value)| value.trim())
        };
        for key in ["expr", "severity", "summary", "next_step"] {
            assert!(value(key).is_some_and(|value| !value.is_empty()), "{name}: {key} is empty");
        }
        let page = value("page").unwrap_or_default();
        assert!(anchors.contains(page), "{name}: {page:?} is no section of docs/operations.md");
        assert!(page.ends_with(&name.to_ascii_lowercase()), "{name}: its section has its name, not {page}");
    }
}

/// What clippy.toml bans, found without clippy: the names under which the crate `metrics` makes metrics.
#[test]
fn no_metric_is_made_outside_of_the_catalogue() {
    let makers = [
        "counter!(",
        "gauge!(",
        "histogram!(",
        "register_counter(",
        "register_gauge(",
        "register_histogram(",
    ];
    let mut searched = 0;
    let mut folders = vec![workspace().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources can be listed") {
            let path = entry.expect("a folder of sources can be listed").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let is_source = path.extension().is_some_and(|extension| extension == "rs");
            let is_allowed =
                path.ends_with("metrics/definition.rs") || path.ends_with("metrics_reference.rs");
            if !is_source || is_allowed {
                continue;
            }
            searched += 1;
            let text = fs::read_to_string(&path).expect("a source is text");
            for maker in makers {
                assert!(!text.contains(maker), "{} makes a metric by {maker}", path.display());
            }
        }
    }
    assert!(searched > 50, "the sources were not found");
    assert!(read("crates/runtime/src/metrics/definition.rs").contains("register_counter("));
}
