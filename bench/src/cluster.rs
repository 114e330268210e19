//! The brokers of a benchmark, and the topics as every contender finds them.

use std::process::Command;

use anyhow::{Context, ensure};
use settle_test_services::kafka::{Cluster, Jvm, Options};
use settle_types::topic;

use crate::contender::Setup;
use crate::process::cpu_seconds;
use crate::{kafka, load};

/// Brokers that run as they would for production on so small a machine: both compilers, a heap of 1 GB. What a test
/// shortens so that it need not wait (session times, looks at old transactions) is set back to Kafka's defaults where it
/// costs time.
pub(crate) fn start(brokers: u16, settings: &[(&str, &str)]) -> anyhow::Result<Cluster> {
    let mut options = Options { brokers, jvm: Jvm::LongRun, ..Options::default() }
        .with("num.network.threads", "3")
        .with("num.io.threads", "8")
        .with("transaction.abort.timed.out.transaction.cleanup.interval.ms", "10000")
        // Otherwise the group's coordinator keeps each commit of positions back for some milliseconds.
        .with("group.coordinator.append.linger.ms", "0")
        // Old outputs make room for new ones.
        .with("log.segment.delete.delay.ms", "1000")
        .with("file.delete.delay.ms", "1000")
        // Kafka Streams makes its own topics, with the same number of copies.
        .with("log.segment.bytes", "268435456");
    for (name, value) in settings {
        options = options.with(name, value);
    }
    Cluster::start(options).context("start Kafka")
}

/// CPU seconds of all brokers so far.
pub(crate) fn brokers_cpu(cluster: &Cluster) -> f64 {
    let ids = cluster.brokers().iter().filter_map(|broker| broker.process_id().ok());
    ids.filter_map(cpu_seconds).sum()
}

/// Runs a command of Settle to its end.
pub(crate) fn run_to_end(mut command: Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?} failed ({}):\n{said}", output.status);
    Ok(said)
}

/// Makes the topics and writes the requests.
pub(crate) fn prepare(setup: &Setup, payments: u64, seed: u64) -> anyhow::Result<()> {
    create_topics(setup)?;
    load::to_kafka(&setup.bootstrap, payments, seed, setup.partitions)?;
    Ok(())
}

/// Makes the topics that are missing, as an operator would.
pub(crate) fn create_topics(setup: &Setup) -> anyhow::Result<()> {
    run_to_end(setup.settle(&["topics", "create"], "bench-topics")?)?;
    Ok(())
}

/// Empties all topics but the requests: each contender begins with the same.
pub(crate) fn reset(setup: &Setup) -> anyhow::Result<()> {
    let written: Vec<String> =
        kafka::topics(&setup.bootstrap)?.into_iter().filter(|name| name != topic::REQUESTED).collect();
    kafka::delete_topics(&setup.bootstrap, &written)?;
    create_topics(setup)
}

/// Empties all topics, the requests as well.
pub(crate) fn reset_all(setup: &Setup) -> anyhow::Result<()> {
    kafka::delete_topics(&setup.bootstrap, &kafka::topics(&setup.bootstrap)?)?;
    create_topics(setup)
}
