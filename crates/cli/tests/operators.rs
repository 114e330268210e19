//! What an operator sees of a running process: probes, metrics, the end by SIGTERM, a port that is taken.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use settle_runtime::clock::monotonic_now;

const PATIENCE: Duration = Duration::from_secs(60);
const PAYMENTS: &str = "2000";

/// `settle run`, ended when the test is over, in whatever way.
struct Process {
    child: Child,
    /// Lines of standard error.
    messages: Receiver<String>,
}

impl Process {
    fn start(folder: &Path, listen: &str) -> Self {
        let mut child = settle(folder)
            .args(["run", "--config", "settle-demo/settle.toml", "--log-format", "json"])
            .env("SETTLE__HTTP__LISTEN", listen)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let (sender, messages) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            // Nobody listens any more: the rest is read all the same, or the process would wait.
            lines.for_each(|line| drop(sender.send(line)));
        });
        Self { child, messages }
    }

    /// The address that it says it listens on.
    fn address(&self) -> String {
        let deadline = monotonic_now() + PATIENCE;
        let mut seen = Vec::new();
        while let Ok(line) = self.messages.recv_timeout(deadline.saturating_duration_since(monotonic_now())) {
            let address = line.split("\"address\":\"").nth(1).and_then(|rest| rest.split('"').next());
            if let Some(address) = address {
                return address.to_owned();
            }
            seen.push(line);
        }
        panic!("it does not say where it listens: {seen:?}");
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = monotonic_now() + PATIENCE;
        while monotonic_now() < deadline {
            if let Some(status) = self.child.try_wait().expect("the process can be waited for") {
                return status;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the process does not end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settle(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_settle"));
    command.current_dir(folder);
    command
}

/// A log with payments, decided and settled.
fn demo(folder: &Path) {
    let output = settle(folder).args(["demo", "--payments", PAYMENTS]).output().expect("it can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Status line and body.
fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("the process listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: settle\r\n\r\n").expect("a request can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer comes");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

fn wait_until_ready(address: &str) -> String {
    let deadline = monotonic_now() + PATIENCE;
    loop {
        let (status, body) = get(address, "/readyz");
        if status.contains("200") {
            return body;
        }
        assert!(status.contains("503"), "{status}");
        assert!(monotonic_now() < deadline, "it does not become ready: {body}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The sum of all series of a metric.
fn sum(metrics: &str, name: &str) -> u64 {
    let series =
        metrics.lines().filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with('{'));
    let values = series.filter_map(|rest| rest.rsplit_once(' ')).map(|(_, value)| value.parse::<u64>());
    values.map(|value| value.expect("a whole number")).sum()
}

#[test]
fn probes_and_metrics_of_a_running_process_and_its_end_by_sigterm() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    demo(folder.path());
    // The stores are gone, so that there is something to restore.
    fs::remove_dir_all(folder.path().join("settle-demo/state")).expect("the state can be removed");
    let mut process = Process::start(folder.path(), "127.0.0.1:0");
    let address = process.address();
    let ready = wait_until_ready(&address);
    for stage in ["authorize", "settle"] {
        assert!(
            ready.contains(&format!("\"stage\":\"{stage}\",\"worker\":0,\"state\":\"running\"")),
            "{ready}"
        );
    }
    assert!(get(&address, "/livez").0.contains("200"));
    let (_, metrics) = get(&address, "/metrics");
    assert!(metrics.contains(&format!("settle_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))));
    assert_eq!(sum(&metrics, "settle_worker_ready"), 2, "{metrics}");
    assert_eq!(sum(&metrics, "settle_assigned_partitions"), 8, "four of each stage");
    assert_eq!(sum(&metrics, "settle_restoring_partitions"), 0);
    assert!(sum(&metrics, "settle_restore_events_total") > 2_000, "{metrics}");
    assert_eq!(sum(&metrics, "settle_restore_duration_seconds_count"), 8);

    let id = process.child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &id]).status().expect("kill can be run");
    assert!(killed.success());
    assert_eq!(process.wait().code(), Some(0));
    assert!(TcpStream::connect(&address).is_err(), "nothing listens any more");
}

#[test]
fn a_port_that_is_taken_ends_the_start_with_a_code() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    demo(folder.path());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port is there");
    let address = taken.local_addr().expect("it has an address").to_string();
    let mut process = Process::start(folder.path(), &address);
    assert_eq!(process.wait().code(), Some(1));
    let messages: Vec<String> = process.messages.iter().collect();
    let error = messages.iter().find(|line| line.starts_with("error [STL-0601]")).expect("the code is told");
    assert!(error.contains(&address), "{error}");
    assert!(messages.iter().any(|line| line == "more: docs/errors/STL-0601.md"), "{messages:?}");
}
