//! The order of a benchmark: one cluster, all contenders in turn, several times, then the report.

use anyhow::{Context, bail, ensure};

use crate::args::RunArguments;
use crate::clock::{now, unix_seconds};
use crate::contender::{Contender, Setup};
use crate::machine::Machine;
use crate::report::{self, Results};
use crate::{cluster, throughput};

/// Runs everything that was asked for.
pub(crate) fn run(given: &RunArguments) -> anyhow::Result<()> {
    let arguments = shortened(given);
    let contenders = chosen(&arguments)?;
    let work = tempfile::Builder::new().prefix("settle-bench-").tempdir()?;
    let mut results = Results::new(&arguments, Machine::look(), unix_seconds());
    let began = now();
    say(&format!("starting {} broker(s)", arguments.brokers));
    let cluster = cluster::start(arguments.brokers)?;
    let setup = Setup {
        bootstrap: cluster.bootstrap(),
        partitions: arguments.partitions,
        workers: arguments.workers,
        commit_interval_ms: arguments.commit_interval_ms,
        brokers: arguments.brokers,
        work: work.path().to_owned(),
        logs: arguments.out.join("logs"),
        streams: arguments.streams.clone(),
    };
    std::fs::create_dir_all(&setup.logs)?;
    std::fs::write(setup.config_file(), include_str!("../settle.toml"))?;
    say(&format!("writing {} requests", arguments.payments));
    cluster::prepare(&setup, arguments.payments, arguments.seed)?;
    for round in 1..=arguments.rounds {
        for contender in &contenders {
            let application = format!("{}-{round}", contender.name());
            let run = throughput::run(&cluster, &setup, *contender, arguments.payments, &application)
                .with_context(|| format!("{} in round {round}", contender.title()))?;
            say(&format!(
                "round {round}: {:<28} {:>9.0} payments/s, CPU s/million {:>6.2} client {:>6.2} broker, {:>5.0} MiB, first commit {:.1} s",
                contender.title(),
                run.payments_per_second,
                run.client_cpu_per_million,
                run.broker_cpu_per_million,
                run.peak_rss_mib,
                run.first_commit_seconds,
            ));
            results.throughput.push(run);
            results.seconds = began.elapsed().as_secs();
            report::write(&arguments.out, &results)?;
        }
    }
    decide_alike(&results)?;
    report::write(&arguments.out, &results)?;
    say(&format!("report: {}", arguments.out.join("report.md").display()));
    Ok(())
}

/// What a short look leaves out.
fn shortened(given: &RunArguments) -> RunArguments {
    let mut arguments = given.clone();
    if arguments.quick {
        arguments.payments = arguments.payments.min(200_000);
        arguments.rounds = arguments.rounds.min(1);
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

/// Tells what goes on: a benchmark takes long.
pub(crate) fn say(text: &str) {
    eprintln!("bench: {text}");
}
