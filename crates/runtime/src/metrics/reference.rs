//! The page docs/metrics.md, made from the catalogue.

use std::fmt::Write as _;

use super::{Kind, SECTIONS, buckets};

const INTRODUCTION: &str = "\
# Metrics

This page is generated from the catalogue in `crates/runtime/src/metrics.rs`. Do not edit it: change the catalogue, then
run the tests with `SETTLE_UPDATE_REFERENCE=1`.

`GET /metrics` gives them in the text format of Prometheus, where `http.listen` is set. Which of them matter when
something is wrong: [operations.md](operations.md); alerts: `deploy/alerts/settle.rules.yaml`.

- `stage` is `authorize` or `settle`, `worker` the number of the worker in its process and stage, `partition` that of the
  stage's primary topic.
- Metrics of a partition come from the process that owns it. Another that has owned it before shows 0.
- A metric appears when it first has a value: one about snapshots never does where there are none.
- Counters begin at 0 with the process; use `rate` or `increase`.
";

/// Markdown with every metric: name, type, unit, labels and meaning.
pub fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in SECTIONS {
        writeln!(page, "\n## {}\n", section.title).expect("writing to text does not fail");
        page.push_str("| name | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
        for metric in section.metrics {
            let labels =
                metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            let (name, kind, unit, help) =
                (metric.name, metric.kind.as_str(), metric.unit.as_str(), metric.help());
            writeln!(page, "| `{name}` | {kind} | {unit} | {labels} | {help} |")
                .expect("writing to text does not fail");
        }
        for metric in section.metrics.iter().filter(|metric| metric.kind == Kind::Histogram) {
            let bounds = buckets(metric).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            writeln!(page, "\nBuckets of `{}`: {bounds}.", metric.name)
                .expect("writing to text does not fail");
        }
    }
    page
}
