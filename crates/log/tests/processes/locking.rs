//! One writer at a time, also across processes; a file-size limit that the system enforces.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use settle_log::{CommitError, EmbeddedLog, Error, Log};

use crate::common::{commit_values, fast, open, send, values};

/// One test at a time: see the head of this program.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test of this file in another process. It is ignored otherwise, and gets the directory as its
/// first line of input.
struct OtherProcess {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl OtherProcess {
    fn start(mut command: Command, directory: &Path) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{}", directory.display()).unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Waits for a line that contains `text` and returns it.
    fn wait_for(&mut self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let length = self.output.read_line(&mut line).unwrap();
            assert!(length > 0, "the other process ended without {text:?}: {all}");
            if line.contains(text) {
                return line;
            }
            all.push_str(&line);
        }
    }
}

fn test_arguments(test: &str) -> Vec<String> {
    ["--ignored", "--exact", test, "--nocapture"].map(str::to_owned).to_vec()
}

fn directory_from_input() -> Option<PathBuf> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let line = line.trim_end();
    (!line.is_empty()).then(|| PathBuf::from(line))
}

#[allow(clippy::print_stdout)] // the parent process reads it
fn tell_parent(text: &str) {
    println!("\n{text}");
    std::io::stdout().flush().unwrap();
}

#[test]
#[ignore = "a part of the tests below, which run it in another process"]
fn other_process_holds_the_log() {
    let Some(directory) = directory_from_input() else {
        return;
    };
    let log = open(&directory);
    log.create_topic("t", 1).unwrap();
    commit_values(&log, "t", 0, &["from another process"]);
    let mut producer = log.producer("p").unwrap();
    producer.begin().unwrap();
    send(producer.as_mut(), "t", 0, "never committed");
    tell_parent("held");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn another_process_is_named_and_its_kill_releases_the_log() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(test_arguments("locking::other_process_holds_the_log"));
    let mut other = OtherProcess::start(command, directory.path());
    other.wait_for("held");

    for error in [
        EmbeddedLog::open(directory.path(), fast()).err().unwrap(),
        EmbeddedLog::open_read_only(directory.path()).err().unwrap(),
    ] {
        assert_eq!(error.code(), "STL-0105");
        let message = error.to_string();
        assert!(message.contains(&format!("process {} (", other.child.id())), "{message}");
        assert!(message.contains(&directory.path().display().to_string()), "{message}");
    }

    other.child.kill().unwrap();
    other.child.wait().unwrap();
    let log = open(directory.path());
    assert_eq!(values(&log, "t", 0), ["from another process"]);
}

#[test]
fn a_second_handle_of_the_same_process_is_refused_until_all_users_of_the_first_are_gone() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    let producer = log.producer("p").unwrap();
    drop(log);
    let error = EmbeddedLog::open(directory.path(), fast()).err().unwrap();
    let Error::Locked { holder, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(holder.pid, Some(std::process::id()));
    drop(producer);
    open(directory.path());
}

#[test]
fn readers_share_a_log_and_exclude_writers() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let first = EmbeddedLog::open_read_only(directory.path()).unwrap();
    let second = EmbeddedLog::open_read_only(directory.path()).unwrap();
    drop(first);
    assert!(EmbeddedLog::open(directory.path(), fast()).is_err_and(|error| error.code() == "STL-0105"));
    drop(second);
    open(directory.path());
}

#[test]
#[ignore = "a part of the test below, which runs it in another process"]
fn other_process_writes_until_the_file_is_too_large() {
    let Some(directory) = directory_from_input() else {
        return;
    };
    let log = open(&directory);
    log.create_topic("t", 1).unwrap();
    let value = "x".repeat(10_000);
    let mut producer = log.producer("p").unwrap();
    for committed in 0..1000 {
        producer.begin().unwrap();
        send(producer.as_mut(), "t", 0, &value);
        if let Err(error) = producer.commit() {
            assert!(matches!(error, CommitError::Aborted { .. }), "{error:?}");
            // Smaller transactions still fit: the failed one was cut off.
            commit_values(&log, "t", 0, &["small"]);
            tell_parent(&format!("{} after {committed}", error.code()));
            return;
        }
    }
    panic!("the limit was never met");
}

#[test]
fn a_file_size_limit_is_a_full_disk() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    // A limit of 256 blocks, of 512 or 1024 bytes as the shell has it.
    command.args(["-c", "trap '' XFSZ; ulimit -f 256; exec \"$0\" \"$@\""]);
    command.arg(std::env::current_exe().unwrap());
    command.args(test_arguments("locking::other_process_writes_until_the_file_is_too_large"));
    let mut other = OtherProcess::start(command, directory.path());
    let line = other.wait_for("STL-");
    assert!(other.child.wait().unwrap().success());
    let committed: usize = line.trim_end().strip_prefix("STL-0109 after ").unwrap().parse().unwrap();
    assert!(committed > 0);
    let values = values(&open(directory.path()), "t", 0);
    assert_eq!(values.len(), committed + 1);
    assert_eq!(values[committed], "small");
}
