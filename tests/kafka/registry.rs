//! A schema registry beside the cluster: its ids are written, a new schema is fetched, and it may be away.

use std::time::Duration;

use serde_json::{Value, json};
use settle_schema::BuiltIn;
use settle_test_services::audit;
use settle_test_services::kafka::{Cluster, Options};
use settle_test_services::registry::{self, Registry};
use settle_tests::requests::{encoded, payment};

use crate::deployment::{Deployment, http_client, seed};

/// Registers a schema as another team's tool does; returns its id.
fn register(registry: &Registry, subject: &str, schema: &str) -> u32 {
    let request = http_client().post(format!("{}/subjects/{subject}/versions", registry.url()));
    let body = json!({ "schema": schema, "schemaType": "AVRO" }).to_string();
    let answer = request.header("Content-Type", "application/vnd.schemaregistry.v1+json").body(body).send();
    let text = answer.expect("the registry answers").text().expect("a text");
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    u32::try_from(answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}"))).expect("32 bits")
}

/// Writes requests under a schema id, as an upstream team does.
fn send(deployment: &Deployment, id: u32, requests: &[(u32, &str)]) {
    deployment.send(requests.iter().map(|(partition, payment_id)| {
        let debtor = debtor_of(*partition);
        let mut value = encoded(&payment(&debtor, payment_id));
        value[1..5].copy_from_slice(&id.to_be_bytes());
        (*partition, debtor, value)
    }));
}

/// A debtor whose requests belong in this partition of two.
fn debtor_of(partition: u32) -> String {
    let is_right = |debtor: &String| settle_log::partition_for_key(debtor.as_bytes(), 2) == partition;
    (0..100).map(|index| format!("debtor-{index}")).find(is_right).expect("one of a hundred")
}

#[test]
fn a_record_of_an_unknown_schema_waits_for_the_registry_and_holds_up_nothing_else() {
    let seed = seed();
    let service = Registry::start(&registry::Options::default()).expect("the registry starts");
    // Another team was here before: no id of the registry is the one built in.
    for number in 0..8 {
        let fields = json!([{ "name": "text", "type": "string" }]);
        let schema = json!({ "type": "record", "name": format!("Note{number}"), "fields": fields });
        register(&service, &format!("notes-{number}-value"), &schema.to_string());
    }
    let cluster = Cluster::start(Options::default()).expect("Kafka starts");
    let settings = [format!("registry.url={}", service.url()), "registry.auto_register=true".to_owned()];
    let deployment = Deployment::new(cluster, 2).with(&settings);
    deployment.produce(1_000, seed);
    let (process, metrics) = deployment.start_observed(0);
    metrics.wait("settle_decided_records_total", &["authorize"], |decided| decided >= 1_000);

    // The same requests under an id that Settle has not met: the text differs in its documentation.
    let known = register(&service, "payments.requested-value", BuiltIn::PaymentRequested.text());
    assert!(known > 8, "{known}: the registry gives ids of its own");
    let mut theirs: Value = serde_json::from_str(BuiltIn::PaymentRequested.text()).expect("JSON");
    theirs["doc"] = json!("A payment request, as the upstream team describes it.");
    let new = register(&service, "payments.requested-value", &theirs.to_string());
    assert_ne!(new, known);
    service.kill9().expect("the registry can be killed");
    send(&deployment, new, &[(0, "waits-1"), (0, "waits-2")]);
    metrics.wait("settle_schema_registry_pending_schemas", &[], |pending| pending == 1);
    send(&deployment, known, &[(0, "behind"), (1, "goes-on-1"), (1, "goes-on-2")]);
    metrics.wait("settle_decided_records_total", &["authorize"], |decided| decided >= 1_002);
    std::thread::sleep(Duration::from_secs(2));
    let decided = metrics.sum("settle_decided_records_total", &["authorize"]);
    assert_eq!(decided, 1_002, "what waits is not decided, nor what is behind it in its partition");

    service.restart().expect("the registry starts again");
    metrics.wait("settle_decided_records_total", &["authorize"], |decided| decided == 1_005);
    process.stop();
    let verdict = deployment.finish_and_judge(seed);
    assert_eq!(verdict.report.decisions.values().sum::<usize>(), 1_005);

    // Each of what waited, and of what came behind it, was approved once.
    let bootstrap = deployment.cluster.bootstrap();
    let topics = ["payments.decided", "payments.approved"];
    let read = audit::read_all(&bootstrap, &[], &topics, Duration::from_secs(60)).expect("readable");
    for payment_id in ["waits-1", "waits-2", "behind", "goes-on-1", "goes-on-2"] {
        let is_approval =
            |value: &&[u8]| value.windows(payment_id.len()).any(|part| part == payment_id.as_bytes());
        let approved = read.records("payments.approved").filter_map(|(_, record)| record.value.as_deref());
        assert_eq!(approved.filter(is_approval).count(), 1, "approvals of {payment_id}");
    }

    // What was written names the registry's ids, and the program reads it back through them.
    let of_journal = register(&service, "payments.decided-value", BuiltIn::DecisionEvent.text());
    let values = read.records("payments.decided").filter_map(|(_, record)| record.value.as_deref());
    assert!(values.into_iter().all(|value| value[1..5] == of_journal.to_be_bytes()));
    let tail = deployment.run(&["topics", "tail", "payments.decided", "--limit", "1", "--format", "json"]);
    assert!(tail.expect_code(0).stdout.contains("\"outcome\""));

    // A registry that is away at the start, and one that must not be written to.
    service.kill9().expect("the registry can be killed");
    deployment.run(&["run", "--until-idle"]).expect_code(1).expect_message("error [STL-0501]");
    service.restart().expect("the registry starts again");
}

#[test]
fn schemas_that_may_not_be_registered_are_asked_for_and_passwords_are_sent() {
    let options = registry::Options {
        basic_auth: Some(("settle".to_owned(), "secret".to_owned())),
        ..registry::Options::default()
    };
    let service = Registry::start(&options).expect("the registry starts");
    let cluster = Cluster::start(Options::default()).expect("Kafka starts");
    let settings = [
        format!("registry.url={}", service.url()),
        "registry.username=settle".to_owned(),
        "registry.password=secret".to_owned(),
    ];
    let deployment = Deployment::new(cluster, 2).with(&settings);
    deployment.run(&["run", "--until-idle"]).expect_code(1).expect_message("error [STL-0506]");
    let registering = ["run", "--until-idle", "--set", "registry.auto_register=true"];
    deployment.run(&registering).expect_code(0);
    deployment.run(&["run", "--until-idle"]).expect_code(0);
    let deployment = deployment.with(&["registry.password=wrong".to_owned()]);
    deployment.run(&["run", "--until-idle"]).expect_code(1).expect_message("error [STL-0502]");
}
