//! The report for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Results;
use crate::contender::Contender;
use crate::embedded::Embedded;
use crate::latency::Latency;
use crate::recovery::Recovery;
use crate::stats::{Spread, TAIL, WARM_UP};
use crate::throughput::Throughput;

/// The whole report.
pub(super) fn text(results: &Results) -> String {
    let mut text = String::new();
    head(&mut text, results);
    throughput(&mut text, results);
    audits(&mut text, results);
    embedded(&mut text, results);
    latency(&mut text, results);
    restart(&mut text, results);
    large(&mut text, results);
    sweeps(&mut text, results);
    targets(&mut text, results);
    failures(&mut text, results);
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
    if !results.settings.is_empty() {
        line(text, &format!("| settings of Settle | {} |", results.settings.join(", ")));
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

fn audits(text: &mut String, results: &Results) {
    for audited in &results.audits {
        line(
            text,
            &format!(
                "\nThe judge of `tests/services`, which shares no code with either, on {} requests of {}: {} violations.",
                audited.requests,
                audited.contender.title(),
                audited.violations
            ),
        );
    }
}

fn embedded(text: &mut String, results: &Results) {
    let spread = |figure: fn(&Embedded) -> f64| Spread::of(results.embedded.iter().map(figure));
    let (Some(rate), Some(cpu), Some(memory)) = (
        spread(|run| run.payments_per_second),
        spread(|run| run.cpu_per_million),
        spread(|run| run.peak_rss_mib),
    ) else {
        return;
    };
    line(text, "\n## Settle on its embedded log\n");
    line(
        text,
        &format!(
            "Both stages, one worker each, every commit synced to disk, from the start of the process to its end: \
             {} payments/s, {} CPU s per million, {} MiB.",
            shown(&rate, 0),
            shown(&cpu, 2),
            shown(&memory, 0)
        ),
    );
}

fn latency(text: &mut String, results: &Results) {
    if results.latency.is_empty() {
        return;
    }
    line(text, "\n## Latency\n");
    line(
        text,
        "From the moment at which a request was due to the moment at which a reader of committed records has its ledger transaction, ms.\n",
    );
    line(
        text,
        "| contender | requests/s | commit interval, ms | p50 | p99 | p99.9 | p99.99 | max | cores used |",
    );
    line(text, "|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut measured: BTreeMap<_, Vec<&Latency>> = BTreeMap::new();
    for run in &results.latency {
        let of_one = (run.contender.title(), run.rate, run.commit_interval_ms);
        measured.entry(of_one).or_default().push(run);
    }
    for ((title, rate, interval_ms), runs) in measured {
        let of = |figure: fn(&Latency) -> f64, digits| {
            let spread = Spread::of(runs.iter().map(|run| figure(run)));
            spread.map_or_else(String::new, |spread| shown(&spread, digits))
        };
        let figures = [
            of(|run| run.p50, 1),
            of(|run| run.p99, 1),
            of(|run| run.p999, 1),
            of(|run| run.p9999, 1),
            of(|run| run.max, 1),
            of(|run| run.client_cores, 2),
        ];
        line(text, &format!("| {title} | {rate} | {interval_ms} | {} |", figures.join(" | ")));
    }
}

fn restart(text: &mut String, results: &Results) {
    if results.restart.is_empty() && results.large.is_empty() {
        return;
    }
    line(text, "\n## Restart\n");
    line(
        text,
        "Seconds from the start of a process after `kill -9` to its first committed decision, and until each partition had one, while requests go on coming; with its state on disk, and with nothing on disk.\n",
    );
    line(text, "| contender | keys | start | first | all partitions |\n|---|--:|---|--:|--:|");
    for run in &results.restart {
        let (who, keys) = (run.contender.title(), run.keys);
        recovery(text, who, keys, "state on disk", &run.after_kill);
        recovery(text, who, keys, "nothing on disk", &[run.empty_machine]);
    }
    for run in &results.large {
        let (who, keys) = (Contender::SettleAuthorize.title(), run.keys);
        recovery(text, who, keys, "state on disk", &run.after_kill);
        recovery(text, who, keys, "state on disk, group of KIP-848", &[run.after_kill_kip_848]);
        recovery(text, who, keys, "nothing on disk", &[run.empty_machine]);
        if let Some(start) = run.empty_machine_with_snapshots {
            recovery(text, who, keys, "nothing on disk, snapshots", &[start]);
        }
    }
}

fn recovery(text: &mut String, who: &str, keys: u64, how: &str, measured: &[Recovery]) {
    let cell = |figure: fn(&Recovery) -> f64| {
        Spread::of(measured.iter().map(figure)).map_or_else(String::new, |spread| shown(&spread, 2))
    };
    let (first, all) = (cell(|one| one.first_seconds), cell(|one| one.all_seconds));
    line(text, &format!("| {who} | {keys} | {how} | {first} | {all} |"));
}

fn large(text: &mut String, results: &Results) {
    if results.large.is_empty() {
        return;
    }
    line(text, "\n## Many keys\n");
    line(
        text,
        "Settle, AUTHORIZE: a journal of so many decisions is written, replayed by a process with nothing on disk, and worked on.\n",
    );
    line(
        text,
        "| keys | replay, events/s | of each core, events/s | then payments/s | client CPU s per million | peak RSS, MiB |",
    );
    line(text, "|--:|--:|--:|--:|--:|--:|");
    for run in &results.large {
        line(
            text,
            &format!(
                "| {} | {:.0} | {:.0} | {:.0} | {:.2} | {:.0} |",
                run.keys,
                run.replayed_per_second,
                run.replayed_per_cpu_second,
                run.payments_per_second,
                run.client_cpu_per_million,
                run.peak_rss_mib
            ),
        );
    }
}

fn failures(text: &mut String, results: &Results) {
    if results.failures.is_empty() {
        return;
    }
    line(text, "\n## Not measured\n");
    for failure in &results.failures {
        line(text, &format!("- {}", failure.replace('\n', " ")));
    }
}

fn sweeps(text: &mut String, results: &Results) {
    if results.sweeps.is_empty() {
        return;
    }
    line(text, "\n## One setting changed\n");
    line(
        text,
        "| contender | setting | value | payments/s | client CPU s per million | peak RSS, MiB |\n|---|---|--:|--:|--:|--:|",
    );
    for swept in &results.sweeps {
        let run = &swept.run;
        line(
            text,
            &format!(
                "| {} | {} | {} | {:.0} | {:.2} | {:.0} |",
                run.contender.title(),
                swept.setting,
                swept.value,
                run.payments_per_second,
                run.client_cpu_per_million,
                run.peak_rss_mib
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
    let latency_target = |name, wanted, figure: fn(&Latency) -> f64, is_met| Target {
        name,
        wanted,
        found: Spread::of(
            results
                .latency
                .iter()
                .filter(|run| {
                    run.contender == SettleFull && run.rate == 10_000 && run.commit_interval_ms == 10
                })
                .map(figure),
        ),
        is_met,
    };
    let mut targets = Vec::from(targets);
    targets.push(latency_target(
        "10,000 payments/s, commits every 10 ms: p99, ms",
        "< 50",
        |run| run.p99,
        |found| found < 50.0,
    ));
    targets.push(latency_target("the same: p99.99, ms", "< 150", |run| run.p9999, |found| found < 150.0));
    targets.push(Target {
        name: "restart after kill -9, s",
        wanted: "< 1",
        found: Spread::of(
            results
                .restart
                .iter()
                .filter(|run| run.contender == SettleAuthorize)
                .flat_map(|run| run.after_kill.iter().map(|one| one.first_seconds))
                .chain(
                    results.large.iter().flat_map(|run| run.after_kill.iter().map(|one| one.first_seconds)),
                ),
        ),
        is_met: |found| found < 1.0,
    });
    targets.push(Target {
        name: "journal replay, events/s for each core",
        wanted: "≥ 1,000,000",
        found: Spread::of(results.large.iter().map(|run| run.replayed_per_cpu_second)),
        is_met: |found| found >= 1_000_000.0,
    });
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
