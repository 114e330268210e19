//! Where a report comes from: the machine and the versions.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Machine and versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Model of the processor.
    pub(crate) cpu: String,
    /// Cores that this program may use.
    pub(crate) cores: usize,
    /// Memory, GiB.
    pub(crate) memory_gib: u64,
    /// Kernel.
    pub(crate) kernel: String,
    /// Load of the last minute before the benchmark began: what others do on the machine.
    pub(crate) load_before: String,
    /// Version of Settle.
    pub(crate) settle: String,
    /// Commit of the checkout, if there is one.
    pub(crate) commit: String,
    /// Version of librdkafka.
    pub(crate) librdkafka: String,
    /// Version of Java.
    pub(crate) java: String,
    /// Versions of Kafka and Kafka Streams.
    pub(crate) kafka: String,
}

impl Machine {
    /// Asks the machine.
    pub(crate) fn look() -> Self {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        Self {
            cpu: field(&cpu_info, "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            memory_gib: kib.unwrap_or(0) / 1_048_576,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            load_before: fs::read_to_string("/proc/loadavg")
                .unwrap_or_default()
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned(),
            settle: env!("CARGO_PKG_VERSION").to_owned(),
            commit: said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short=12", "HEAD"]),
            librdkafka: rdkafka::util::get_rdkafka_version().1,
            java: said("java", &["-version"]),
            kafka: kafka_version(),
        }
    }
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The first line that a program says.
fn said(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return "unknown".to_owned() };
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown").to_owned()
}

/// The brokers' version and that of Kafka Streams stand in the two files that fetch them.
fn kafka_version() -> String {
    let version = |text: &str| {
        let (_, after) = text.split_once("<kafka.version>")?;
        Some(after.split_once('<')?.0.to_owned())
    };
    let broker = version(include_str!("../../tests/services/pom.xml")).unwrap_or_default();
    let streams = version(include_str!("../streams/pom.xml")).unwrap_or_default();
    format!("brokers {broker}, Kafka Streams {streams}")
}
