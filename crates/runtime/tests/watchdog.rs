//! A stuck worker ends the process. The test starts itself as a child, which is what ends.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use settle_runtime::clock::monotonic_now;
use settle_runtime::health::{Health, STUCK_EXIT_CODE, Step, Watchdog, end_process};

const NAME: &str = "a_stuck_worker_ends_the_process";
/// Set in the child only.
const IS_CHILD: &str = "WATCHDOG_TEST_CHILD";
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_stuck_worker_ends_the_process() {
    if std::env::var_os(IS_CHILD).is_some() {
        get_stuck();
    }
    let program = std::env::current_exe().expect("a test knows its program");
    let mut child = Command::new(program)
        .args(["--exact", NAME])
        .env(IS_CHILD, "1")
        .stdout(Stdio::null())
        .spawn()
        .expect("the test can start itself");
    let deadline: Instant = monotonic_now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            break Some(status);
        }
        if monotonic_now() > deadline {
            child.kill().expect("the child can be ended");
            child.wait().expect("the child can be waited for");
            break None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let status = status.expect("the watchdog ended the child in time");
    assert_eq!(status.code(), Some(STUCK_EXIT_CODE), "{status}");
}

/// A worker in a commit that never returns.
fn get_stuck() -> ! {
    let health = Arc::new(Health::default());
    let worker = health.register("settle", 0);
    worker.enter(Step::Committing);
    let _watchdog =
        Watchdog::start(health, Duration::from_millis(50), end_process).expect("a thread can be started");
    thread::sleep(PATIENCE * 2);
    panic!("the watchdog did not end the process");
}
