//! Snapshots in an object store: an empty machine starts from them, and their store may be away.

use std::time::Duration;

use settle_test_services::audit::Outcome;
use settle_test_services::kafka::{Cluster, Options};
use settle_test_services::object_store::S3;

use crate::deployment::{Deployment, seed};

const PARTITIONS: u32 = 4;
/// Time between two snapshots of a partition.
const INTERVAL: Duration = Duration::from_secs(2);

/// Settings of snapshots in a bucket.
fn in_bucket(s3: &S3) -> Vec<String> {
    vec![
        format!("snapshots.url=s3://{}/settle", S3::BUCKET),
        format!("snapshots.endpoint={}", s3.endpoint()),
        format!("snapshots.region={}", S3::REGION),
        format!("snapshots.access_key_id={}", S3::ACCESS_KEY),
        format!("snapshots.secret_access_key={}", S3::SECRET_KEY),
        "snapshots.allow_http=true".to_owned(),
        format!("snapshots.interval_seconds={}", INTERVAL.as_secs()),
        "snapshots.grace_seconds=60".to_owned(),
    ]
}

#[test]
fn an_empty_machine_starts_from_a_snapshot_and_reads_the_tail_only() {
    let seed = seed();
    let s3 = S3::start().expect("the object store starts");
    let cluster = Cluster::start(Options::default()).expect("Kafka starts");
    let deployment = Deployment::new(cluster, PARTITIONS).with(&in_bucket(&s3));
    deployment.produce(20_000, seed);
    let (mut process, metrics) = deployment.start_observed(0);
    metrics.wait("settle_decided_records_total", &["authorize"], |decided| decided >= 20_000);
    // A partition that has nothing new gets no further snapshot: then all of both stages are in them.
    let made = metrics.wait_until_still("settle_snapshots_total", &[], 0, 3 * INTERVAL);
    assert!(made >= 2 * u64::from(PARTITIONS), "seed {seed}: {made} snapshots");

    // The object store is away: decisions go on, and what is not sent is tried again.
    s3.kill9().expect("the object store can be killed");
    deployment.produce(500, seed.wrapping_add(1));
    metrics.wait("settle_snapshot_failures_total", &[], |failed| failed > 0);
    metrics.wait("settle_decided_records_total", &["authorize"], |decided| decided >= 20_500);
    s3.restart().expect("the object store starts again");
    // What could not be sent is sent, although nothing new is decided.
    metrics.wait_until_still("settle_snapshots_total", &[], made, 3 * INTERVAL);
    process.kill();

    // Another machine takes its place: it has the snapshots and nothing else.
    std::fs::remove_dir_all(deployment.path("state-0")).expect("the state can be removed");
    let (process, metrics) = deployment.start_observed(0);
    deployment.produce(500, seed.wrapping_add(2));
    metrics.wait("settle_decided_records_total", &["authorize"], |decided| decided >= 500);
    let folded = metrics.sum("settle_restore_events_total", &["authorize"]);
    assert!(
        folded < 3_000,
        "seed {seed}: {folded} of more than 20,500 events were read, so not the tail only"
    );
    deployment.wait_for_log(&process, "restored a snapshot");
    process.stop();
    let verdict = deployment.finish_and_judge(seed);
    assert_eq!(verdict.report.decisions.values().sum::<usize>(), 21_000);
    assert!(
        verdict.report.decided(Outcome::Replayed) > 0,
        "retries of what the snapshot holds are recognised"
    );
}

#[test]
fn a_journal_with_an_end_is_continued_from_a_snapshot_and_one_made_anew_is_refused() {
    let seed = seed();
    let cluster = Cluster::start(Options::default()).expect("Kafka starts");
    let deployment = Deployment::new(cluster, 1);
    let snapshots = deployment.path("snapshots");
    let settings = [
        format!("snapshots.url=file://{}", snapshots.display()),
        format!("snapshots.interval_seconds={}", INTERVAL.as_secs()),
        "snapshots.grace_seconds=60".to_owned(),
    ];
    let deployment = deployment.with(&settings);
    deployment.produce(2_000, seed);
    let (mut process, metrics) = deployment.start_observed(0);
    metrics.wait("settle_decided_records_total", &["authorize"], |decided| decided >= 2_000);
    metrics.wait_until_still("settle_snapshots_total", &["authorize"], 0, 3 * INTERVAL);
    // A stale store: what comes now is only in the journal and in later snapshots.
    let copy = deployment.path("stale");
    process.kill();
    copy_folder(&deployment.path("state-0"), &copy);
    deployment.produce(1_000, seed.wrapping_add(1));
    let (mut process, metrics) = deployment.start_observed(0);
    metrics.wait("settle_decided_records_total", &["authorize"], |decided| decided >= 1_000);
    metrics.wait_until_still("settle_snapshots_total", &["authorize"], 0, 3 * INTERVAL);
    process.kill();

    // The journal no longer reaches back to the stale store, and not to its own start.
    deployment.cut_journal(2500);
    let state = deployment.path("state-0");
    std::fs::remove_dir_all(&state).expect("the state can be removed");
    copy_folder(&copy, &state);
    let (process, metrics) = deployment.start_observed(0);
    deployment.produce(200, seed.wrapping_add(2));
    metrics.wait("settle_decided_records_total", &["authorize"], |decided| decided >= 200);
    deployment.wait_for_log(&process, "a snapshot takes its place");
    process.stop();
    assert!(
        state.join("authorize/0.unusable").exists(),
        "the stale store is kept for whoever wants to look at it"
    );

    // The journal is deleted and made anew, and the state is lost: deciding from the beginning would pay twice.
    deployment.cluster.delete_topic("payments.decided").expect("a topic can be removed");
    let forever = [("retention.ms", "-1")];
    deployment.cluster.create_topic_with("payments.decided", 1, &forever).expect("a topic can be made");
    std::fs::remove_dir_all(&state).expect("the state can be removed");
    std::thread::sleep(Duration::from_secs(1));
    let refused = deployment.run(&["run", "--until-idle", "--stage", "authorize"]).expect_code(1);
    refused.expect_message("error [STL-0312]");
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp").arg("-r").args([from, to]).status();
    assert!(copied.expect("cp can be run").success(), "{} could not be copied", from.display());
}
