//! The schema registry: schemas, deaths, passwords, certificates, and Kafka's tools with Avro.

use std::fs;

use reqwest::blocking::{Client, RequestBuilder};
use settle_test_services::kafka::{Cluster, Options as KafkaOptions, tool};
use settle_test_services::registry::{Options, Registry};
use settle_test_services::tls::Certificate;

use crate::clients::{plaintext, produce_bytes};

const SCHEMA: &str = r#"{"type":"record","name":"Note","fields":[{"name":"text","type":"string"}]}"#;

fn client(certificates: Vec<reqwest::Certificate>) -> Client {
    // Another test of this program may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().tls_certs_only(certificates).no_proxy().build().expect("a client")
}

fn register(client: &Client, registry: &Registry) -> RequestBuilder {
    client
        .post(format!("{}/subjects/note-value/versions", registry.url()))
        .json(&serde_json::json!({ "schema": SCHEMA }))
}

fn id_of(request: RequestBuilder) -> u32 {
    let response = request.send().expect("it answers");
    assert_eq!(response.status(), 200);
    let answer: serde_json::Value = response.json().expect("it answers with JSON");
    let id = answer["id"].as_u64().expect("a schema has an id");
    u32::try_from(id).expect("ids have 32 bits")
}

#[test]
fn a_schema_survives_the_registry_and_the_console_consumer_reads_with_it() {
    let registry = Registry::start(&Options::default()).expect("a registry starts");
    let client = client(Vec::new());
    let id = id_of(register(&client, &registry));
    registry.kill9().expect("it can be killed");
    assert!(register(&client, &registry).send().is_err(), "a killed registry answered");
    registry.restart().expect("it comes back");
    let found = client.get(format!("{}/schemas/ids/{id}", registry.url())).send().expect("it answers");
    let found: serde_json::Value = found.json().expect("it answers with JSON");
    assert_eq!(found["schema"].as_str().expect("a schema"), SCHEMA);

    let cluster = Cluster::start(KafkaOptions::default()).expect("a broker starts");
    cluster.create_topic("note", 1).expect("a topic can be created");
    // Confluent's form: 0, the schema's id, and the Avro of one string of five bytes.
    let record = [&[0][..], &id.to_be_bytes(), &[10], b"hello"].concat();
    produce_bytes(&plaintext(&cluster.bootstrap()), "note", &record).expect("it is taken");
    let bootstrap = cluster.bootstrap();
    let deserializer = "io.apicurio.registry.serde.avro.AvroKafkaDeserializer";
    let url = format!("value.deserializer.apicurio.registry.url={}", registry.own_url());
    let read =
        ["--bootstrap-server", &bootstrap, "--topic", "note", "--from-beginning", "--max-messages", "1"];
    let with_avro = [
        "--formatter-property",
        &format!("value.deserializer={deserializer}"),
        "--formatter-property",
        &url,
        "--formatter-property",
        "value.deserializer.apicurio.registry.as-confluent=true",
        "--formatter-property",
        "value.deserializer.apicurio.registry.use-id=contentId",
    ];
    let output = tool(cluster.installed(), "kafka-console-consumer", &[&read[..], &with_avro[..]].concat())
        .expect("the tool reads Avro");
    assert_eq!(output.stdout, "{\"text\": \"hello\"}\n");
}

#[test]
fn a_registry_can_ask_for_a_password_and_speak_tls() {
    let password = ("alice".to_owned(), "registry-secret".to_owned());
    let registry = Registry::start(&Options { basic_auth: Some(password), tls: Some(Certificate::Valid) })
        .expect("it starts");
    let ca = fs::read(registry.ca_file().expect("there is TLS")).expect("the CA's file");
    let trusting = client(vec![reqwest::Certificate::from_pem(&ca).expect("a certificate")]);

    let refused = register(&trusting, &registry).send().expect("it answers");
    assert_eq!(refused.status(), 401);
    let refused =
        register(&trusting, &registry).basic_auth("alice", Some("wrong")).send().expect("it answers");
    assert_eq!(refused.status(), 401);
    let with_password = || register(&trusting, &registry).basic_auth("alice", Some("registry-secret"));
    let id = id_of(with_password());
    assert_eq!(id_of(with_password()), id, "the same schema has the same id");

    let distrusting = client(Vec::new());
    assert!(register(&distrusting, &registry).send().is_err(), "an unknown authority was trusted");
}
