//! A contender as a process: started, asked what it used, and killed when its owner is gone.
//!
//! What a process used is what Linux says in `/proc`: CPU time of all its threads, and the highest resident memory.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::clock::now;

/// Ticks of a second in `/proc/PID/stat`: fixed for user space on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running contender.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: std::path::PathBuf,
}

impl Process {
    /// Starts it; what it says goes to `log`. The kernel kills it when this program ends.
    pub(crate) fn start(name: &str, command: &Command, log: &Path) -> anyhow::Result<Self> {
        let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let errors = output.try_clone()?;
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        for (variable, value) in command.get_envs() {
            if let Some(value) = value {
                wrapped.env(variable, value);
            }
        }
        let child = wrapped
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("start {name} with setpriv (of util-linux)"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error with its last words if it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}):\n{}", self.name, last_lines(&self.log)),
        }
    }

    /// True if it ended well; an error if it failed.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        match self.child.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => bail!("{} failed ({status}):\n{}", self.name, last_lines(&self.log)),
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and its end; killed if that takes longer than `patience`.
    pub(crate) fn stop(mut self, patience: Duration) -> anyhow::Result<()> {
        let id = self.id();
        Command::new("sh").args(["-c", &format!("kill -s TERM {id}")]).status()?;
        let began = now();
        while began.elapsed() < patience {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("{} did not end within {patience:?} of SIGTERM:\n{}", self.name, last_lines(&self.log))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// CPU seconds that a process has used; none if it is gone.
pub(crate) fn cpu_seconds(process_id: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    parse_cpu_seconds(&stat)
}

fn parse_cpu_seconds(stat: &str) -> Option<f64> {
    // The name, in parentheses, may hold anything; user and system time are the 12th and 13th fields after it.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_SECOND)
}

/// Highest resident memory of a process in MiB (`VmHWM`); none if it is gone.
pub(crate) fn peak_rss_mib(process_id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process_id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kib) / 1024.0)
}

/// The end of a log, for an error message.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_strange_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 10 0 0 0 250 50 0 0 20 0 4 0 100 1 1";
        assert_eq!(parse_cpu_seconds(stat), Some(3.0));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(peak_rss_mib(std::process::id()).is_some_and(|mib| mib > 0.5));
    }
}
