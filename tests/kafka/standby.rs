//! Standbys: a process that follows the journals of another takes its partitions over warm.

use std::collections::BTreeMap;
use std::time::Duration;

use settle_test_services::audit;
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

    deployment.produce(500, seed.wrapping_add(1));
    of_second.wait("settle_decided_records_total", &["authorize"], |decided| decided >= 500);
    second.stop();
    let verdict = deployment.finish_and_judge(seed);
    assert_eq!(verdict.report.decisions.values().sum::<usize>(), 30_500);
}

/// The longest time between two decisions of each partition, in milliseconds. Of the journal: the time of its records is that
/// of the decision.
fn longest_pauses(deployment: &Deployment) -> BTreeMap<i32, i64> {
    let bootstrap = deployment.cluster.bootstrap();
    let read =
        audit::read_all(&bootstrap, &[], &["payments.decided"], Duration::from_secs(60)).expect("readable");
    let mut pauses = BTreeMap::new();
    for (number, partition) in read.partitions("payments.decided") {
        let times: Vec<i64> = partition.records.iter().map(|record| record.timestamp_ms).collect();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
        pauses.insert(number, longest.expect("more than one decision"));
    }
    pauses
}

#[test]
fn a_roll_of_three_static_members_leaves_no_partition_alone_for_longer_than_the_session_timeout() {
    let seed = seed();
    let cluster = Cluster::start(Options::default()).expect("Kafka starts");
    let deployment = Deployment::new(cluster, 6)
        .with(&["standby.enabled=true".to_owned(), "clock.mode=processing".to_owned()]);
    let mut processes = BTreeMap::new();
    for instance in 0..3 {
        processes.insert(instance, deployment.start_observed(instance));
    }
    for (_, metrics) in processes.values() {
        metrics.wait("settle_assigned_partitions", &["authorize"], |owned| owned == 2);
        metrics.wait("settle_worker_ready", &[], |ready| ready == 2);
    }
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let (generated, seed) = (REQUESTS.to_string(), seed.to_string());
            let arguments = ["produce", "--generate", &generated, "--seed", &seed, "--rate", "1500"];
            deployment.run(&arguments).expect_code(0)
        });
        std::thread::sleep(Duration::from_secs(2));
        for instance in 0..3 {
            let (process, _) = processes.remove(&instance).expect("it was started");
            process.stop();
            let (process, metrics) = deployment.start_observed(instance);
            metrics.wait("settle_assigned_partitions", &["authorize"], |owned| owned == 2);
            metrics.wait("settle_worker_ready", &[], |ready| ready == 2);
            processes.insert(instance, (process, metrics));
        }
        producer.join().expect("the requests are written");
    });
    std::thread::sleep(Duration::from_secs(2));
    let pauses = longest_pauses(&deployment);
    note(format!("seed {seed}: longest pauses by partition, in ms: {pauses:?}"));
    for (process, _) in processes.into_values() {
        process.stop();
    }
    let verdict = deployment.finish_and_judge(seed);
    assert_eq!(verdict.report.requests, usize::try_from(REQUESTS).expect("a count"));
    let session_timeout_ms = i64::try_from(SESSION_TIMEOUT.as_millis()).expect("short");
    let longest = pauses.values().max().expect("six partitions");
    assert!(*longest < session_timeout_ms, "seed {seed}: a partition was alone for {longest} ms");
}
