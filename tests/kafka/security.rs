//! TLS and SCRAM with access control lists: what works with the rights of docs/kafka.md, and what is said without them.

use std::time::Duration;

use settle_test_services::audit;
use settle_test_services::kafka::{Cluster, Options, Scram, Security, User};
use settle_test_services::tls::Certificate;
use settle_tests::program::now;

use crate::deployment::{Deployment, seed};

/// An operator has to be told within this time.
const PATIENCE: Duration = Duration::from_secs(10);

fn user() -> User {
    User::new("settle", "a-good-password")
}

fn options(certificate: Certificate) -> Options {
    let security = Security::SaslSsl(Scram::Sha512);
    Options { security, certificate, users: vec![user()], acls: true, ..Options::default() }
}

/// Settings for a user of this cluster.
fn settings(cluster: &Cluster, password: &str) -> Vec<String> {
    let ca_file = cluster.ca_file().expect("a cluster with TLS has an authority");
    vec![
        "kafka.tls.enabled=true".to_owned(),
        format!("kafka.tls.ca_file={}", ca_file.display()),
        "kafka.sasl.mechanism=SCRAM-SHA-512".to_owned(),
        "kafka.sasl.username=settle".to_owned(),
        format!("kafka.sasl.password={password}"),
    ]
}

/// The rights that docs/kafka.md lists.
fn allow_all_that_is_needed(cluster: &Cluster) {
    let rules: [&[&str]; 6] = [
        &[
            "--operation",
            "Read",
            "--operation",
            "Write",
            "--topic",
            "payments.",
            "--resource-pattern-type",
            "prefixed",
        ],
        &[
            "--operation",
            "DescribeConfigs",
            "--operation",
            "Create",
            "--topic",
            "payments.",
            "--resource-pattern-type",
            "prefixed",
        ],
        &[
            "--operation",
            "Read",
            "--operation",
            "Write",
            "--operation",
            "Create",
            "--topic",
            "settlement.",
            "--resource-pattern-type",
            "prefixed",
        ],
        &[
            "--operation",
            "Write",
            "--operation",
            "Read",
            "--operation",
            "Create",
            "--topic",
            "ledger.",
            "--resource-pattern-type",
            "prefixed",
        ],
        &["--operation", "Read", "--group", "settle-", "--resource-pattern-type", "prefixed"],
        &[
            "--operation",
            "Write",
            "--operation",
            "Describe",
            "--transactional-id",
            "settle-",
            "--resource-pattern-type",
            "prefixed",
        ],
    ];
    for rule in rules {
        cluster.allow(&user(), rule).expect("a right can be given");
    }
}

fn is_refused(deployment: &Deployment, code: &str) {
    let started = now();
    let outcome = deployment.run(&["run", "--until-idle"]).expect_code(1);
    let elapsed = started.elapsed();
    assert!(outcome.stderr.contains(&format!("error [{code}]")), "{code} is expected in\n{}", outcome.stderr);
    assert!(outcome.stderr.contains("hint: "), "{}", outcome.stderr);
    assert!(elapsed < PATIENCE, "{code} took {elapsed:?}");
}

#[test]
fn tls_scram_and_access_lists_from_end_to_end() {
    let cluster = Cluster::start(options(Certificate::Valid)).expect("Kafka starts");
    allow_all_that_is_needed(&cluster);
    let right = settings(&cluster, &user().password);
    let wrong = settings(&cluster, "a-wrong-password");
    let deployment = Deployment::without_topics(cluster, 2).with(&wrong);
    is_refused(&deployment, "STL-0119");

    let deployment = deployment.with(&right);
    deployment.run(&["topics", "create"]).expect_code(0);
    deployment.produce(1_000, seed());
    deployment.run(&["run", "--until-idle", "--finish"]).expect_code(0);
    // The judge comes past the access lists, as an administrator.
    let read =
        audit::read_all(&deployment.cluster.admin_bootstrap(), &[], &audit::TOPICS, Duration::from_secs(60));
    let read = read.expect("the topics can be read");
    let verdict = audit::judge(&read);
    assert!(verdict.violations.is_empty(), "{verdict}");
    assert_eq!(verdict.report.requests, 1_000);

    // One right less, each of another kind.
    let rights: [&[&str]; 3] = [
        &["--operation", "Write", "--topic", "settlement.", "--resource-pattern-type", "prefixed"],
        &["--operation", "Read", "--group", "settle-", "--resource-pattern-type", "prefixed"],
        &["--operation", "Write", "--transactional-id", "settle-", "--resource-pattern-type", "prefixed"],
    ];
    for right in rights {
        deployment.cluster.disallow(&user(), right).expect("a right can be taken back");
        // The broker learns of it a moment later.
        std::thread::sleep(Duration::from_secs(2));
        is_refused(&deployment, "STL-0121");
        deployment.cluster.allow(&user(), right).expect("a right can be given");
        std::thread::sleep(Duration::from_secs(2));
    }
}

#[test]
fn an_expired_certificate_is_named() {
    let cluster = Cluster::start(options(Certificate::Expired)).expect("Kafka starts");
    let settings = settings(&cluster, &user().password);
    let deployment = Deployment::without_topics(cluster, 2).with(&settings);
    is_refused(&deployment, "STL-0120");
}
