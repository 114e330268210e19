//! That the binary starts. Because this is an integration test of its package, cargo builds the binary whenever
//! the tests of the workspace are built, and the end-to-end tests find it beside them.

use std::process::Command;

#[test]
fn it_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_settle")).arg("--version").output().expect("it can be run");
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        format!("settle {}", env!("CARGO_PKG_VERSION"))
    );
}
