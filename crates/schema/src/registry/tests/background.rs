//! What a worker sees: known ids go on, new ones are pending until the registry says what they are.

use std::time::Duration;

use proptest::prelude::*;
use settle_types::settle::Payout;

use super::server::{Canned, Server};
use super::{connect, error_body, options, schema_body};
use crate::{
    BuiltIn, DecodeError, Lookup, PendingSchema, Registry, RegistryOptions, RegistryStatus, Schemas, WireIds,
    decode, encode,
};

/// A value of each id is decoded as often as this, with a pause of a millisecond, until it is known.
const PATIENCE: usize = 10_000;

fn a_payout() -> Payout {
    let bytes = [0, 0, 0, 0, 7, 2, b'p', 2, b'b', 2, b'm', 2, 6, b'C', b'Z', b'K', 2, 2];
    decode(&bytes).expect("a payout")
}

/// A payout under another id.
fn payout_with_id(id: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&a_payout(), &mut bytes);
    bytes[1..5].copy_from_slice(&id.to_be_bytes());
    bytes
}

/// Tries again while it is pending, as a worker does.
fn decode_when_known(schemas: &mut Schemas, bytes: &[u8]) -> Result<Payout, DecodeError> {
    for _ in 0..PATIENCE {
        if let Ok(result) = schemas.decode(bytes) {
            return result;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("still pending");
}

fn wait_for(registry: &Registry, what: &str, is_there: impl Fn(&RegistryStatus) -> bool) -> RegistryStatus {
    for _ in 0..PATIENCE {
        let status = registry.status();
        if is_there(&status) {
            return status;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("no {what}: {:?}", registry.status());
}

#[test]
fn built_in_schemas_need_no_registry() {
    let mut schemas = Schemas::built_in();
    let mut bytes = Vec::new();
    schemas.encode(&a_payout(), &mut bytes);
    assert!(schemas.is_ready(&bytes));
    assert_eq!(schemas.decode(&bytes), Ok(Ok(a_payout())));
    let json = schemas.to_json_string(&bytes).expect("never pending").expect("a payout");
    assert!(json.starts_with(r#"{"payout_id":"p""#), "{json}");
    let unknown = payout_with_id(8);
    assert!(schemas.is_ready(&unknown));
    assert_eq!(schemas.decode::<Payout>(&unknown), Ok(Err(DecodeError::UnknownSchema { id: 8 })));
}

#[test]
fn our_own_id_is_known_without_asking() {
    let server = Server::start();
    let mut schemas = connect(&server).schemas(WireIds::of_registry([(BuiltIn::Payout, 900)]));
    let mut bytes = Vec::new();
    schemas.encode(&a_payout(), &mut bytes);
    assert_eq!(bytes, payout_with_id(900));
    assert_eq!(schemas.decode(&bytes), Ok(Ok(a_payout())));
    assert_eq!(server.lines(), [""; 0], "nothing was asked");
    // The id that is built in means nothing here.
    assert_eq!(schemas.decode::<Payout>(&payout_with_id(7)), Err(PendingSchema { id: 7 }));
}

#[test]
fn a_new_id_is_pending_then_known_and_asked_for_once() {
    let server = Server::start();
    let slow = Canned::Late(Duration::from_millis(50), 200, schema_body(BuiltIn::Payout.text()));
    server.set("GET /schemas/ids/31", &[slow]);
    let registry = connect(&server);
    let (mut one, mut other) = (registry.reader(), registry.reader());
    let bytes = payout_with_id(31);
    assert!(!one.is_ready(&bytes), "nobody waits for the network");
    assert_eq!(other.decode::<Payout>(&bytes), Err(PendingSchema { id: 31 }));
    assert_eq!(decode_when_known(&mut one, &bytes), Ok(a_payout()));
    assert!(other.is_ready(&bytes));
    assert_eq!(other.decode(&bytes), Ok(Ok(a_payout())));
    assert_eq!(server.lines(), ["GET /schemas/ids/31"]);
}

#[test]
fn while_the_registry_is_down_known_ids_go_on() {
    let server = Server::start();
    server.answer("GET /schemas/ids/31", 200, schema_body(BuiltIn::Payout.text()));
    server.answer("GET /schemas/ids/32", 503, "");
    let registry = connect(&server);
    let mut schemas = registry.reader();
    assert_eq!(decode_when_known(&mut schemas, &payout_with_id(31)), Ok(a_payout()));

    assert_eq!(schemas.decode::<Payout>(&payout_with_id(32)), Err(PendingSchema { id: 32 }));
    let status = wait_for(&registry, "failures", |status| status.failures_in_a_row >= 3);
    assert_eq!((status.known_schemas, status.pending_ids, status.unknown_ids), (1, 1, 0));
    assert_eq!(status.failure.expect("a failure").0, "STL-0501");
    assert_eq!(schemas.decode(&payout_with_id(31)), Ok(Ok(a_payout())));
    assert_eq!(schemas.decode::<Payout>(&payout_with_id(32)), Err(PendingSchema { id: 32 }));

    server.answer("GET /schemas/ids/32", 200, schema_body(BuiltIn::Payout.text()));
    assert_eq!(decode_when_known(&mut schemas, &payout_with_id(32)), Ok(a_payout()));
    let status = registry.status();
    assert_eq!((status.failures_in_a_row, status.pending_ids, status.failure), (0, 0, None));
    assert!(
        status.failures >= 3 && status.requests == status.failures + 2,
        "{} {}",
        status.requests,
        status.failures
    );
}

#[test]
fn unknown_only_when_the_registry_says_so_several_times() {
    let server = Server::start();
    // A node that does not have it yet, another that does.
    let not_found = || Canned::Answer(404, error_body(40403));
    let found = Canned::Answer(200, schema_body(BuiltIn::Payout.text()));
    server.set("GET /schemas/ids/31", &[not_found(), not_found(), found]);
    server.set("GET /schemas/ids/32", &[not_found()]);
    let registry = connect(&server);
    let mut schemas = registry.reader();
    assert_eq!(decode_when_known(&mut schemas, &payout_with_id(31)), Ok(a_payout()));
    let unknown = decode_when_known(&mut schemas, &payout_with_id(32));
    assert_eq!(unknown, Err(DecodeError::UnknownSchema { id: 32 }));
    assert!(matches!(registry.lookup(32), Lookup::Unknown));
    let asked = server.lines().iter().filter(|line| line.ends_with("/32")).count();
    assert_eq!(asked, 3);
}

#[test]
fn not_found_by_another_server_is_no_answer() {
    let server = Server::start();
    let registry = connect(&server);
    assert!(matches!(registry.lookup(31), Lookup::Pending));
    let status = wait_for(&registry, "failures", |status| status.failures_in_a_row >= 5);
    assert_eq!(status.failure.expect("a failure").0, "STL-0507");
    assert!(matches!(registry.lookup(31), Lookup::Pending), "never unknown, whatever the page says");
    // It holds up nobody else.
    server.answer("GET /schemas/ids/32", 200, schema_body(BuiltIn::Payout.text()));
    assert_eq!(decode_when_known(&mut registry.reader(), &payout_with_id(32)), Ok(a_payout()));
}

#[test]
fn an_unknown_id_is_asked_for_again_after_a_while() {
    let server = Server::start();
    server.answer("GET /schemas/ids/31", 404, error_body(40403));
    let forgetful = RegistryOptions { unknown_ttl_ms: 30, unknown_confirmations: 1, ..options(&server) };
    let registry = Registry::connect(forgetful).expect("valid options");
    let mut schemas = registry.reader();
    let unknown = decode_when_known(&mut schemas, &payout_with_id(31));
    assert_eq!(unknown, Err(DecodeError::UnknownSchema { id: 31 }));
    server.answer("GET /schemas/ids/31", 200, schema_body(BuiltIn::Payout.text()));
    for _ in 0..PATIENCE {
        if decode_when_known(&mut schemas, &payout_with_id(31)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the registry has it now");
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_written_with() {
    let server = Server::start();
    for id in 0..20 {
        server.answer(&format!("GET /schemas/ids/{id}"), 200, schema_body(BuiltIn::Payout.text()));
    }
    server.answer("GET /subjects/settlement.payouts-value/versions", 404, error_body(40401));
    server.answer("PUT /config/settlement.payouts-value", 200, "{}");
    server.answer("POST /subjects/settlement.payouts-value/versions", 200, r#"{"id": 900}"#);
    let small = RegistryOptions { cached_schemas: 4, ..options(&server) };
    let registry = Registry::connect(small).expect("valid options");
    let ids = registry.publish(&[BuiltIn::Payout]).expect("a registry that takes everything");
    let mut schemas = registry.schemas(ids);
    for id in 0..20 {
        assert_eq!(decode_when_known(&mut schemas, &payout_with_id(id)), Ok(a_payout()), "{id}");
    }
    assert_eq!(registry.status().known_schemas, 5);
    assert!(matches!(registry.lookup(900), Lookup::Known(_)));
}

#[test]
fn schemas_that_cannot_be_used_say_why() {
    let with_references =
        r#"{"schema": "\"string\"", "references": [{"name": "a", "subject": "s", "version": 1}]}"#;
    let cases = [
        (r#"{"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"}"#.to_owned(), "PROTOBUF"),
        (with_references.to_owned(), "other subjects"),
        (schema_body("{"), "not a usable Avro schema"),
        (schema_body(&BuiltIn::Payout.text().replace("timestamp-micros", "timestamp-millis")), "created_at"),
        (schema_body(&BuiltIn::Payout.text().replacen("payout_id", "other", 1)), "payout_id is missing"),
    ];
    let server = Server::start();
    let registry = connect(&server);
    let mut schemas = registry.reader();
    for (id, (body, expected)) in (31..).zip(cases) {
        server.answer(&format!("GET /schemas/ids/{id}"), 200, body);
        let bytes = payout_with_id(id);
        let error = decode_when_known(&mut schemas, &bytes).expect_err("not usable");
        assert!(
            matches!(&error, DecodeError::UnusableSchema { what, .. } if what.contains(expected)),
            "{error}"
        );
        assert_eq!(error.reason_code(), settle_types::reason::UNDECODABLE);
        let json = schemas.to_json_string(&bytes);
        assert_eq!(json, Ok(Err(error)));
    }
    server.answer("GET /schemas/ids/50", 200, schema_body(BuiltIn::PaymentResult.text()));
    let wrong = decode_when_known(&mut schemas, &payout_with_id(50)).expect_err("another record");
    assert!(matches!(wrong, DecodeError::WrongSchema { .. }), "{wrong}");
}

#[test]
fn the_thread_ends_with_the_last_handle() {
    let server = Server::start();
    server.answer("GET /schemas/ids/31", 503, "");
    let registry = connect(&server);
    let schemas = registry.reader();
    assert!(matches!(registry.lookup(31), Lookup::Pending));
    wait_for(&registry, "failures", |status| status.failures_in_a_row >= 1);
    drop(registry);
    let mut schemas = schemas;
    let failing = schemas.decode::<Payout>(&payout_with_id(31));
    assert_eq!(failing, Err(PendingSchema { id: 31 }));
    server.answer("GET /schemas/ids/31", 200, schema_body(BuiltIn::Payout.text()));
    assert_eq!(
        decode_when_known(&mut schemas, &payout_with_id(31)),
        Ok(a_payout()),
        "a worker's handle counts"
    );

    // With an id that it would ask for again and again.
    server.answer("GET /schemas/ids/32", 503, "");
    assert_eq!(schemas.decode::<Payout>(&payout_with_id(32)), Err(PendingSchema { id: 32 }));
    drop(schemas);
    for _ in 0..100 {
        let asked = server.lines().len();
        std::thread::sleep(Duration::from_millis(300));
        if server.lines().len() == asked {
            return;
        }
    }
    panic!("somebody still asks");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes under any id are a value, an error or pending, and never a panic.
    #[test]
    fn any_bytes_under_any_id(values in proptest::collection::vec((any::<u8>(), 0u32..12, proptest::collection::vec(any::<u8>(), 0..60)), 1..40)) {
        let server = Server::start();
        let texts = [BuiltIn::Payout.text(), BuiltIn::PaymentRequested.text(), r#""string""#, "{"];
        for (id, text) in (0u32..).zip(texts) {
            server.answer(&format!("GET /schemas/ids/{id}"), 200, schema_body(text));
        }
        server.answer("GET /schemas/ids/5", 404, error_body(40403));
        server.answer("GET /schemas/ids/6", 500, "");
        let mut schemas = connect(&server).schemas(WireIds::of_registry([(BuiltIn::Payout, 0)]));
        for _ in 0..3 {
            for (magic, id, datum) in &values {
                let bytes = [&[magic & 1][..], &id.to_be_bytes(), datum].concat();
                let short = &bytes[..bytes.len().min(usize::from(*magic))];
                for bytes in [&bytes[..], short] {
                    let _ = schemas.is_ready(bytes);
                    let _ = schemas.to_json_string(bytes);
                    if let Ok(Ok(payout)) = schemas.decode::<Payout>(bytes) {
                        prop_assert!(*id == 0, "{payout:?}");
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}
