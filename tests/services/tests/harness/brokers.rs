//! Kafka without security: data, deaths, pauses, tools.

use settle_test_services::kafka::{Cluster, Options, tool, tool_with_input};

use crate::clients::{connect, consume, plaintext, produce};

#[test]
fn a_broker_keeps_its_data_through_kill_9_and_works_with_the_tools() {
    let cluster = Cluster::start(Options::default()).expect("a broker starts");
    let settings = plaintext(&cluster.bootstrap());
    cluster.create_topic("records", 2).expect("a topic can be created");
    produce(&settings, "records", "first").expect("it is taken");
    assert_eq!(consume(&settings, "records", 1), ["first"]);

    let before = cluster.broker(0).process_id().expect("it runs");
    cluster.broker(0).kill9().expect("it can be killed");
    cluster.broker(0).start().expect("it comes back");
    assert_ne!(cluster.broker(0).process_id().expect("it runs"), before);
    produce(&settings, "records", "second").expect("it is taken");
    assert_eq!(consume(&settings, "records", 2), ["first", "second"]);
}
