//! The order of a benchmark: one cluster, all contenders in turn, several times; then what else is measured; the report
//! is written after each step, so that an interrupted run leaves what it has.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use settle_test_services::kafka::Cluster;

use crate::args::{Part, RunArguments};
use crate::clock::{now, unix_seconds};
use crate::contender::{Contender, Setup};
use crate::latency::{self, Schedule};
use crate::machine::Machine;
use crate::report::{self, Audited, Results, Swept};
use crate::throughput::Throughput;
use crate::{cluster, embedded, large, restart, throughput};

/// Commit interval of the latency runs.
const LATENCY_COMMIT_MS: u64 = 10;
/// Payments of the independent audit.
const AUDITED_PAYMENTS: u64 = 20_000;
/// Commit intervals that are compared.
const COMMIT_INTERVALS_MS: [u64; 4] = [5, 20, 100, 1_000];

/// Runs everything that was asked for.
pub(crate) fn run(given: &RunArguments) -> anyhow::Result<()> {
    let mut arguments = shortened(given);
    if arguments.parts.is_empty() {
        arguments.parts = Part::ALL.to_vec();
    }
    let contenders = chosen(&arguments)?;
    let work = tempfile::Builder::new().prefix("settle-bench-").tempdir()?;
    let mut bench = Bench {
        contenders,
        results: Results::new(&arguments, Machine::look(), unix_seconds()),
        began: now(),
        arguments,
    };
    say(&format!("starting {} broker(s)", bench.arguments.brokers));
    let cluster = cluster::start(bench.arguments.brokers, &[])?;
    let setup = bench.setup(&cluster, work.path())?;
    if bench.has(Part::Throughput) || bench.has(Part::Sweeps) {
        say(&format!("writing {} requests", bench.arguments.payments));
        cluster::prepare(&setup, bench.arguments.payments, bench.arguments.seed)?;
    }
    if bench.has(Part::Throughput) {
        bench.throughput(&cluster, &setup)?;
    }
    if bench.has(Part::Sweeps) {
        bench.sweeps(&cluster, &setup)?;
    }
    if bench.has(Part::Throughput) {
        bench.audits(&cluster, &setup)?;
    }
    if bench.has(Part::Embedded) {
        bench.embedded(&setup)?;
    }
    if bench.has(Part::Latency) {
        bench.latency(&setup)?;
    }
    if bench.has(Part::Restart) {
        bench.restart(&setup)?;
    }
    if bench.has(Part::Large) {
        bench.large(&setup)?;
    }
    drop(cluster);
    if bench.has(Part::Sweeps) {
        bench.guarantees(work.path())?;
    }
    bench.save()?;
    say(&format!("report: {}", bench.arguments.out.join("report.md").display()));
    Ok(())
}

struct Bench {
    arguments: RunArguments,
    contenders: Vec<Contender>,
    results: Results,
    began: Instant,
}

impl Bench {
    fn has(&self, part: Part) -> bool {
        self.arguments.parts.contains(&part)
    }

    fn setup(&self, cluster: &Cluster, work: &Path) -> anyhow::Result<Setup> {
        let setup = Setup {
            bootstrap: cluster.bootstrap(),
            partitions: self.arguments.partitions,
            workers: self.arguments.workers,
            commit_interval_ms: self.arguments.commit_interval_ms,
            brokers: u16::try_from(cluster.brokers().len())?,
            work: work.to_owned(),
            logs: self.arguments.out.join("logs"),
            streams: self.arguments.streams.clone(),
            settings: self.arguments.settings.clone(),
        };
        std::fs::create_dir_all(&setup.logs)?;
        std::fs::write(setup.config_file(), include_str!("../settle.toml"))?;
        Ok(setup)
    }

    fn save(&mut self) -> anyhow::Result<()> {
        self.results.seconds = self.began.elapsed().as_secs();
        report::write(&self.arguments.out, &self.results)
    }

    fn throughput(&mut self, cluster: &Cluster, setup: &Setup) -> anyhow::Result<()> {
        for round in 1..=self.arguments.rounds {
            for contender in self.contenders.clone() {
                let application = format!("{}-{round}", contender.name());
                let run = throughput::run(cluster, setup, contender, self.arguments.payments, &application)
                    .with_context(|| format!("{} in round {round}", contender.title()))?;
                tell(&format!("round {round}"), &run);
                self.results.throughput.push(run);
                self.save()?;
            }
        }
        decide_alike(&self.results)
    }

