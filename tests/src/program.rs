//! The binary `settle` as a process: found, started, waited for with a bound, killed by its process id.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longest time that a command may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often a process is asked whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Path of the binary: `SETTLE_BINARY`, or beside this test program in the target folder.
///
/// Panics with the command to build it where it is not there: a test of nothing must not look green.
#[expect(clippy::disallowed_methods, reason = "a test is configured by its environment")]
pub fn binary() -> PathBuf {
    if let Ok(path) = std::env::var("SETTLE_BINARY") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "SETTLE_BINARY names {}, which is no file", path.display());
        return path;
    }
    let test = std::env::current_exe().expect("a running program has a path");
    let folder = test.parent().and_then(Path::parent).expect("a test stands in target/<profile>/deps");
    let path = folder.join("settle");
    assert!(
        path.is_file(),
        "the binary {} is not there: build it with `cargo build --release --bin settle`, or name another with SETTLE_BINARY",
        path.display()
    );
    path
}

/// How a process ended, and what it said.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
    shown: String,
}

impl Outcome {
    /// Fails the test unless the process ended with this code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "{} ended with {:?}, signal {:?}\nstdout: {}\nstderr: {}",
            self.shown,
            self.code,
            self.signal,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Fails the test unless standard error contains this text.
    #[track_caller]
    pub fn expect_message(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{}: {text:?} was expected in\n{}", self.shown, self.stderr);
        self
    }

    /// Standard output as JSON, one object a line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{}: {error} in the line {line:?}", self.shown));
            assert!(value.is_object(), "{}: a line that is no object: {line:?}", self.shown);
            value
        };
        self.stdout.lines().map(parse).collect()
    }
}

/// A process at work. Dropping it kills it.
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    started: Instant,
    shown: String,
}

impl Running {
    /// Starts a command.
    pub fn start(mut command: Command) -> Self {
        let shown = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("could not start {shown}: {error}"));
        let stdout = child.stdout.take().map(read_in_background);
        let stderr = child.stderr.take().map(read_in_background);
        Self { child, stdout, stderr, started: now(), shown }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// True while it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Kills it as `kill -9` does; false if it had ended before.
    pub fn kill(&mut self) -> bool {
        if !self.is_running() {
            return false;
        }
        self.child.kill().expect("a running child can be killed");
        let status = self.child.wait().expect("a killed child ends");
        status.signal() == Some(9)
    }

    /// Sends a signal by name, as in `TERM`.
    pub fn signal(&self, name: &str) {
        let process = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status().expect("kill can be run");
        assert!(sent.success(), "signal {name} could not be sent to process {process}");
    }

    /// Waits for its end; kills it and fails the test if that takes too long.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let status = self.wait_for_status();
        let text = |reader: Option<JoinHandle<String>>| {
            reader.map(|reader| reader.join().expect("a reader does not panic")).unwrap_or_default()
        };
        let stdout = text(self.stdout.take());
        let stderr = text(self.stderr.take());
        let shown = self.shown.clone();
        let Some(status) = status else {
            panic!("{shown} did not end within {PATIENCE:?}\nstdout: {stdout}\nstderr: {stderr}");
        };
        Outcome { code: status.code(), signal: status.signal(), stdout, stderr, shown }
    }

    fn wait_for_status(&mut self) -> Option<ExitStatus> {
        while self.started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return Some(status);
            }
            thread::sleep(POLL_INTERVAL);
        }
        self.kill();
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_in_background(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before a broken pipe still tells something.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The monotonic clock: tests bound how long they wait, and never compare times.
#[expect(clippy::disallowed_methods, reason = "a bound on waiting needs a clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Runs commands on one embedded log, with one configuration.
#[derive(Clone, Debug)]
pub struct Settle {
    data: PathBuf,
    config: Option<PathBuf>,
    settings: Vec<String>,
}

impl Settle {
    /// On the embedded log in this directory.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), config: None, settings: Vec::new() }
    }

    /// With a configuration file.
    #[must_use]
    pub fn with_config(mut self, file: impl Into<PathBuf>) -> Self {
        self.config = Some(file.into());
        self
    }

    /// With one more `--set KEY=VALUE`.
    #[must_use]
    pub fn with(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// The same on another directory.
    #[must_use]
    pub fn on(&self, data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), ..self.clone() }
    }

    /// The directory of the embedded log.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The command, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.arg("--embedded").arg(&self.data);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command
    }

    /// Starts a command, which goes on by itself.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments))
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.start(arguments).wait()
    }

    /// Runs both stages until idle and closes what is open; `settle verify` has to agree with all of it.
    #[track_caller]
    pub fn settle(&self) -> Outcome {
        let ended = self.run(&["run", "--until-idle", "--finish", "--log-level", "warn"]).expect_code(0);
        self.verify();
        ended
    }

    /// Runs `settle verify`, which must find nothing; returns its report.
    #[track_caller]
    pub fn verify(&self) -> serde_json::Value {
        let ended = self.run(&["verify", "--format", "json", "--log-level", "warn"]).expect_code(0);
        let [report] = &ended.json_lines()[..] else { panic!("one object was expected: {}", ended.stdout) };
        assert_eq!(report["verdict"], "OK", "{report}");
        report.clone()
    }
}

/// A command of the binary without log or configuration, not started. Nothing of this process's environment
/// configures it.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SETTLE__") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// Runs the binary without log or configuration.
#[track_caller]
pub fn run(arguments: &[&str]) -> Outcome {
    Running::start(command(arguments)).wait()
}
