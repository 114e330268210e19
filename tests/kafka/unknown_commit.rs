//! A commit of which nobody knows whether it happened: provoked by a proxy that loses its request or its answer.

use std::time::Duration;

use settle_test_services::kafka::{Cluster, Options};
use settle_test_services::proxy::{Armed, Fault, Proxy, Requests, Then};
use settle_tests::note;

use crate::deployment::{Deployment, Process, seed};

const REQUESTS: u32 = 3_000;
const PORTIONS: u32 = 6;

fn deployment() -> (Deployment, Proxy) {
    let (cluster, mut proxies) = Cluster::start_behind_proxies(Options::default()).expect("Kafka starts");
    (Deployment::new(cluster, 2), proxies.remove(0))
}

/// Waits until the process has work behind it: its first commit went through the proxy.
fn wait_for_a_commit(proxy: &Proxy) {
    let first = proxy.arm(Requests::commits(), Fault::Copy);
    assert!(first.wait_fired(1, Duration::from_secs(60)), "no transaction was committed");
}

/// Commits of one worker meet a fault; then all is as if nothing had happened.
fn commits_meet(fault: Fault, times: u64) {
    let seed = seed();
    let (deployment, proxy) = deployment();
    let process = deployment.start(0);
    deployment.produce(REQUESTS / PORTIONS, seed);
    wait_for_a_commit(&proxy);
    for stage in ["authorize", "settle"] {
        let id = format!("settle-{stage}-0-0");
        let armed = proxy.arm_times(Requests::commits().of_transaction(id), fault, times);
        for portion in 1..=2 {
            deployment.produce(REQUESTS / PORTIONS, seed.wrapping_add(portion));
        }
        assert!(armed.wait_fired(times, Duration::from_secs(120)), "{fault:?} did not fire {times} times");
        note(format!("{fault:?} fired {} times on {stage}", armed.fired()));
        armed.disarm();
    }
    deployment.produce(REQUESTS / PORTIONS, seed.wrapping_add(9));
    std::thread::sleep(Duration::from_secs(2));
    stop(process);
    let verdict = deployment.finish_and_judge(seed);
    assert_eq!(verdict.report.requests, usize::try_from(REQUESTS / PORTIONS * 6).expect("few"));
}

fn stop(mut process: Process) {
    assert!(process.ended().is_none(), "the process ended: see {}", process.log().display());
    process.stop();
}

/// Producer ids and epochs of the requests that a fault happened to. A new producer has a higher epoch, or another id where
/// the epochs of the old one are used up.
fn epochs_of(armed: &Armed) -> Vec<(i64, i16)> {
    let ends =
        armed.captured().into_iter().map(|captured| captured.head.end.expect("an EndTxn names its producer"));
    ends.map(|end| (end.producer_id, end.producer_epoch)).collect()
}

#[test]
fn the_answer_is_lost_after_the_broker_applied_it() {
    commits_meet(Fault::LoseReply(Then::Cut), 3);
}

#[test]
fn the_answer_is_lost_and_the_connection_stays() {
    commits_meet(Fault::LoseReply(Then::Keep), 1);
}

#[test]
fn the_request_is_lost_before_the_broker_saw_it() {
    commits_meet(Fault::LoseRequest(Then::Cut), 3);
}

#[test]
fn the_request_is_lost_and_the_connection_stays() {
    commits_meet(Fault::LoseRequest(Then::Keep), 1);
}

/// The answer to a commit is lost, the worker goes on with a new producer, and then a copy of the old request arrives in
/// the middle of the next transactions: its epoch is over, so that it can end none of them.
#[test]
fn a_late_copy_of_a_commit_ends_no_other_transaction() {
    let seed = seed();
    let (deployment, proxy) = deployment();
    let process = deployment.start(0);
    deployment.produce(REQUESTS / PORTIONS, seed);
    wait_for_a_commit(&proxy);
    let commits = Requests::commits().of_transaction("settle-authorize-0-0");
    let lost = proxy.arm(commits, Fault::LoseReply(Then::Cut));
    deployment.produce(REQUESTS / PORTIONS, seed.wrapping_add(1));
    assert!(lost.wait_fired(1, Duration::from_secs(60)), "no commit was lost");
    // librdkafka repeats the request by itself, in the old epoch. All that follows comes from a new producer.
    let old_epoch = epochs_of(&lost)[0];
    let following =
        proxy.arm_times(Requests::commits().of_transaction("settle-authorize-0-0"), Fault::Copy, 64);
    for portion in 0..3 {
        deployment.produce(REQUESTS / PORTIONS, seed.wrapping_add(90 + portion));
        assert!(following.wait_fired(portion + 1, Duration::from_secs(60)), "the worker commits no more");
    }
    let epochs = epochs_of(&following);
    let repeated = epochs.iter().take_while(|epoch| **epoch == old_epoch).count();
    assert!(repeated <= 2, "the worker goes on with a producer that lost a commit's answer: {epochs:?}");
    assert!(epochs[repeated..].iter().all(|epoch| *epoch > old_epoch), "{old_epoch:?}: {epochs:?}");
    following.disarm();
    let mut refused = 0;
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for portion in 3..PORTIONS {
                deployment.produce(REQUESTS / PORTIONS, seed.wrapping_add(u64::from(portion)));
            }
        });
        while !writing.is_finished() {
            let reply = lost.replay().expect("the broker answers a copy");
            assert_ne!(reply.error_code, Some(0), "a late copy was taken for a commit");
            refused += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    note(format!("{refused} late copies were refused"));
    assert!(refused > 3, "copies arrived while transactions were open");
    std::thread::sleep(Duration::from_secs(1));
    stop(process);
    let verdict = deployment.finish_and_judge(seed);
    assert_eq!(verdict.report.requests, usize::try_from(REQUESTS / PORTIONS * (PORTIONS + 2)).expect("few"));
}
