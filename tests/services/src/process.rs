//! A service as a process: started, signalled by its process id, killed when its owner is gone.
//!
//! Two ends are covered. When the owner is dropped, also by a panic, the process is killed. When the test
//! program itself is killed, the kernel kills the process: `setpriv --pdeathsig KILL` asks for that before it
//! becomes the service. That signal is sent when the *thread* that started the process ends, so one thread that
//! never ends starts all of them: a service may outlive the test that started it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use crate::{Error, Result, wait};

/// How much of a log an error shows.
const TAIL_BYTES: u64 = 6_000;

/// How to start a service.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Name for messages: "broker 1".
    pub(crate) name: String,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Its working directory.
    pub(crate) directory: PathBuf,
    /// What it writes goes here, after what it wrote before.
    pub(crate) log: PathBuf,
}

/// A service that runs, or did. Its methods may be called from any thread; waits hold no lock.
#[derive(Debug)]
pub(crate) struct Service {
    program: Program,
    child: Mutex<Option<Child>>,
}

impl Service {
    /// Does not start it yet.
    pub(crate) fn new(program: Program) -> Self {
        Self { program, child: Mutex::new(None) }
    }

    /// Its log.
    pub(crate) fn log(&self) -> &Path {
        &self.program.log
    }

    /// Starts it, unless it runs.
    pub(crate) fn start(&self) -> Result<()> {
        let mut child = self.child();
        if self.check_child(&mut child).is_ok() {
            return Ok(());
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.program.log)
            .map_err(Error::io(format!("open {}", self.program.log.display())))?;
        let errors = log.try_clone().map_err(Error::io("duplicate a file handle"))?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .args(&self.program.command)
            .current_dir(&self.program.directory)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let started = spawn(command)
            .map_err(Error::io(format!("start {} with setpriv (of util-linux)", self.program.name)))?;
        *child = Some(started);
        Ok(())
    }

    /// An error unless it runs (or is paused).
    pub(crate) fn check(&self) -> Result<()> {
        self.check_child(&mut self.child()).map(|_| ())
    }

    /// Its process id, while it runs.
    pub(crate) fn id(&self) -> Result<u32> {
        self.check_child(&mut self.child())
    }

    /// Sends a signal by name, as in `STOP`.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        // Held, so that the process id cannot become that of another process in between.
        let mut child = self.child();
        let id = self.check_child(&mut child)?;
        // The shell's own `kill`: the program of that name is a package that small machines lack.
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -s {name} {id}")])
            .output()
            .map_err(Error::io(format!("run kill -s {name} {id}")))?;
        if sent.status.success() {
            return Ok(());
        }
        Err(Error::Tool {
            tool: format!("kill -s {name} {id} ({})", self.program.name),
            status: sent.status.to_string(),
            stdout: String::new(),
            stderr: String::from_utf8_lossy(&sent.stderr).into_owned(),
        })
    }

    /// Kills it as `kill -9` does, and waits for its end. Nothing happens if it does not run.
    pub(crate) fn kill(&self) -> Result<()> {
        if let Some(mut child) = self.child().take() {
            child.kill().map_err(Error::io(format!("kill {}", self.program.name)))?;
            child.wait().map_err(Error::io(format!("wait for the end of {}", self.program.name)))?;
        }
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits for that.
    pub(crate) fn stop(&self, patience: Duration) -> Result<()> {
        self.signal("TERM")?;
        let ended = wait::until(patience, || {
            let mut child = self.child();
            Ok::<_, Error>(match self.check_child(&mut child) {
                Ok(_) => Err("it still runs".to_owned()),
                Err(_) => {
                    *child = None;
                    Ok(())
                }
            })
        })?;
        ended.map_err(|last| self.timed_out("end after SIGTERM", patience, last))
    }

    /// Waits until `ask` is content, for at most `patience`, and only while the process runs.
    pub(crate) fn wait_until<T>(
        &self,
        what: &str,
        patience: Duration,
        mut ask: impl FnMut() -> std::result::Result<T, String>,
    ) -> Result<T> {
        let answer = wait::until(patience, || {
            self.check()?;
            Ok::<_, Error>(ask())
        })?;
        answer.map_err(|last| self.timed_out(what, patience, last))
    }

    /// The process id of a child that runs; an error that says how it ended.
    fn check_child(&self, child: &mut Option<Child>) -> Result<u32> {
        let service = self.program.name.clone();
        let Some(child) = child else {
            return Err(Error::NotRunning { service });
        };
        match child.try_wait().map_err(Error::io(format!("ask for the state of {service}")))? {
            None => Ok(child.id()),
            Some(status) => {
                Err(Error::Ended { service, status: status.to_string(), log: tail(&self.program.log) })
            }
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timed_out(&self, what: &str, patience: Duration, last: String) -> Error {
        Error::TimedOut {
            service: self.program.name.clone(),
            what: what.to_owned(),
            patience,
            last,
            log: tail(&self.program.log),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nothing is left to tell: the kernel kills it with the test program in any case.
        let _ = self.kill();
    }
}

/// Starts a process from the one thread that lives as long as the program.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in orders {
                // Whoever asked waits for the answer, unless its thread was ended: then the child is dropped.
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, answer) = channel();
    let gone = |_| io::Error::other("the thread that starts processes is gone");
    spawner.send((command, reply)).map_err(|_| gone(()))?;
    answer.recv().map_err(|_| gone(()))?
}

/// The end of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    read_tail(log).unwrap_or_else(|error| format!("({} cannot be read: {error})", log.display()))
}