    /// An independent look at fewer payments: it keeps all records in memory.
    fn audits(&mut self, cluster: &Cluster, setup: &Setup) -> anyhow::Result<()> {
        cluster::reset_all(setup)?;
        cluster::prepare(setup, AUDITED_PAYMENTS, self.arguments.seed)?;
        for contender in [Contender::SettleFull, Contender::StreamsFull] {
            if !self.contenders.contains(&contender) {
                continue;
            }
            let verdict =
                throughput::audit(cluster, setup, contender, &format!("{}-audit", contender.name()))
                    .with_context(|| format!("audit of {}", contender.title()))?;
            let violations = verdict.violations.len();
            say(&format!(
                "independent audit of {} with {} requests: {violations} violations",
                contender.title(),
                verdict.report.requests
            ));
            std::fs::write(setup.logs.join(format!("{}-audit.txt", contender.name())), verdict.to_string())?;
            self.results.audits.push(Audited { contender, requests: verdict.report.requests, violations });
            self.save()?;
            ensure!(violations == 0 || contender != Contender::SettleFull, "the audit found:\n{verdict}");
        }
        Ok(())
    }

    /// One setting at a time, each beside a run with the usual ones.
    fn sweeps(&mut self, cluster: &Cluster, setup: &Setup) -> anyhow::Result<()> {
        for commit_interval_ms in COMMIT_INTERVALS_MS {
            let changed = Setup { commit_interval_ms, ..setup.clone() };
            self.swept(
                cluster,
                &changed,
                Contender::SettleFull,
                "commit interval, ms",
                &commit_interval_ms.to_string(),
            )?;
        }
        for workers in [1, 2, 4] {
            let changed = Setup { workers, ..setup.clone() };
            self.swept(cluster, &changed, Contender::SettleAuthorize, "workers", &workers.to_string())?;
        }
        Ok(())
    }

    fn swept(
        &mut self,
        cluster: &Cluster,
        setup: &Setup,
        contender: Contender,
        setting: &str,
        value: &str,
    ) -> anyhow::Result<()> {
        let number = self.results.sweeps.len();
        let application = format!("{}-sweep-{number}", contender.name());
        let run = throughput::run(cluster, setup, contender, self.arguments.payments, &application)
            .with_context(|| format!("{} with {setting} {value}", contender.title()))?;
        tell(&format!("{setting} {value}"), &run);
        self.results.sweeps.push(Swept { setting: setting.to_owned(), value: value.to_owned(), run });
        self.save()
    }

    /// What stronger guarantees cost: copies, and disks that have the records before they are acknowledged.
    fn guarantees(&mut self, work: &Path) -> anyhow::Result<()> {
        let flushed: &[(&str, &str)] = &[("log.flush.interval.messages", "1")];
        for (value, brokers, settings) in [
            ("1 broker", 1, &[][..]),
            ("1 broker, fsync before each acknowledgement", 1, flushed),
            ("3 brokers, 2 in sync", 3, &[][..]),
            ("3 brokers, 2 in sync, fsync before each acknowledgement", 3, flushed),
        ] {
            let cluster = cluster::start(brokers, settings)?;
            let setup = self.setup(&cluster, work)?;
            cluster::prepare(&setup, self.arguments.payments, self.arguments.seed)?;
            self.swept(&cluster, &setup, Contender::SettleFull, "guarantees", value)?;
        }
        Ok(())
    }

    fn embedded(&mut self, setup: &Setup) -> anyhow::Result<()> {
        for round in 1..=self.arguments.rounds {
            let run = embedded::run(setup, self.arguments.payments, 4, self.arguments.seed)?;
            say(&format!(
                "round {round}: Settle embedded {:.0} payments/s, CPU s/million {:.2}, {:.0} MiB",
                run.payments_per_second, run.cpu_per_million, run.peak_rss_mib
            ));
            self.results.embedded.push(run);
            self.save()?;
        }
        Ok(())
    }

    fn latency(&mut self, setup: &Setup) -> anyhow::Result<()> {
        let fast = Setup { commit_interval_ms: LATENCY_COMMIT_MS, ..setup.clone() };
        for round in 1..=self.arguments.rounds {
            for contender in self.contenders.clone() {
                for rate in [self.arguments.rate / 5, self.arguments.rate] {
                    self.latency_at(&fast, contender, rate, round)?;
                }
            }
        }
        Ok(())
    }

