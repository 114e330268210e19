//! Registering and checking at the start.

use std::time::Duration;

use super::server::{Canned, Server};
use super::{connect, error_body, options, schema_body, version_body};
use crate::{BasicAuth, BuiltIn, Registry, RegistryError, RegistryOptions, WeakerLevel, WireIds};

const VERSIONS: &str = "GET /subjects/settlement.payouts-value/versions";
const VERSION_1: &str = "GET /subjects/settlement.payouts-value/versions/1";
const LOOKUP: &str = "POST /subjects/settlement.payouts-value";
const REGISTER: &str = "POST /subjects/settlement.payouts-value/versions";
const LEVEL: &str = "GET /config/settlement.payouts-value?defaultToGlobal=true";
const SET_LEVEL: &str = "PUT /config/settlement.payouts-value";
const CHECK_1: &str = "POST /compatibility/subjects/settlement.payouts-value/versions/1?verbose=true";

const FULL: &str = r#"{"compatibilityLevel": "FULL_TRANSITIVE"}"#;

/// A registry with our schema as version 1 under id 41.
fn with_our_schema() -> Server {
    let server = Server::start();
    server
        .answer(VERSIONS, 200, "[1]")
        .answer(LEVEL, 200, FULL)
        .answer(VERSION_1, 200, version_body(1, 41, BuiltIn::Payout.text()))
        .answer(CHECK_1, 200, r#"{"is_compatible": true, "messages": []}"#)
        .answer(LOOKUP, 200, r#"{"subject": "s", "version": 1, "id": 41, "schema": "{}"}"#);
    server
}

fn publish(registry: &Registry) -> Result<WireIds, RegistryError> {
    registry.publish(&[BuiltIn::Payout])
}

#[test]
fn a_new_subject_gets_its_level_before_its_first_version() {
    let server = Server::start();
    server
        .answer(VERSIONS, 404, error_body(40401))
        .answer(SET_LEVEL, 200, r#"{"compatibility": "FULL_TRANSITIVE"}"#)
        .answer(REGISTER, 200, r#"{"id": 41}"#);
    let ids = publish(&connect(&server)).expect("a registry that takes everything");
    assert_eq!(ids.of(BuiltIn::Payout), Some(41));
    assert_eq!(ids.of(BuiltIn::PaymentResult), None);
    assert_eq!(server.lines(), [VERSIONS, SET_LEVEL, REGISTER]);
    let seen = server.seen();
    assert_eq!(seen[1].body, r#"{"compatibility":"FULL_TRANSITIVE"}"#);
    let body: serde_json::Value = serde_json::from_str(&seen[2].body).expect("JSON");
    assert_eq!(body["schema"], BuiltIn::Payout.text());
    assert!(seen[2].headers["content-type"].contains("schemaregistry"), "{:?}", seen[2].headers);
}

/// Some registries set a level only for subjects that exist.
#[test]
fn or_its_level_right_after() {
    let server = Server::start();
    let set = Canned::Answer(200, r#"{"compatibility": "FULL_TRANSITIVE"}"#.to_owned());
    server
        .answer(VERSIONS, 404, error_body(40401))
        .set(SET_LEVEL, &[Canned::Answer(404, error_body(40401)), set])
        .answer(REGISTER, 200, r#"{"id": 41}"#);
    publish(&connect(&server)).expect("a registry that takes everything");
    assert_eq!(server.lines(), [VERSIONS, SET_LEVEL, REGISTER, SET_LEVEL]);
}

#[test]
fn a_subject_that_has_our_schema_is_only_read() {
    let server = with_our_schema();
    let registry = connect(&server);
    for _ in 0..2 {
        let ids = publish(&registry).expect("our schema is there");
        assert_eq!(ids.of(BuiltIn::Payout), Some(41));
    }
    assert!(!server.lines().iter().any(|line| line == REGISTER || line.starts_with("PUT")));
    registry.check_compatibility("settlement.payouts-value", BuiltIn::Payout).expect("compatible");
}

#[test]
fn a_subject_without_our_schema_gets_it_if_it_may() {
    let server = with_our_schema();
    // The same bytes, with words left out: another text.
    let bare = without_words(BuiltIn::Payout.text());
    server.answer(VERSION_1, 200, version_body(1, 40, &bare)).answer(LOOKUP, 404, error_body(40403)).answer(
        REGISTER,
        200,
        r#"{"id": 42}"#,
    );
    let ids = publish(&connect(&server)).expect("compatible");
    assert_eq!(ids.of(BuiltIn::Payout), Some(42));

    let may_not = RegistryOptions { auto_register: false, ..options(&server) };
    let ids = publish(&Registry::connect(may_not).expect("valid options")).expect("the same but for words");
    assert_eq!(ids.of(BuiltIn::Payout), Some(40), "the version with our bytes");
    assert_eq!(server.lines().iter().filter(|line| *line == REGISTER).count(), 1);
}

fn without_words(text: &str) -> String {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(members) => {
                members.remove("doc");
                members.values_mut().for_each(strip);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(text).expect("JSON");
    strip(&mut value);
    value.to_string()
}

#[test]
fn without_auto_register_nothing_is_written() {
    let server = Server::start();
    server.answer(VERSIONS, 404, error_body(40401));
    let may_not = RegistryOptions { auto_register: false, ..options(&server) };
    let error = publish(&Registry::connect(may_not.clone()).expect("valid options")).expect_err("not there");
    assert_eq!(error.code(), "STL-0506");
    assert!(error.to_string().contains("settlement.payouts-value"), "{error}");
    assert_eq!(server.lines(), [VERSIONS]);

    // A subject with a compatible version whose bytes are others.
    let older = BuiltIn::PaymentRequested.text().replacen("\"default\": 0", "\"default\": 1", 1);
    let server = Server::start();
    let subject = "payments.requested-value";
    let check = format!("POST /compatibility/subjects/{subject}/versions/1?verbose=true");
    let reordered = move_first_field_last(&older);
    server
        .answer(&format!("GET /subjects/{subject}/versions"), 200, "[1]")
        .answer(&format!("GET /config/{subject}?defaultToGlobal=true"), 200, FULL)
        .answer(&format!("GET /subjects/{subject}/versions/1"), 200, version_body(1, 5, &reordered))
        .answer(&check, 200, r#"{"is_compatible": true}"#)
        .answer(&format!("POST /subjects/{subject}"), 404, error_body(40403));
    let may_not = RegistryOptions { auto_register: false, ..options(&server) };
    let registry = Registry::connect(may_not).expect("valid options");
    let error = registry.publish(&[BuiltIn::PaymentRequested]).expect_err("other bytes");
    assert_eq!(error.code(), "STL-0506", "{error}");
}

fn move_first_field_last(text: &str) -> String {
    let mut value: serde_json::Value = serde_json::from_str(text).expect("JSON");
    value["fields"].as_array_mut().expect("fields").rotate_left(1);
    value.to_string()
}

#[test]
fn a_weaker_level_fails_or_warns() {
    let server = with_our_schema();
    server.answer(LEVEL, 200, r#"{"compatibilityLevel": "BACKWARD"}"#);
    let error = publish(&connect(&server)).expect_err("a weaker level");
    assert!(matches!(&error, RegistryError::WeakerLevel { level, .. } if level == "BACKWARD"), "{error}");
    assert_eq!(error.code(), "STL-0505");

    let warn = RegistryOptions { weaker_level: WeakerLevel::Warn, ..options(&server) };
    let ids = publish(&Registry::connect(warn).expect("valid options")).expect("a warning");
    assert_eq!(ids.of(BuiltIn::Payout), Some(41));
}

#[test]
fn a_level_that_is_only_global_counts() {
    let server = with_our_schema();
    server.answer(LEVEL, 404, error_body(40408)).answer("GET /config", 200, FULL);
    publish(&connect(&server)).expect("the registry's own level is strong enough");
}

#[test]
fn an_incompatible_version_is_named_with_its_field() {
    let millis = BuiltIn::Payout.text().replace("timestamp-micros", "timestamp-millis");
    let required = BuiltIn::Payout.text().replacen("payout_id", "payment_id", 1);
    for (old, field) in [(millis, "created_at"), (required, "payout_id")] {
        let server = with_our_schema();
        server.answer(VERSION_1, 200, version_body(1, 40, &old));
        let error = publish(&connect(&server)).expect_err("incompatible");
        assert_eq!(error.code(), "STL-0504");
        let words = error.to_string();
        for part in ["settlement.payouts-value", "version 1", field] {
            assert!(words.contains(part), "{part} is missing from: {words}");
        }
        assert!(!server.lines().iter().any(|line| line == REGISTER), "nothing is registered");
    }
}

#[test]
fn the_judgement_of_the_registry_counts_too() {
    let server = with_our_schema();
    let words = r#"{"is_compatible": false, "messages": ["reader field missing", "at /fields/3"]}"#;
    server.answer(CHECK_1, 200, words);
    let error = publish(&connect(&server)).expect_err("incompatible");
    assert_eq!(error.code(), "STL-0504");
    assert!(error.to_string().contains("reader field missing; at /fields/3"), "{error}");
    let other_words = r#"{"is_compatible": false, "reason": "b at /fields/1"}"#;
    server.answer(CHECK_1, 200, other_words);
    let error = publish(&connect(&server)).expect_err("incompatible");
    assert!(error.to_string().contains("b at /fields/1"), "{error}");

    // And its refusal when the check passed.
    let server = with_our_schema();
    server.answer(LOOKUP, 404, error_body(40403)).answer(REGISTER, 409, error_body(409));
    let error = publish(&connect(&server)).expect_err("incompatible");
    assert_eq!(error.code(), "STL-0504");
    assert!(error.to_string().contains("canned words"), "{error}");
}

/// Two processes start at once, and the other one is a little faster.
#[test]
fn a_conflict_is_looked_at_again() {
    let server = with_our_schema();
    let none = Canned::Answer(404, error_body(40401));
    server
        .set(VERSIONS, &[none.clone(), none, Canned::Answer(200, "[1]".to_owned())])
        .set(SET_LEVEL, &[Canned::Answer(409, error_body(409)), Canned::Answer(200, "{}".to_owned())])
        .answer(REGISTER, 409, error_body(409));
    let ids = publish(&connect(&server)).expect("the other one has made it");
    assert_eq!(ids.of(BuiltIn::Payout), Some(41));
}

#[test]
fn versions_of_another_kind_are_incompatible() {
    let bodies = [
        r#"{"id": 1, "version": 1, "schema": "{}", "schemaType": "JSON"}"#,
        r#"{"id": 1, "version": 1, "schema": "{}", "references": [{"name": "a", "subject": "b", "version": 1}]}"#,
        r#"{"id": 1, "version": 1, "schema": "no schema"}"#,
    ];
    for body in bodies {
        let server = with_our_schema();
        server.answer(VERSION_1, 200, body);
        assert_eq!(publish(&connect(&server)).expect_err(body).code(), "STL-0504", "{body}");
    }
}

#[test]
fn failures_that_pass_are_waited_for() {
    let server = with_our_schema();
    let failures =
        [Canned::Answer(503, "starting".to_owned()), Canned::Close, Canned::Answer(200, "[1]".to_owned())];
    server.set(VERSIONS, &failures);
    publish(&connect(&server)).expect("the third answer is one");

    server.set(VERSIONS, &[Canned::Answer(503, "starting".to_owned())]);
    let error = publish(&connect(&server)).expect_err("it never starts");
    assert_eq!(error.code(), "STL-0501");
    assert!(error.to_string().contains("starting"), "{error}");
}

#[test]
fn an_answer_that_comes_too_late_is_none() {
    let server = with_our_schema();
    server.set(VERSIONS, &[Canned::Late(Duration::from_millis(400), 200, "[1]".to_owned())]);
    let hasty = RegistryOptions { request_timeout_ms: 50, attempts: 2, ..options(&server) };
    let error = publish(&Registry::connect(hasty).expect("valid options")).expect_err("too late");
    assert_eq!(error.code(), "STL-0501");
    assert!(error.to_string().contains("no answer in time"), "{error}");
    // A patient client takes the same answer.
    publish(&connect(&server)).expect("late, but there");
}

#[test]
fn nobody_there_is_unreachable_and_another_address_is_taken() {
    let gone = {
        let server = Server::start();
        server.url()
    };
    let nobody =
        RegistryOptions { urls: vec![gone.clone()], attempts: 2, backoff_ms: 1, ..Default::default() };
    let error = publish(&Registry::connect(nobody).expect("valid options")).expect_err("nobody there");
    assert_eq!(error.code(), "STL-0501");
    assert!(error.to_string().contains("refused"), "{error}");

    let server = with_our_schema();
    let two = RegistryOptions { urls: vec![gone, server.url()], attempts: 1, ..options(&server) };
    publish(&Registry::connect(two).expect("valid options")).expect("the second address answers");
}

#[test]
fn credentials_are_sent_and_a_refusal_is_not_tried_again() {
    let server = with_our_schema();
    let auth = BasicAuth { user: "settle".to_owned(), secret: "hidden".to_owned() };
    let with = RegistryOptions { basic_auth: Some(auth), ..options(&server) };
    publish(&Registry::connect(with.clone()).expect("valid options")).expect("allowed in");
    // settle:hidden
    let sent = server.seen().iter().map(|seen| seen.headers["authorization"].clone()).collect::<Vec<_>>();
    assert!(sent.iter().all(|value| value == "Basic c2V0dGxlOmhpZGRlbg=="), "{sent:?}");

    for status in [401, 403] {
        let server = Server::start();
        server.answer(VERSIONS, status, error_body(40101));
        let with = RegistryOptions { urls: vec![server.url()], ..with.clone() };
        let error = publish(&Registry::connect(with).expect("valid options")).expect_err("not allowed in");
        assert_eq!(error.code(), "STL-0502");
        assert!(!error.to_string().contains("hidden"), "{error}");
        assert_eq!(server.lines().len(), 1, "asked once");
    }
}

#[test]
fn answers_of_other_servers_are_told_apart() {
    let cases = [
        (200, "<html>a login page</html>".to_owned()),
        (200, r#"{"versions": [1]}"#.to_owned()),
        // "Not found" without the registry's code: the path of the address is wrong.
        (404, "<html>nothing here</html>".to_owned()),
        (404, error_body(404)),
        (302, String::new()),
        (200, " ".repeat((4 << 20) + 1)),
    ];
    for (status, body) in cases {
        let server = Server::start();
        server.answer(VERSIONS, status, body);
        let error = publish(&connect(&server)).expect_err("no registry");
        assert_eq!(error.code(), "STL-0507", "{status}: {error}");
    }
    let server = with_our_schema();
    server.answer(LOOKUP, 422, error_body(42205));
    let error = publish(&connect(&server)).expect_err("read-only");
    assert_eq!(error.code(), "STL-0508");
    assert!(error.to_string().contains("canned words"), "{error}");
}

#[test]
fn an_address_may_have_a_path_and_a_subject_any_name() {
    let server = Server::start();
    server.answer("GET /apis/ccompat/v7/subjects/a%2Fb%20c/versions", 200, "[]");
    for end in ["", "/"] {
        let urls = vec![format!("{}/apis/ccompat/v7{end}", server.url())];
        let registry =
            Registry::connect(RegistryOptions { urls, ..options(&server) }).expect("valid options");
        registry.check_compatibility("a/b c", BuiltIn::Payout).expect("no version, nothing to break");
    }
}

#[test]
fn a_schema_is_fetched_once() {
    let server = Server::start();
    server.answer("GET /schemas/ids/7", 200, schema_body(BuiltIn::Payout.text())).answer(
        "GET /schemas/ids/8",
        404,
        error_body(40403),
    );
    let registry = connect(&server);
    for _ in 0..3 {
        let schema = registry.fetch(7).expect("an answer").expect("a schema");
        assert_eq!((schema.id(), schema.version_of()), (7, Some(BuiltIn::Payout)));
    }
    assert!(registry.fetch(8).expect("an answer").is_none());
    assert_eq!(server.lines(), ["GET /schemas/ids/7", "GET /schemas/ids/8"]);
}
