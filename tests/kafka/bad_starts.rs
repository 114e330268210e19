//! Starts that must not happen: each is refused with a code, before anything is decided.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use settle_test_services::kafka::{Cluster, Options};
use settle_tests::program::now;

use crate::deployment::{Deployment, seed};

const TOPICS: [&str; 9] = [
    "payments.requested",
    "payments.rerouted",
    "payments.decided",
    "payments.approved",
    "payments.results",
    "payments.dead-letter",
    "settlement.events",
    "ledger.transactions",
    "settlement.payouts",
];
const FOREVER: [(&str, &str); 1] = [("retention.ms", "-1")];
const COMPACTED: [(&str, &str); 2] = [("retention.ms", "-1"), ("cleanup.policy", "compact")];
const AN_HOUR: [(&str, &str); 1] = [("retention.ms", "3600000")];

fn start_is_refused(deployment: &Deployment, code: &str, words: &[&str]) {
    let outcome =
        deployment.run(&["run", "--until-idle"]).expect_code(1).expect_message(&format!("error [{code}]"));
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} is expected in\n{}", outcome.stderr);
    }
    assert!(outcome.stderr.contains("hint: "), "{}", outcome.stderr);
}

/// Makes all topics with one of them as given.
fn create_topics_but(cluster: &Cluster, odd: &str, partitions: i32, settings: &[(&str, &str)]) {
    for topic in TOPICS {
        let (partitions, settings) = if topic == odd { (partitions, settings) } else { (2, &FOREVER[..]) };
        cluster.create_topic_with(topic, partitions, settings).expect("a topic can be made");
    }
}

fn delete_topics(cluster: &Cluster) {
    for topic in TOPICS {
        cluster.delete_topic(topic).expect("a topic can be removed");
    }
}

#[test]
fn topics_that_are_not_as_they_must_be_are_named() {
    let cluster = Cluster::start(Options::default()).expect("Kafka starts");
    let deployment = Deployment::without_topics(cluster, 2);
    start_is_refused(&deployment, "STL-0101", &["does not exist", "settle topics create"]);
    // The odd topic, its partitions and settings, the code of the refusal, and what it says.
    type Case<'a> = (&'a str, i32, &'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);
    let cases: [Case<'_>; 4] = [
        ("payments.decided", 3, &FOREVER, "STL-0307", &["payments.decided", "3", "2"]),
        ("payments.decided", 2, &COMPACTED, "STL-0313", &["payments.decided", "cleanup.policy", "compact"]),
        ("settlement.events", 2, &AN_HOUR, "STL-0313", &["settlement.events", "retention.ms", "3600000"]),
        ("payments.requested", 2, &AN_HOUR, "STL-0313", &["payments.requested", "retention.ms", "at least"]),
    ];
    for (odd, partitions, settings, code, words) in cases {
        create_topics_but(&deployment.cluster, odd, partitions, settings);
        start_is_refused(&deployment, code, words);
        delete_topics(&deployment.cluster);
    }
}

#[test]
fn a_group_that_is_ahead_of_the_journal_is_refused() {
    let cluster = Cluster::start(Options::default()).expect("Kafka starts");
    let deployment = Deployment::new(cluster, 2);
    deployment.produce(100, seed());
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", deployment.cluster.bootstrap())
        .set("group.id", "settle-authorize")
        .create()
        .expect("a consumer");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("payments.requested", 1, Offset::Offset(7)).expect("an offset");
    consumer.commit(&offsets, CommitMode::Sync).expect("somebody moved the group");
    start_is_refused(&deployment, "STL-0305", &["settle-authorize", "payments.requested/1", "7"]);
}

#[test]
fn a_journal_that_was_cut_or_made_again_is_refused() {
    let cluster = Cluster::start(Options::default()).expect("Kafka starts");
    let deployment = Deployment::new(cluster, 2);
    let state = deployment.path("state");
    let deployment = deployment.with(&[format!("store.directory={}", state.display())]);
    deployment.produce(500, seed());
    deployment.run(&["run", "--until-idle"]).expect_code(0);

    // The first records of a partition are gone: a store that is there needs none of them, an empty one does.
    deployment.cut_journal(20);
    deployment.run(&["run", "--until-idle"]).expect_code(0);
    let moved_away = deployment.path("state-moved-away");
    std::fs::rename(&state, &moved_away).expect("a folder can be renamed");
    start_is_refused(&deployment, "STL-0304", &["payments.decided/0", "20"]);
    // What the refused start made is not a state.
    std::fs::remove_dir_all(&state).expect("a folder can be removed");
    std::fs::rename(&moved_away, &state).expect("a folder can be renamed");

    // The same name, another topic.
    deployment.cluster.delete_topic("payments.decided").expect("a topic can be removed");
    deployment.cluster.create_topic_with("payments.decided", 2, &FOREVER).expect("a topic can be made");
    start_is_refused(&deployment, "STL-0312", &["payments.decided", "topic"]);
}

#[test]
fn of_two_processes_with_one_identity_the_older_ends() {
    let cluster = Cluster::start(Options::default()).expect("Kafka starts");
    let deployment = Deployment::new(cluster, 2);
    let seed = seed();
    let mut first = deployment.start_as(0, "first");
    deployment.produce(300, seed);
    deployment.wait_for_log(&first, "assignment");
    let mut second = deployment.start_as(0, "second");
    let started = now();
    while first.ended().is_none() {
        assert!(started.elapsed() < Duration::from_secs(60), "both go on: see {}", first.log().display());
        deployment.produce(50, seed.wrapping_add(1));
    }
    let said = std::fs::read_to_string(first.log()).expect("its log can be read");
    assert!(said.contains("STL-0122") || said.contains("STL-0113"), "{said}");
    assert!(second.ended().is_none(), "the younger goes on: see {}", second.log().display());
    second.stop();
    let verdict = deployment.finish_and_judge(seed);
    assert!(verdict.report.requests >= 350);
}
