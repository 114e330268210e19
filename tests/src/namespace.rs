//! Mounts for tests of bad machines: inside a mount namespace of their own, so that nothing is left behind
//! whatever ends the test. Needs to be root; where that is not so, a test says what it could not do.

use std::path::Path;
use std::process::Command;

use crate::program::{Outcome, Running};

/// True if this process may mount in a namespace of its own.
pub fn can_mount() -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = format!("mount -t tmpfs -o size=64k tmpfs '{}'", folder.path().display());
    let tried = namespace(&script).output();
    tried.is_ok_and(|output| output.status.success())
}

/// Runs a script of bash in a mount namespace of its own, with `SETTLE` as the binary and `DATA` as a folder.
#[track_caller]
pub fn run(script: &str, data: &Path) -> Outcome {
    let mut command = namespace(script);
    command.env("SETTLE", crate::program::binary()).env("DATA", data);
    Running::start(command).wait()
}

fn namespace(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-euc", script]);
    command
}
