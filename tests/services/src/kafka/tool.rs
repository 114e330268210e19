//! Kafka's own command-line tools, by the names that they have in its `bin` folder.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use super::class_archive;
use crate::{Error, Installed, Result, wait};

/// Longest time that a tool may take.
const PATIENCE: Duration = Duration::from_secs(120);

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
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .arg("-XX:-UsePerfData")
        .args(flags)
        .arg(format!("-Dlog4j2.configurationFile={}", installed.file("log4j2.xml").display()))
        .args(["-cp", &installed.kafka_class_path(), class])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::io(format!("run {name} with setpriv and java")))?;
    let mut stdin = child.stdin.take();
    let input = input.to_owned();
    // A tool that ends without reading all of it is judged by its status, not by the broken pipe.
    let writer = thread::spawn(move || stdin.as_mut().map(|pipe| pipe.write_all(input.as_bytes())));
    let output = output_within(child, name)?;
    let _ = writer.join();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(ToolOutput { stdout, stderr });
    }
    Err(Error::Tool { tool: name.to_owned(), status: output.status.to_string(), stdout, stderr })
}

/// Waits for the end of a tool while two threads empty its pipes.
fn output_within(mut child: Child, name: &str) -> Result<Output> {
    let stdout = child.stdout.take().map(read_in_background);
    let stderr = child.stderr.take().map(read_in_background);
    let ended = wait::until(PATIENCE, || {
        let status = child.try_wait().map_err(Error::io(format!("wait for the end of {name}")))?;
        Ok::<_, Error>(status.ok_or_else(String::new))
    })?;
    if ended.is_err() {
        child.kill().map_err(Error::io(format!("kill {name}")))?;
        child.wait().map_err(Error::io(format!("wait for the end of {name}")))?;
    }
    let text = |reader: Option<thread::JoinHandle<Vec<u8>>>| {
        reader.map(|reader| reader.join().expect("a reader does not panic")).unwrap_or_default()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    match ended {
        Ok(status) => Ok(Output { status, stdout, stderr }),
        Err(_) => Err(Error::Tool {
            tool: name.to_owned(),
            status: format!("nothing within {PATIENCE:?}, and was killed"),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }),
    }
}

fn read_in_background(mut pipe: impl std::io::Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before a read error is still worth showing.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}
