//! The report for people.

use std::fmt::Write as _;

use super::Results;
use crate::contender::Contender;
use crate::stats::{Spread, TAIL, WARM_UP};
use crate::throughput::Throughput;

/// The whole report.
pub(super) fn text(results: &Results) -> String {
    let mut text = String::new();
    head(&mut text, results);
    throughput(&mut text, results);
    targets(&mut text, results);
    text
}

fn head(text: &mut String, results: &Results) {
    let machine = &results.machine;
    line(text, "# Benchmark\n");
    line(text, "| | |\n|---|---|");
    for (name, value) in [
        (
            "machine",
            format!(
                "{}, {} cores, {} GiB, Linux {}",
                machine.cpu, machine.cores, machine.memory_gib, machine.kernel
            ),
        ),
        ("load of the machine before it began", machine.load_before.clone()),
        ("Settle", format!("{} ({}), librdkafka {}", machine.settle, machine.commit, machine.librdkafka)),
        ("Kafka", format!("{}; {} broker(s) on the same cores", machine.kafka, results.brokers)),
        ("Java", machine.java.clone()),
        (
            "each run",
            format!(
                "{} payments, {} partitions, {} workers for each stage, commits every {} ms, acks=all, lz4",
                results.payments, results.partitions, results.workers, results.commit_interval_ms
            ),
        ),
        ("time", format!("{} s in all", results.seconds)),
    ] {
        line(text, &format!("| {name} | {value} |"));
    }
}

fn throughput(text: &mut String, results: &Results) {
    if results.throughput.is_empty() {
        return;
    }
    line(text, "\n## Throughput\n");
    let (warm_up, tail) = (WARM_UP * 100.0, TAIL * 100.0);
    line(
        text,
        &format!(
            "Median of the rounds (lowest to highest). The first {warm_up:.0} % and what is behind {tail:.0} % of each run are left out; \
             every run passed the gate.\n"
        ),
    );
    line(
        text,
        "| contender | payments/s | client CPU s per million | broker CPU s per million | peak RSS, MiB | start to first commit, s |",
    );
    line(text, "|---|--:|--:|--:|--:|--:|");
    for contender in Contender::ALL {
        let Some(rate) = results.spread(contender, |run| run.payments_per_second) else { continue };
        let cell = |figure: fn(&Throughput) -> f64, digits: usize| {
            results.spread(contender, figure).map_or_else(String::new, |spread| shown(&spread, digits))
        };
        line(
            text,
            &format!(
                "| {} | {} | {} | {} | {} | {} |",
                contender.title(),
                shown(&rate, 0),
                cell(|run| run.client_cpu_per_million, 2),
                cell(|run| run.broker_cpu_per_million, 2),
                cell(|run| run.peak_rss_mib, 0),
                cell(|run| run.first_commit_seconds, 1),
            ),
        );
    }
}

/// A line of the table of targets.
struct Target {
    name: &'static str,
    wanted: &'static str,
    found: Option<Spread>,
    is_met: fn(f64) -> bool,
}

fn targets(text: &mut String, results: &Results) {
    use Contender::{Echo, Null, SettleAuthorize, SettleFull, StreamsAuthorize, StreamsFull};
    let rate = |run: &Throughput| run.payments_per_second;
    let cpu = |run: &Throughput| run.client_cpu_per_million;
    let memory = |run: &Throughput| run.peak_rss_mib;
    let targets = [
        Target {
            name: "AUTHORIZE, throughput against Kafka Streams",
            wanted: "≥ 3",
            found: results.ratio(SettleAuthorize, StreamsAuthorize, rate),
            is_met: |found| found >= 3.0,
        },
        Target {
            name: "AUTHORIZE, client CPU against Kafka Streams",
            wanted: "≤ 1/6 (0.167)",
            found: results.ratio(SettleAuthorize, StreamsAuthorize, cpu),
            is_met: |found| found <= 1.0 / 6.0,
        },
        Target {
            name: "AUTHORIZE, client CPU against bare echo",
            wanted: "≤ 3",
            found: results.ratio(SettleAuthorize, Echo, cpu),
            is_met: |found| found <= 3.0,
        },
        Target {
            name: "AUTHORIZE, peak RSS against Kafka Streams",
            wanted: "≤ 1/5 (0.2)",
            found: results.ratio(SettleAuthorize, StreamsAuthorize, memory),
            is_met: |found| found <= 0.2,
        },
        Target {
            name: "both stages, peak RSS against Kafka Streams",
            wanted: "≤ 1/5 (0.2)",
            found: results.ratio(SettleFull, StreamsFull, memory),
            is_met: |found| found <= 0.2,
        },
        Target {
            name: "both stages, throughput against the null pipeline",
            wanted: "≥ 0.7",
            found: results.ratio(SettleFull, Null, rate),
            is_met: |found| found >= 0.7,
        },
        Target {
            name: "both stages, throughput against Kafka Streams",
            wanted: "≥ 4",
            found: results.ratio(SettleFull, StreamsFull, rate),
            is_met: |found| found >= 4.0,
        },
    ];
    line(text, "\n## Targets\n");
    line(text, "Ratios are formed within each round; the median of the rounds counts.\n");
    line(text, "| measure | target | found | |\n|---|--:|--:|---|");
    for target in targets {
        let Some(found) = target.found else { continue };
        let verdict = if (target.is_met)(found.median) { "met" } else { "**missed**" };
        line(text, &format!("| {} | {} | {} | {verdict} |", target.name, target.wanted, shown(&found, 3)));
    }
}

fn shown(spread: &Spread, digits: usize) -> String {
    let Spread { median, low, high } = spread;
    if (high - low).abs() < f64::EPSILON {
        return format!("{median:.digits$}");
    }
    format!("{median:.digits$} ({low:.digits$}–{high:.digits$})")
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("a string can be written");
}
