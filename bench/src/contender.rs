//! Who runs: how each contender is started, and which groups say how far it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use settle_types::topic;

/// A contender on Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contender {
    /// Copies each request once.
    Echo,
    /// Kafka Streams, AUTHORIZE alone.
    StreamsAuthorize,
    /// Settle, AUTHORIZE alone.
    SettleAuthorize,
    /// Kafka Streams, both stages.
    StreamsFull,
    /// Settle, both stages.
    SettleFull,
    /// As many records and bytes as Settle writes with both stages, without logic.
    Null,
}

impl Contender {
    /// All, in the order of a round. The null pipeline repeats what Settle wrote, so it comes after it.
    pub(crate) const ALL: [Self; 6] = [
        Self::Echo,
        Self::StreamsAuthorize,
        Self::SettleAuthorize,
        Self::StreamsFull,
        Self::SettleFull,
        Self::Null,
    ];

    /// Its name in options and reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::StreamsAuthorize => "streams-authorize",
            Self::SettleAuthorize => "settle-authorize",
            Self::StreamsFull => "streams-full",
            Self::SettleFull => "settle-full",
            Self::Null => "null",
        }
    }

    /// What it is, in words.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Echo => "bare echo",
            Self::StreamsAuthorize => "Kafka Streams, AUTHORIZE",
            Self::SettleAuthorize => "Settle, AUTHORIZE",
            Self::StreamsFull => "Kafka Streams, both stages",
            Self::SettleFull => "Settle, both stages",
            Self::Null => "null pipeline",
        }
    }

    /// True if it decides payments.
    pub(crate) const fn has_logic(self) -> bool {
        !matches!(self, Self::Echo | Self::Null)
    }

    /// True if it goes on to the ledger.
    pub(crate) const fn is_full(self) -> bool {
        matches!(self, Self::StreamsFull | Self::SettleFull | Self::Null)
    }

    /// Group and input topic of each of its stages.
    pub(crate) fn stages(self, application: &str) -> Vec<(String, &'static str)> {
        let is_streams = matches!(self, Self::StreamsAuthorize | Self::StreamsFull);
        // Kafka Streams has one group for all of its topology.
        let group =
            |stage: &str| if is_streams { application.to_owned() } else { format!("{application}-{stage}") };
        let mut stages = vec![(group("authorize"), topic::REQUESTED)];
        if self.is_full() {
            stages.push((group("settle"), topic::APPROVED));
        }
        stages
    }
}

/// What all contenders are started with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Addresses of the brokers.
    pub(crate) bootstrap: String,
    /// Partitions of every topic.
    pub(crate) partitions: u32,
    /// Workers for each stage.
    pub(crate) workers: u32,
    /// Commit interval.
    pub(crate) commit_interval_ms: u64,
    /// Brokers of the cluster: settings of the topics follow.
    pub(crate) brokers: u16,
    /// Where states and samples stand.
    pub(crate) work: PathBuf,
    /// Where the contenders write what they say.
    pub(crate) logs: PathBuf,
    /// Folder of the Kafka Streams program.
    pub(crate) streams: Option<PathBuf>,
    /// More settings of Settle, as of its `--set`.
    pub(crate) settings: Vec<String>,
}

/// The program `settle` beside this one.
pub(crate) fn settle_binary() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("find this program")?;
    let settle = own.with_file_name("settle");
    anyhow::ensure!(settle.exists(), "{} is not there: build it with `make build`", settle.display());
    Ok(settle)
}

impl Setup {
    /// Where the configuration of Settle stands.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.work.join("settle.toml")
    }

    /// Where the sample of Settle's output stands.
    pub(crate) fn templates_file(&self) -> PathBuf {
        self.work.join("templates.json")
    }

    /// A command of Settle on this cluster.
    pub(crate) fn settle(&self, arguments: &[&str], application: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(settle_binary()?);
        command.args(arguments).arg("--config").arg(self.config_file()).arg("--kafka").arg(&self.bootstrap);
        let (replicas, in_sync) = if self.brokers == 3 { (3, 2) } else { (1, 1) };
        let state = self.state(application);
        let fetch_wait_ms = settle_config::Config::default().kafka.fetch_wait_ms;
        for setting in [
            format!("application.name={application}"),
            format!("kafka.partitions={}", self.partitions),
            format!("kafka.replication_factor={replicas}"),
            format!("kafka.min_insync_replicas={in_sync}"),
            format!("worker.workers={}", self.workers),
            format!("worker.commit_interval_ms={}", self.commit_interval_ms),
            // Half of a commit interval, up to what the program does by itself.
            format!("kafka.fetch_wait_ms={}", (self.commit_interval_ms / 2).clamp(1, fetch_wait_ms)),
            format!("store.directory={}", state.display()),
        ]
        .iter()
        .chain(&self.settings)
        {
            command.arg("--set").arg(setting);
        }
        Ok(command)
    }

    /// Folder of a contender's state.
    pub(crate) fn state(&self, application: &str) -> PathBuf {
        self.work.join(format!("state-{application}"))
    }

    /// The command that runs a contender until it is stopped.
    pub(crate) fn command(&self, contender: Contender, application: &str) -> anyhow::Result<Command> {
        match contender {
            Contender::Echo | Contender::Null => self.floor(contender, application),
            Contender::SettleAuthorize => self.settle(&["run", "--stage", "authorize"], application),
            Contender::SettleFull => self.settle(&["run", "--stage", "all"], application),
            Contender::StreamsAuthorize => self.streams("authorize", application),
            Contender::StreamsFull => self.streams("all", application),
        }
    }

    fn floor(&self, contender: Contender, application: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([
            "floor",
            contender.name(),
            "--bootstrap",
            &self.bootstrap,
            "--application",
            application,
        ]);
        command.args(["--partitions", &self.partitions.to_string(), "--workers", &self.workers.to_string()]);
        command.args(["--commit-interval-ms", &self.commit_interval_ms.to_string()]);
        if contender == Contender::Null {
            command.arg("--templates").arg(self.templates_file());
        }
        Ok(command)
    }

    fn streams(&self, stages: &str, application: &str) -> anyhow::Result<Command> {
        let folder =
            self.streams.as_deref().context("--streams names the folder of the Kafka Streams program")?;
        let mut command = Command::new("java");
        command.args(java_flags()).arg("-cp").arg(class_path(folder)).arg("settle.bench.Main");
        let state = self.state(application);
        for (name, value) in [
            ("bootstrap", self.bootstrap.clone()),
            ("application", application.to_owned()),
            ("stages", stages.to_owned()),
            // Both stages of Settle have their own workers; the tasks of both share these threads.
            ("threads", self.workers.to_string()),
            ("commit-interval-ms", self.commit_interval_ms.to_string()),
            ("state", state.display().to_string()),
        ] {
            command.arg(format!("--{name}={value}"));
        }
        Ok(command)
    }
}

/// Java's own defaults for a server of this size, and a heap that the stores outside it leave room for.
pub(crate) fn java_flags() -> [&'static str; 3] {
    ["-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]
}

fn class_path(folder: &Path) -> String {
    format!("{}:{}/*", folder.join("settle-bench-streams.jar").display(), folder.join("lib").display())
}
