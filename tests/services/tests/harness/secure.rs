//! Kafka with TLS, passwords and permissions, right and wrong.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use settle_test_services::kafka::{Cluster, Options, Scram, Security, User};
use settle_test_services::tls::{Authority, Certificate};

use crate::clients::{connect, consume, produce};

const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps what librdkafka says of its connections.
#[derive(Clone, Default)]
struct Errors(Arc<Mutex<String>>);

impl ClientContext for Errors {
    fn error(&self, _: KafkaError, reason: &str) {
        let mut all = self.0.lock().expect("nobody panics with it");
        all.push_str(reason);
        all.push('\n');
    }
}

impl ConsumerContext for Errors {}

/// What a client is told that cannot connect. Panics if it can.
fn refusal(settings: &[(String, String)]) -> String {
    let errors = Errors::default();
    let mut config = ClientConfig::new();
    for (name, value) in settings {
        config.set(name, value);
    }
    let consumer: BaseConsumer<Errors> = config.create_with_context(errors.clone()).expect("a client");
    for _ in 0..60 {
        let metadata = consumer.fetch_metadata(None, Duration::from_millis(500));
        assert!(metadata.is_err(), "a client that must be refused was let in");
        // Errors are handed over while polling.
        let _ = consumer.poll(Duration::from_millis(10));
        let told = errors.0.lock().expect("nobody panics with it").clone();
        if !told.is_empty() {
            return told;
        }
    }
    panic!("a client that must be refused was told nothing for 30 s");
}

fn replace(settings: &[(String, String)], name: &str, value: &str) -> Vec<(String, String)> {
    let mut settings = settings.to_vec();
    settings.retain(|(known, _)| known != name);
    settings.push((name.to_owned(), value.to_owned()));
    settings
}

#[test]
fn a_user_needs_the_password_the_authority_and_permissions() {
    let alice = User::new("alice", "alice-secret");
    let cluster = Cluster::start(Options {
        security: Security::SaslSsl(Scram::Sha512),
        users: vec![alice.clone()],
        acls: true,
        ..Options::default()
    })
    .expect("a broker with TLS and SCRAM starts");
    cluster.create_topic("records", 1).expect("the administrator may");
    let as_alice = cluster.client_settings(Some(&alice));
    assert_eq!(connect(&as_alice, PATIENCE), Ok(1));
    let denied = produce(&as_alice, "records", "too early").expect_err("she may not write yet");
    assert!(denied.contains("authorization failed"), "{denied}");
    cluster.allow(&alice, &["--operation", "All", "--topic", "records"]).expect("the administrator may");
    produce(&as_alice, "records", "first").expect("now she may");
    assert_eq!(consume(&as_alice, "records", 1), ["first"]);

    let told = refusal(&replace(&as_alice, "sasl.password", "wrong"));
    assert!(told.contains("Authentication failed"), "{told}");
    let told = refusal(&replace(&as_alice, "sasl.username", "mallory"));
    assert!(told.contains("Authentication failed"), "{told}");

    let other = Authority::new("Another CA").expect("it can be made");
    let other_file = cluster.folder().join("other-ca.pem");
    fs::write(&other_file, other.certificate_pem()).expect("it can be written");
    let told = refusal(&replace(&as_alice, "ssl.ca.location", &other_file.display().to_string()));
    assert!(told.contains("certificate verify failed"), "{told}");

    let bob = User::new("bob", "bob-secret");
    cluster.add_user(&bob).expect("the administrator may");
    assert_eq!(connect(&cluster.client_settings(Some(&bob)), PATIENCE), Ok(1));
    cluster.disallow(&alice, &["--operation", "All", "--topic", "records"]).expect("the administrator may");
    let denied = produce(&as_alice, "records", "too late").expect_err("she may not write any more");
    assert!(denied.contains("authorization failed"), "{denied}");
}

#[test]
fn an_expired_certificate_is_refused() {
    let cluster = Cluster::start(Options {
        security: Security::Tls,
        certificate: Certificate::Expired,
        ..Options::default()
    })
    .expect("a broker does not mind its own certificate");
    let told = refusal(&cluster.client_settings(None));
    assert!(told.contains("certificate verify failed"), "{told}");
}