fn read_tail(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = fs::metadata(log)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(folder: &Path, script: &str) -> Program {
        Program {
            name: "the service".to_owned(),
            command: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
            directory: folder.to_owned(),
            log: folder.join("log"),
        }
    }

    fn is_alive(id: u32) -> bool {
        // A process that ended and waits for its parent counts as dead.
        fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn a_process_that_ends_is_told_with_its_log() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = Service::new(program(folder.path(), "echo hello; exit 3"));
        process.start().expect("sh starts");
        let waited =
            process.wait_until("answer", Duration::from_secs(30), || Err::<(), _>("nothing".to_owned()));
        let message = waited.expect_err("it has ended").to_string();
        assert!(message.contains("exit status: 3") && message.contains("hello"), "{message}");
    }

    #[test]
    fn a_wait_for_a_process_is_bounded() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = Service::new(program(folder.path(), "echo alive; sleep 600"));
        process.start().expect("sh starts");
        let asked =
            process.wait_until("answer", Duration::from_millis(300), || Err::<(), _>("no".to_owned()));
        let message = asked.expect_err("it never answers").to_string();
        assert!(message.contains("the service did not answer within 300ms; last seen: no"), "{message}");
    }

    #[test]
    fn a_process_survives_the_thread_that_started_it_and_not_its_owner() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().to_owned();
        let starter = thread::spawn(move || {
            let process = Service::new(program(&path, "exec sleep 600"));
            process.start().expect("sh starts");
            process
        });
        let process = starter.join().expect("it starts");
        thread::sleep(Duration::from_millis(200));
        let id = process.id().expect("it outlives the thread");
        process.signal("STOP").expect("it can be paused");
        process.signal("CONT").expect("it can be resumed");
        assert!(is_alive(id));
        drop(process);
        assert!(!is_alive(id));
    }

    #[test]
    fn a_stopped_process_can_be_started_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = Service::new(program(folder.path(), "exec sleep 600"));
        process.start().expect("sh starts");
        let first = process.id().expect("it runs");
        process.stop(Duration::from_secs(30)).expect("sleep ends on SIGTERM");
        assert!(matches!(process.id(), Err(Error::NotRunning { .. })));
        process.start().expect("sh starts again");
        assert_ne!(process.id().expect("it runs"), first);
    }
}
