//! Kafka without security: data, deaths, pauses, proxies, tools.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use settle_test_services::kafka::{Cluster, Options, tool, tool_with_input};

use crate::clients::{connect, consume, plaintext, produce};

/// True while a process is there and has not become a zombie.
fn is_alive(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_broker_keeps_its_data_through_kill_9_and_works_with_the_tools() {
    let cluster = Cluster::start(Options::default()).expect("a broker starts");
    let settings = plaintext(&cluster.bootstrap());
    cluster.create_topic_with("records", 2, &[("retention.ms", "600000")]).expect("a topic can be created");
    assert!(cluster.create_topic("records", 2).is_err(), "a topic cannot be created twice");
    produce(&settings, "records", "first").expect("it is taken");
    assert_eq!(consume(&settings, "records", 1), ["first"]);

    let broker = cluster.broker(0);
    let before = broker.process_id().expect("it runs");
    broker.kill9().expect("it can be killed");
    assert!(!is_alive(before));
    broker.start().expect("it comes back");
    produce(&settings, "records", "second").expect("it is taken");
    assert_eq!(consume(&settings, "records", 2), ["first", "second"]);

    broker.pause().expect("it can be paused");
    let paused = connect(&settings, Duration::from_secs(2));
    broker.resume().expect("it can be resumed");
    assert!(paused.is_err(), "a paused broker answered");
    assert_eq!(connect(&settings, Duration::from_secs(60)), Ok(1));

    let bootstrap = cluster.bootstrap();
    let to_topic = ["--bootstrap-server", &bootstrap, "--topic", "records"];
    tool_with_input(cluster.installed(), "kafka-console-producer", &to_topic, "third\n")
        .expect("the tool produces");
    let read = ["--partition", "0", "--offset", "0", "--max-messages", "2"];
    let read = [&to_topic[..], &read[..]].concat();
    let output = tool(cluster.installed(), "kafka-console-consumer", &read).expect("the tool consumes");
    assert_eq!(output.stdout, "first\nsecond\n");
    let failed = tool(cluster.installed(), "kafka-topics", &["--no-such-option"]);
    assert!(failed.expect_err("it is refused").to_string().contains("no-such-option"));

    let id = broker.process_id().expect("it runs");
    let folder = cluster.folder().to_owned();
    drop(cluster);
    assert!(!is_alive(id), "a dropped cluster still runs");
    assert!(!folder.exists(), "a dropped cluster left {} behind", folder.display());
}

#[test]
fn three_brokers_survive_the_death_of_one() {
    let cluster = Cluster::start(Options { brokers: 3, ..Options::default() }).expect("three brokers start");
    let settings = plaintext(&cluster.bootstrap());
    assert_eq!(connect(&settings, Duration::from_secs(60)), Ok(3));
    cluster.create_topic("records", 1).expect("a topic can be created");
    produce(&settings, "records", "first").expect("it is taken by all");
    cluster.broker(1).kill9().expect("it can be killed");
    produce(&settings, "records", "second").expect("two of three take it");
    assert_eq!(consume(&settings, "records", 2), ["first", "second"]);
    cluster.broker(1).start().expect("it comes back");
    cluster.wait_until_complete().expect("all know all");
    cluster.broker(0).stop().expect("it ends on SIGTERM");
    assert!(cluster.broker(0).process_id().is_err(), "it has ended");
    produce(&settings, "records", "third").expect("the one that came back is one of the two");
}

#[test]
fn clients_meet_a_broker_only_through_its_proxy() {
    let (cluster, proxies) = Cluster::start_behind_proxies(Options::default()).expect("a broker starts");
    let settings = plaintext(&cluster.bootstrap());
    cluster.create_topic("records", 1).expect("administration goes past the proxy");
    assert_eq!(proxies[0].accepted(), 0, "and it did");
    produce(&settings, "records", "first").expect("it is taken");
    assert!(proxies[0].accepted() > 0, "the client did not come through the proxy");
    proxies[0].refuse(true);
    assert!(connect(&settings, Duration::from_secs(2)).is_err(), "there is another way to the broker");
}

/// Names the file for the broker's process id, for the program that is to be killed.
const FILE_VARIABLE: &str = "SETTLE_TEST_PROCESS_ID_FILE";

/// What the program does that is to be killed.
fn start_a_broker_and_wait_to_be_killed(file: &str) {
    let cluster = Cluster::start(Options::default()).expect("a broker starts");
    let id = cluster.broker(0).process_id().expect("it runs");
    fs::write(file, format!("{id}\n")).expect("the file can be written");
    thread::sleep(Duration::from_secs(300));
    drop(cluster);
    panic!("nobody killed this program");
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "this test starts itself again, and says so in the environment"
)]
fn a_killed_test_program_takes_its_brokers_with_it() {
    if let Ok(file) = std::env::var(FILE_VARIABLE) {
        return start_a_broker_and_wait_to_be_killed(&file);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("process-id");
    let mut program = Command::new(std::env::current_exe().expect("a running program has a path"))
        .args(["--exact", "brokers::a_killed_test_program_takes_its_brokers_with_it"])
        .env(FILE_VARIABLE, &file)
        // Its folders are not removed when it is killed.
        .env("TMPDIR", folder.path())
        .spawn()
        .expect("this program can be started again");
    let mut broker = None;
    for _ in 0..2_400 {
        let text = fs::read_to_string(&file).unwrap_or_default();
        broker = text.strip_suffix('\n').and_then(|text| text.parse().ok());
        if broker.is_some() || program.try_wait().expect("a child can be asked").is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let runs = broker.is_some_and(is_alive);
    program.kill().expect("it can be killed");
    program.wait().expect("it ends");
    assert!(runs, "the broker of the other program did not run");
    let broker = broker.expect("it ran");
    for _ in 0..600 {
        if !is_alive(broker) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("broker {broker} outlived its test program by 30 s");
}
