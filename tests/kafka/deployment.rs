//! A cluster, a configuration, and processes of Settle on it.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use settle_config::DEMO_TOML;
use settle_test_services::Port;
use settle_test_services::audit::{self, Verdict};
use settle_test_services::kafka::{Cluster, tool};
use settle_tests::program::{self, now};
use settle_tests::{Outcome, Running, note};
use tempfile::TempDir;

/// Silence after which the cluster takes a process to be gone: short, so that tests need not wait long for it.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for a process to end after it was told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time for the independent reader.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(180);

/// What the demo's configuration lacks: how to behave on a cluster of a test.
const KAFKA: &str = "
[kafka]
session_timeout_ms = 3000
transaction_timeout_ms = 6000

[worker]
commit_interval_ms = 50
";

/// A cluster and a folder for what stands on disk.
pub(crate) struct Deployment {
    pub(crate) cluster: Cluster,
    folder: TempDir,
    config: PathBuf,
    settings: Vec<String>,
}

impl Deployment {
    /// Creates the topics.
    pub(crate) fn new(cluster: Cluster, partitions: u32) -> Self {
        let deployment = Self::without_topics(cluster, partitions);
        deployment.run(&["topics", "create"]).expect_code(0);
        deployment
    }

    /// Leaves the topics to the test.
    pub(crate) fn without_topics(cluster: Cluster, partitions: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("settle.toml");
        std::fs::write(&config, format!("{DEMO_TOML}{KAFKA}")).expect("the folder can be written");
        let replicas = if cluster.brokers().len() == 3 { (3, 2) } else { (1, 1) };
        let settings = vec![
            // A process that is started by name has one of its own, which takes the place of this one.
            format!("store.directory={}", folder.path().join("state").display()),
            format!("kafka.partitions={partitions}"),
            format!("kafka.replication_factor={}", replicas.0),
            format!("kafka.min_insync_replicas={}", replicas.1),
        ];
        Self { cluster, folder, config, settings }
    }

    /// With further settings for every command.
    pub(crate) fn with(mut self, settings: &[String]) -> Self {
        self.settings.extend_from_slice(settings);
        self
    }