    /// Of those that write a ledger.
    fn latency_at(
        &mut self,
        setup: &Setup,
        contender: Contender,
        rate: u32,
        round: u32,
    ) -> anyhow::Result<()> {
        // A Java program compiles itself for longer.
        let warm_up = match contender {
            Contender::SettleFull => Duration::from_secs(5),
            Contender::StreamsFull => Duration::from_secs(20),
            _ => return Ok(()),
        };
        let measured = Duration::from_secs(self.arguments.latency_seconds);
        let schedule = Schedule { rate, warm_up, measured };
        let what = format!("round {round}: latency of {} at {rate} requests/s", contender.title());
        let run = latency::run(setup, contender, schedule, round, self.arguments.seed);
        let Some(run) = self.kept(&what, run)? else { return Ok(()) };
        say(&format!(
            "{what}, commits every {LATENCY_COMMIT_MS} ms: p50 {:.1} p99 {:.1} p99.9 {:.1} p99.99 {:.1} max {:.1} ms, {:.2} cores, {} payments",
            run.p50, run.p99, run.p999, run.p9999, run.max, run.client_cores, run.payments
        ));
        self.results.latency.push(run);
        self.save()
    }

    /// A measurement that failed is reported, and the others go on.
    fn kept<T>(&mut self, what: &str, outcome: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        match outcome {
            Ok(run) => Ok(Some(run)),
            Err(error) => {
                let failure = format!(
                    "{what}: {}",
                    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
                );
                say(&failure);
                self.results.failures.push(failure);
                self.save()?;
                Ok(None)
            }
        }
    }

    fn large(&mut self, setup: &Setup) -> anyhow::Result<()> {
        for keys in self.arguments.large_keys.clone() {
            let run = large::run(setup, keys, &self.arguments);
            let Some(run) = self.kept(&format!("{keys} keys"), run)? else { continue };
            self.results.large.push(run);
            self.save()?;
        }
        Ok(())
    }

    fn restart(&mut self, setup: &Setup) -> anyhow::Result<()> {
        for contender in [Contender::SettleAuthorize, Contender::StreamsAuthorize] {
            if !self.contenders.contains(&contender) {
                continue;
            }
            let keys = self.arguments.restart_keys;
            cluster::reset_all(setup)?;
            cluster::prepare(setup, keys, self.arguments.seed)?;
            let run = restart::run(setup, contender, keys, self.arguments.rounds, self.arguments.seed);
            let Some(run) = self.kept(&format!("restart of {}", contender.title()), run)? else { continue };
            say(&format!(
                "restart of {} with {keys} keys: {:.2?} s, on an empty machine {:.2} s",
                contender.title(),
                run.after_kill.iter().map(|one| one.first_seconds).collect::<Vec<_>>(),
                run.empty_machine.first_seconds
            ));
            self.results.restart.push(run);
            self.save()?;
        }
        Ok(())
    }
}

/// What a short look leaves out.
fn shortened(given: &RunArguments) -> RunArguments {
    let mut arguments = given.clone();
    if arguments.quick {
        arguments.payments = arguments.payments.min(200_000);
        arguments.restart_keys = arguments.restart_keys.min(200_000);
        arguments.rounds = arguments.rounds.min(1);
        arguments.latency_seconds = arguments.latency_seconds.min(10);
        if arguments.parts.is_empty() {
            arguments.parts = vec![Part::Throughput, Part::Embedded, Part::Latency];
        }
    }
    arguments
}

fn chosen(arguments: &RunArguments) -> anyhow::Result<Vec<Contender>> {
    for name in &arguments.only {
        ensure!(
            Contender::ALL.iter().any(|contender| contender.name() == name),
            "no contender is called {name}; there are {:?}",
            Contender::ALL.map(Contender::name)
        );
    }
    let is_chosen = |contender: &Contender| {
        arguments.only.is_empty() || arguments.only.iter().any(|name| name == contender.name())
    };
    Ok(Contender::ALL.into_iter().filter(is_chosen).collect())
}

/// Contenders with the same rules on the same requests have to decide the same: otherwise they are no peers.
fn decide_alike(results: &Results) -> anyhow::Result<()> {
    let judged: Vec<_> =
        results.throughput.iter().filter_map(|run| Some((run.contender, run.verdict.as_ref()?))).collect();
    for (contender, verdict) in &judged {
        let (first, expected) = judged[0];
        if verdict.outcomes != expected.outcomes {
            bail!(
                "{} and {} decide differently: {:?} and {:?}",
                first.title(),
                contender.title(),
                expected.outcomes,
                verdict.outcomes
            );
        }
    }
    Ok(())
}

fn tell(what: &str, run: &Throughput) {
    say(&format!(
        "{what}: {:<28} {:>9.0} payments/s, CPU s/million {:>6.2} client {:>6.2} broker, {:>5.0} MiB, first commit {:.1} s, {:.1} s in all",
        run.contender.title(),
        run.payments_per_second,
        run.client_cpu_per_million,
        run.broker_cpu_per_million,
        run.peak_rss_mib,
        run.first_commit_seconds,
        run.whole_seconds,
    ));
}

/// Tells what goes on: a benchmark takes long.
pub(crate) fn say(text: &str) {
    eprintln!("bench: {text}");
}
