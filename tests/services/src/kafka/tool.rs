//! Kafka's own command-line tools, by the names that they have in its `bin` folder.

use std::process::Command;

use super::class_archive;
use crate::{Error, Installed, Result, command};

/// Tools and the classes that are their programs.
const TOOLS: [(&str, &str); 19] = [
    ("kafka-acls", "org.apache.kafka.tools.AclCommand"),
    ("kafka-broker-api-versions", "org.apache.kafka.tools.BrokerApiVersionsCommand"),
    ("kafka-configs", "kafka.admin.ConfigCommand"),
    ("kafka-console-consumer", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
    ("kafka-console-producer", "org.apache.kafka.tools.ConsoleProducer"),
    ("kafka-consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
    ("kafka-consumer-perf-test", "org.apache.kafka.tools.ConsumerPerformance"),
    ("kafka-delete-records", "org.apache.kafka.tools.DeleteRecordsCommand"),
    ("kafka-dump-log", "org.apache.kafka.tools.DumpLogSegments"),
    ("kafka-features", "org.apache.kafka.tools.FeatureCommand"),
    ("kafka-get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
    ("kafka-groups", "org.apache.kafka.tools.GroupsCommand"),
    ("kafka-leader-election", "org.apache.kafka.tools.LeaderElectionCommand"),
    ("kafka-metadata-quorum", "org.apache.kafka.tools.MetadataQuorumCommand"),
    ("kafka-producer-perf-test", "org.apache.kafka.tools.ProducerPerformance"),
    ("kafka-reassign-partitions", "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"),
    ("kafka-storage", "kafka.tools.StorageTool"),
    ("kafka-topics", "org.apache.kafka.tools.TopicCommand"),
    ("kafka-transactions", "org.apache.kafka.tools.TransactionsCommand"),
];

/// What a tool wrote.
#[derive(Clone, Debug)]
pub struct ToolOutput {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a tool, as in `tool(&installed, "kafka-topics", &["--list", "--bootstrap-server", ...])`.
///
/// An error if it ends with another code than 0, or not within two minutes. The class path has Apicurio's
/// Avro serializers, for `kafka-console-producer` and `kafka-console-consumer`.
pub fn tool(installed: &Installed, name: &str, arguments: &[&str]) -> Result<ToolOutput> {
    tool_with_input(installed, name, arguments, "")
}

/// [`tool`] with text for its standard input.
pub fn tool_with_input(
    installed: &Installed,
    name: &str,
    arguments: &[&str],
    input: &str,
) -> Result<ToolOutput> {
    run(installed, &class_archive(installed)?, name, arguments, input)
}

/// A tool, with more flags for Java.
pub(super) fn run(
    installed: &Installed,
    flags: &[String],
    name: &str,
    arguments: &[&str],
    input: &str,
) -> Result<ToolOutput> {
    let Some((_, class)) = TOOLS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = TOOLS.iter().map(|(known, _)| *known).collect();
        return Err(Error::Options { detail: format!("no tool '{name}'; there are {}", known.join(", ")) });
    };
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--", "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .arg("-XX:-UsePerfData")
        .args(flags)
        .arg(format!("-Dlog4j2.configurationFile={}", installed.file("log4j2.xml").display()))
        .args(["-cp", &installed.kafka_class_path(), class])
        .args(arguments);
    let output = command::run(command, name, input.as_bytes().to_vec())?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(ToolOutput { stdout, stderr: output.stderr })
}
