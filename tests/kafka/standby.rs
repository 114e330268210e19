//! Standbys: a process that follows the journals of another takes its partitions over warm.

use std::time::Duration;

use settle_test_services::kafka::{Cluster, Options};
use settle_tests::note;
use settle_tests::program::now;

use crate::deployment::{Deployment, SESSION_TIMEOUT, seed};

const REQUESTS: u32 = 30_000;

#[test]
fn a_standby_has_little_left_to_read() {
    let seed = seed();
    let cluster = Cluster::start(Options::default()).expect("Kafka starts");
    let deployment = Deployment::new(cluster, 4).with(&["standby.enabled=true".to_owned()]);
    let (mut first, of_first) = deployment.start_observed(0);
    of_first.wait("settle_assigned_partitions", &["authorize"], |owned| owned == 4);
    deployment.produce(REQUESTS, seed);
    of_first.wait("settle_decided_records_total", &["authorize"], |decided| decided >= u64::from(REQUESTS));

    // The second process gets half of the partitions, and follows the other half.
    let (second, of_second) = deployment.start_observed(1);
    of_second.wait("settle_assigned_partitions", &["authorize"], |owned| owned == 2);
    of_second.wait("settle_worker_ready", &["authorize"], |ready| ready == 1);
    deployment.wait_for_log(&second, "a partition is followed");
    std::thread::sleep(Duration::from_secs(3));
    let before = of_second.sum("settle_restore_events_total", &["authorize"]);
    first.kill();
    let killed = now();
    of_second.wait("settle_assigned_partitions", &["authorize"], |owned| owned == 4);
    of_second.wait("settle_worker_ready", &["authorize"], |ready| ready == 1);
    let taken_over = killed.elapsed();
    let read = of_second.sum("settle_restore_events_total", &["authorize"]) - before;
    note(format!("seed {seed}: taken over after {} ms, {read} events read", taken_over.as_millis()));
    assert!(read < 1_000, "seed {seed}: {read} of about {} events were read on the takeover", REQUESTS / 2);
    assert!(taken_over > SESSION_TIMEOUT, "a static member is waited for");

    deployment.produce(500, seed.wrapping_add(1));
    of_second.wait("settle_decided_records_total", &["authorize"], |decided| decided >= 500);
    second.stop();
    let verdict = deployment.finish_and_judge(seed);
    assert_eq!(verdict.report.decisions.values().sum::<usize>(), 30_500);
}
