//! The report: JSON with every run, Markdown with medians and ratios, plots.

mod markdown;
mod svg;

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::args::RunArguments;
use crate::contender::Contender;
use crate::embedded::Embedded;
use crate::large::Large;
use crate::latency::Latency;
use crate::machine::Machine;
use crate::restart::Restart;
use crate::stats::Spread;
use crate::throughput::Throughput;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// Where.
    pub(crate) machine: Machine,
    /// When it began, seconds since 1970.
    pub(crate) at: u64,
    /// How long it took.
    pub(crate) seconds: u64,
    /// Requests of a throughput run.
    pub(crate) payments: u64,
    /// Partitions of every topic.
    pub(crate) partitions: u32,
    /// Workers for each stage.
    pub(crate) workers: u32,
    /// Commit interval of all.
    pub(crate) commit_interval_ms: u64,
    /// Brokers.
    pub(crate) brokers: u16,
    /// Settings of Settle that were not those of `bench/settle.toml`.
    #[serde(default)]
    pub(crate) settings: Vec<String>,
    /// Runs as fast as they can.
    pub(crate) throughput: Vec<Throughput>,
    /// Settle on its embedded log.
    pub(crate) embedded: Vec<Embedded>,
    /// One setting changed at a time.
    pub(crate) sweeps: Vec<Swept>,
    /// At a fixed rate.
    pub(crate) latency: Vec<Latency>,
    /// After `kill -9`.
    pub(crate) restart: Vec<Restart>,
    /// With many keys.
    pub(crate) large: Vec<Large>,
    /// What an independent judge found.
    pub(crate) audits: Vec<Audited>,
    /// What could not be measured, and why.
    pub(crate) failures: Vec<String>,
}

/// What the judge of `tests/services` found in a smaller run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Audited {
    /// Whose records.
    pub(crate) contender: Contender,
    /// Requests.
    pub(crate) requests: usize,
    /// Violations of invariants of Settle.
    pub(crate) violations: usize,
}

/// A run with one setting changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Swept {
    /// What was changed.
    pub(crate) setting: String,
    /// To what.
    pub(crate) value: String,
    /// What came of it.
    pub(crate) run: Throughput,
}

impl Results {
    /// Nothing is measured yet.
    pub(crate) fn new(arguments: &RunArguments, machine: Machine, at: u64) -> Self {
        Self {
            machine,
            at,
            seconds: 0,
            payments: arguments.payments,
            partitions: arguments.partitions,
            workers: arguments.workers,
            commit_interval_ms: arguments.commit_interval_ms,
            brokers: arguments.brokers,
            settings: arguments.settings.clone(),
            throughput: Vec::new(),
            embedded: Vec::new(),
            sweeps: Vec::new(),
            latency: Vec::new(),
            restart: Vec::new(),
            large: Vec::new(),
            audits: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// A figure of all runs of a contender.
    pub(crate) fn spread(&self, contender: Contender, figure: impl Fn(&Throughput) -> f64) -> Option<Spread> {
        Spread::of(self.throughput.iter().filter(|run| run.contender == contender).map(figure))
    }

    /// Ratio of a figure of two contenders, within each round: what slows the machine down slows both.
    pub(crate) fn ratio(
        &self,
        upper: Contender,
        lower: Contender,
        figure: impl Fn(&Throughput) -> f64,
    ) -> Option<Spread> {
        let of = |contender: Contender| {
            let runs = self.throughput.iter().filter(move |run| run.contender == contender);
            runs.map(&figure).collect::<Vec<f64>>()
        };
        Spread::of(of(upper).into_iter().zip(of(lower)).map(|(upper, lower)| upper / lower))
    }
}

/// Writes the report into a folder.
pub(crate) fn write(folder: &Path, results: &Results) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    write("results.json", &serde_json::to_string_pretty(results)?)?;
    write("report.md", &markdown::text(results))?;
    for (name, text) in svg::plots(results) {
        write(&name, &text)?;
    }
    Ok(())
}