    /// A folder of this deployment.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command on the cluster, not started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program::command(arguments);
        command.arg("--kafka").arg(self.cluster.bootstrap()).arg("--config").arg(&self.config);
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        Running::start(self.command(arguments)).wait()
    }

    /// Writes generated requests; returns when all are acknowledged.
    pub(crate) fn produce(&self, count: u32, seed: u64) {
        let (count, seed) = (count.to_string(), seed.to_string());
        let mut command = self.command(&["produce", "--generate", &count, "--seed", &seed]);
        // It waits for a broker that is being restarted: a request must be written once, whatever happens to Settle.
        command.arg("--set").arg("kafka.transaction_timeout_ms=60000");
        Running::start(command).wait().expect_code(0);
    }

    /// Writes records to `payments.requested` as an upstream team does: partition, key and value of each.
    pub(crate) fn send(&self, records: impl IntoIterator<Item = (u32, String, Vec<u8>)>) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap())
            .create()
            .expect("a producer");
        for (partition, key, value) in records {
            let partition = i32::try_from(partition).expect("few");
            let record = BaseRecord::to("payments.requested").payload(&value).key(&key).partition(partition);
            producer.send(record).map_err(|(error, _)| error).expect("there is room");
        }
        producer.flush(Duration::from_secs(30)).expect("all is written");
    }

    /// Removes the records of `payments.decided/0` before an offset, as Kafka does with old ones.
    pub(crate) fn cut_journal(&self, offset: u64) {
        let request = self.path("delete.json");
        let partition = format!(r#"{{"topic":"payments.decided","partition":0,"offset":{offset}}}"#);
        let json = format!(r#"{{"version":1,"partitions":[{partition}]}}"#);
        std::fs::write(&request, json).expect("a file can be written");
        let arguments = [
            "--bootstrap-server",
            &self.cluster.bootstrap(),
            "--offset-json-file",
            request.to_str().expect("a path"),
        ];
        tool(self.cluster.installed(), "kafka-delete-records", &arguments).expect("records can be deleted");
    }

    /// Starts process number `instance`, with both stages and a state folder of its own that it finds again.
    pub(crate) fn start(&self, instance: u32) -> Process {
        self.start_as(instance, &instance.to_string())
    }

    /// Starts process number `instance` with its probes and metrics on a port.
    pub(crate) fn start_observed(&self, instance: u32) -> (Process, Metrics) {
        let port = Port::lease().expect("a free port");
        let listen = format!("http.listen=127.0.0.1:{}", port.number());
        let process = self.start_with(instance, &instance.to_string(), &[listen]);
        (process, Metrics { port })
    }

    /// Starts a process as `instance` whose state folder and log have a name of their own.
    pub(crate) fn start_as(&self, instance: u32, name: &str) -> Process {
        self.start_with(instance, name, &[])
    }

    fn start_with(&self, instance: u32, name: &str, settings: &[String]) -> Process {
        let state = self.path(&format!("state-{name}"));
        let log = self.path(&format!("process-{name}.log"));
        let mut command = self.command(&["run", "--log-format", "human"]);
        command.arg("--set").arg(format!("application.instance={instance}"));
        command.arg("--set").arg(format!("store.directory={}", state.display()));
        for setting in settings {
            command.arg("--set").arg(setting);
        }
        Process::start(command, log)
    }

    /// Settles what is left with one process, closes all batches, and lets the independent reader judge.
    pub(crate) fn finish_and_judge(&self, seed: u64) -> Verdict {
        // Static members do not leave a group: it waits for them for the session timeout.
        std::thread::sleep(SESSION_TIMEOUT + Duration::from_secs(2));
        let mut command = self.command(&["run", "--until-idle", "--finish", "--log-level", "warn"]);
        command.arg("--set").arg(format!("store.directory={}", self.path("state-0").display()));
        Running::start(command).wait().expect_code(0);
        let read = audit::read_all(&self.cluster.bootstrap(), &[], &audit::TOPICS, AUDIT_TIMEOUT)
            .unwrap_or_else(|error| panic!("seed {seed}: the topics cannot be read: {error}"));
        let verdict = audit::judge(&read);
        note(format!("seed {seed}\n{verdict}"));
        if !verdict.violations.is_empty() {
            self.show_logs();
            panic!("seed {seed}: {} violations", verdict.violations.len());
        }
        self.verify(seed);
        verdict
    }

    /// Runs `settle verify`, which decides everything again and must agree with all of it.
    fn verify(&self, seed: u64) {
        let ended = self.run(&["verify", "--format", "json", "--log-level", "warn"]);
        note(format!("seed {seed}: settle verify: {}", ended.stdout.trim_end()));
        if ended.code != Some(0) {
            self.show_logs();
        }
        let [report] = &ended.expect_code(0).json_lines()[..] else {
            panic!("seed {seed}: one report was expected")
        };
        assert_eq!(
            report["checked"]["redecided"], report["checked"]["events"],
            "seed {seed}: all was decided again"
        );
        assert_eq!(report["checked"]["inputs_waiting"], 0, "seed {seed}: nothing waits for a decision");
    }

    /// Waits until a process has said something.
    pub(crate) fn wait_for_log(&self, process: &Process, text: &str) {
        let started = now();
        while !std::fs::read_to_string(process.log()).is_ok_and(|said| said.contains(text)) {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{text:?} is missing in {}",
                process.log().display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The last lines of every process, for a failed test.
    pub(crate) fn show_logs(&self) {
        for instance in 0..9 {
            let path = self.path(&format!("process-{instance}.log"));
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            note(format!("{}:\n{}", path.display(), last.join("\n")));
        }
    }
}

/// A client for plain HTTP on this machine.
pub(crate) fn http_client() -> reqwest::blocking::Client {
    // The first call installs it; the client of the program has one of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::blocking::Client::builder().no_proxy().tls_certs_only([]).build();
    client.expect("a client")
}

/// What a process says on its port.
pub(crate) struct Metrics {
    port: Port,
}

impl Metrics {
    /// The sum of a metric over the series whose labels contain all of these; 0 if there is none, or no answer yet.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let address = format!("http://127.0.0.1:{}/metrics", self.port.number());
        let answer = http_client().get(address).send().and_then(reqwest::blocking::Response::text);
        let text = answer.unwrap_or_default();
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let lines =
            text.lines().filter(of_name).filter(|line| labels.iter().all(|label| line.contains(label)));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Waits until a metric is as expected.
    #[track_caller]
    pub(crate) fn wait(&self, name: &str, labels: &[&str], is_as_expected: impl Fn(u64) -> bool) -> u64 {
        let started = now();
        loop {
            let value = self.sum(name, labels);
            if is_as_expected(value) {
                return value;
            }
            assert!(started.elapsed() < Duration::from_secs(90), "{name} {labels:?} stays at {value}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a metric is above a value and has not changed for a while.
    #[track_caller]
    pub(crate) fn wait_until_still(
        &self,
        name: &str,
        labels: &[&str],
        above: u64,
        still_for: Duration,
    ) -> u64 {
        let mut value = self.wait(name, labels, |value| value > above);
        let mut changed = now();
        while changed.elapsed() < still_for {
            std::thread::sleep(Duration::from_millis(50));
            let is = self.sum(name, labels);
            if is != value {
                (value, changed) = (is, now());
            }
        }
        value
    }
}

/// A process of Settle that runs until it is stopped. What it says is appended to a file.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let open = || -> File {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&log)
                .expect("the log of a process can be written")
        };
        let child = command.stdin(Stdio::null()).stdout(open()).stderr(open()).spawn();
        Self { child: child.expect("the binary can be started"), log }
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines that it said.
    pub(crate) fn last_words(&self) -> String {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill can be run");
        assert!(sent.success(), "signal {name} could not be sent to process {id}");
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Tells it to stop and waits for its end; returns how long that took.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Duration {
        let started = now();
        self.signal("TERM");
        while started.elapsed() < STOP_TIMEOUT {
            if let Some(status) = self.ended() {
                let said = self.last_words();
                // One that was woken or cut off a moment before may have found that it has to give up: it says why.
                let gave_up = status.code() == Some(1) && said.contains("error [STL-01");
                if gave_up {
                    note(format!("a process gave up before it was stopped:\n{said}"));
                }
                assert!(
                    status.code() == Some(0) || gave_up,
                    "a process that was told to stop failed:\n{said}"
                );
                return started.elapsed();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("a process did not stop within {STOP_TIMEOUT:?}: see {}", self.log.display());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The seed of a random test: `SETTLE_TEST_SEED`, or another one each time.
#[expect(clippy::disallowed_methods, reason = "a test is configured by its environment")]
pub(crate) fn seed() -> u64 {
    let given = std::env::var("SETTLE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| u64::from(std::process::id()) ^ 0x5e77_1e00)
}

/// True for the long rounds of `make torture`.
#[expect(clippy::disallowed_methods, reason = "a test is configured by its environment")]
pub(crate) fn is_full() -> bool {
    std::env::var("SETTLE_TORTURE").is_ok_and(|value| value == "full")
}
