//! The registry client of the program against a real registry: registering, versions of other teams, being away,
//! passwords and certificates.

use std::time::Duration;

use serde_json::{Value, json};
use settle_schema::{
    BasicAuth, BuiltIn, DecodeError, Lookup, Registry, RegistryError, RegistryOptions, Schemas, WeakerLevel,
    WireIds, decode, encode, encode_with,
};
use settle_test_services::registry::{self, Options};
use settle_test_services::tls::{Authority, Certificate};
use settle_types::settle::Payout;

/// How often something is tried, a hundredth of a second apart.
const PATIENCE: usize = 6_000;
const PAUSE: Duration = Duration::from_millis(10);

const SUBJECT: &str = "settlement.payouts-value";

fn options(service: &registry::Registry) -> RegistryOptions {
    RegistryOptions {
        urls: vec![service.url()],
        ca_file: service.ca_file().cloned(),
        auto_register: true,
        // Generous: several builds may share the machine.
        request_timeout_ms: 60_000,
        attempts: 5,
        backoff_ms: 50,
        max_backoff_ms: 200,
        ..RegistryOptions::default()
    }
}

fn client(service: &registry::Registry) -> Registry {
    Registry::connect(options(service)).expect("valid options")
}

fn a_payout() -> Payout {
    let bytes = [0, 0, 0, 0, 7, 2, b'p', 2, b'b', 2, b'm', 2, 6, b'C', b'Z', b'K', 2, 2];
    decode(&bytes).expect("a payout")
}

fn payout_with_id(id: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&a_payout(), &mut bytes);
    bytes[1..5].copy_from_slice(&id.to_be_bytes());
    bytes
}

fn decode_when_known(schemas: &mut Schemas, bytes: &[u8]) -> Result<Payout, DecodeError> {
    for _ in 0..PATIENCE {
        if let Ok(result) = schemas.decode(bytes) {
            return result;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("still pending");
}

/// A request that another team's tool sends.
fn post(service: &registry::Registry, path: &str, body: &Value) -> Value {
    let client =
        reqwest::blocking::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let response = client
        .post(format!("{}/{path}", service.url()))
        .header("Content-Type", "application/vnd.schemaregistry.v1+json")
        .body(body.to_string())
        .send()
        .expect("the registry answers");
    let text = response.text().expect("a text");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

fn put_level(service: &registry::Registry, level: &str) {
    let client =
        reqwest::blocking::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let response = client
        .put(format!("{}/config/{SUBJECT}", service.url()))
        .header("Content-Type", "application/vnd.schemaregistry.v1+json")
        .body(json!({ "compatibility": level }).to_string())
        .send()
        .expect("the registry answers");
    assert!(response.status().is_success(), "{response:?}");
}

fn register_elsewhere(service: &registry::Registry, schema: &Value) -> u32 {
    let body = json!({ "schema": schema.to_string(), "schemaType": "AVRO" });
    let answer = post(service, &format!("subjects/{SUBJECT}/versions"), &body);
    let id = answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}"));
    u32::try_from(id).expect("32 bits")
}

fn our_schema() -> Value {
    serde_json::from_str(BuiltIn::Payout.text()).expect("JSON")
}

/// A payout of another team: fields in another order, and one more.
fn theirs() -> Value {
    let mut schema = our_schema();
    let fields = schema["fields"].as_array_mut().expect("fields");
    fields.reverse();
    fields.insert(1, json!({ "name": "note", "type": ["null", "string"], "default": null }));
    schema
}

/// `a_payout` in that schema, with a note.
fn their_payout(id: u32) -> Vec<u8> {
    // created_at, note, value_date, currency, amount_minor, merchant_id, batch_id, payout_id
    let datum = [2, 2, 2, b'n', 2, 6, b'C', b'Z', b'K', 2, 2, b'm', 2, b'b', 2, b'p'];
    [&[0][..], &id.to_be_bytes(), &datum].concat()
}

#[test]
fn schemas_of_the_program_and_of_others() {
    let service = registry::Registry::start(&Options::default()).expect("the registry starts");

    // Nothing is there, and nothing may be written.
    let reading = RegistryOptions { auto_register: false, ..options(&service) };
    let reading = Registry::connect(reading).expect("valid options");
    let error = reading.publish(&BuiltIn::ALL).expect_err("an empty registry");
    assert_eq!(error.code(), "STL-0506", "{error}");

    let client = client(&service);
    let ids = client.publish(&BuiltIn::ALL).expect("an empty registry takes everything");
    assert_eq!(client.publish(&BuiltIn::ALL).expect("the same again"), ids);
    assert_eq!(reading.publish(&BuiltIn::ALL).expect("now they are there"), ids);
    for schema in BuiltIn::ALL {
        client.check_compatibility(&schema.subject(), schema).expect("compatible, and at the full level");
        let id = ids.of(schema).expect("published");
        let found = client.fetch(id).expect("an answer").expect("a schema");
        assert_eq!(found.version_of(), Some(schema));
    }
    let mut value = Vec::new();
    encode_with(&ids, &a_payout(), &mut value);
    assert_eq!(client.schemas(ids).decode(&value), Ok(Ok(a_payout())));

    // A version of another team, met by a worker that was there before.
    let other = Registry::connect(options(&service)).expect("valid options");
    let mut worker = other.schemas(ids);
    let id = register_elsewhere(&service, &theirs());
    assert_eq!(decode_when_known(&mut worker, &their_payout(id)), Ok(a_payout()));
    let json = worker.to_json_string(&their_payout(id)).expect("known").expect("a payout");
    assert!(json.contains(r#""note":"n""#), "{json}");
    client.publish(&BuiltIn::ALL).expect("their version is compatible");
    let unknown = decode_when_known(&mut worker, &payout_with_id(9_999));
    assert_eq!(unknown, Err(DecodeError::UnknownSchema { id: 9_999 }));

    // A level under which anything goes, and something that went.
    put_level(&service, "NONE");
    let error = client.publish(&[BuiltIn::Payout]).expect_err("a weaker level");
    assert_eq!(error.code(), "STL-0505", "{error}");
    let mut broken = our_schema();
    broken["fields"].as_array_mut().expect("fields").remove(3);
    let broken_id = register_elsewhere(&service, &broken);
    let lenient = RegistryOptions { weaker_level: WeakerLevel::Warn, ..options(&service) };
    let error = Registry::connect(lenient)
        .expect("valid options")
        .publish(&[BuiltIn::Payout])
        .expect_err("an incompatible version");
    assert_eq!(error.code(), "STL-0504", "{error}");
    assert!(error.to_string().contains("version 3") && error.to_string().contains("amount_minor"), "{error}");
    let refused =
        decode_when_known(&mut worker, &payout_with_id(broken_id)).expect_err("not readable as ours");
    assert!(refused.to_string().contains("amount_minor is missing"), "{refused}");
}

/// A cluster is rolled out: every process finds an empty registry, and all of them register.
#[test]
fn several_processes_that_start_at_once() {
    let service = registry::Registry::start(&Options::default()).expect("the registry starts");
    let mut starting = Vec::new();
    for _ in 0..6 {
        let options = options(&service);
        starting.push(std::thread::spawn(move || {
            Registry::connect(options).expect("valid options").publish(&BuiltIn::ALL)
        }));
    }
    let mut ids = Vec::new();
    for thread in starting {
        ids.push(thread.join().expect("no panic").expect("each of them finds or makes its subjects"));
    }
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
    let client = client(&service);
    for schema in BuiltIn::ALL {
        client.check_compatibility(&schema.subject(), schema).expect("at the full level");
    }
}

/// The registry's own judgement: stricter than nothing, where the level is set.
#[test]
fn the_registry_refuses_what_breaks_readers() {
    let service = registry::Registry::start(&Options::default()).expect("the registry starts");
    let mut older = our_schema();
    older["fields"].as_array_mut().expect("fields").remove(3);
    let _ = register_elsewhere(&service, &older);
    put_level(&service, "FULL_TRANSITIVE");
    let error = client(&service).publish(&[BuiltIn::Payout]).expect_err("an older version without an amount");
    assert_eq!(error.code(), "STL-0504", "{error}");
    assert!(error.to_string().contains("version 1"), "{error}");
}

#[test]
fn a_registry_that_goes_away_and_comes_back() {
    let service = registry::Registry::start(&Options::default()).expect("the registry starts");
    let client = client(&service);
    let ids = client.publish(&[BuiltIn::Payout]).expect("an empty registry takes everything");
    let id = register_elsewhere(&service, &theirs());
    let mut known = client.schemas(ids);
    assert_eq!(decode_when_known(&mut known, &their_payout(id)), Ok(a_payout()));

    service.kill9().expect("it is killed");
    let hasty = RegistryOptions { request_timeout_ms: 500, attempts: 2, ..options(&service) };
    let newcomer = Registry::connect(hasty.clone()).expect("valid options");
    let error = newcomer.publish(&[BuiltIn::Payout]).expect_err("nobody is there");
    assert_eq!(error.code(), "STL-0501", "{error}");
    let mut fresh = newcomer.schemas(ids);
    assert!(fresh.decode::<Payout>(&their_payout(id)).is_err(), "pending");
    let mut own = Vec::new();
    encode_with(&ids, &a_payout(), &mut own);
    for _ in 0..20 {
        assert_eq!(known.decode(&own), Ok(Ok(a_payout())));
        assert_eq!(known.decode(&their_payout(id)), Ok(Ok(a_payout())));
        assert!(matches!(fresh.resolve(id), Lookup::Pending));
        std::thread::sleep(PAUSE);
    }
    service.restart().expect("it starts again");
    assert_eq!(decode_when_known(&mut fresh, &their_payout(id)), Ok(a_payout()));
    assert_eq!(newcomer.publish(&[BuiltIn::Payout]).expect("it is back, with its schemas"), ids);

    // Connections are taken and nothing comes.
    service.pause().expect("it stands still");
    let stuck = Registry::connect(hasty).expect("valid options");
    let error = stuck.publish(&[BuiltIn::Payout]).expect_err("it stands still");
    assert_eq!(error.code(), "STL-0501", "{error}");
    let mut waiting = stuck.schemas(ids);
    assert!(waiting.decode::<Payout>(&their_payout(id)).is_err(), "pending");
    service.resume().expect("it goes on");
    assert_eq!(decode_when_known(&mut waiting, &their_payout(id)), Ok(a_payout()));
}

#[test]
fn passwords_and_certificates() {
    let auth = ("settle".to_owned(), "a secret".to_owned());
    let guarded = Options { basic_auth: Some(auth.clone()), tls: Some(Certificate::Valid) };
    let service = registry::Registry::start(&guarded).expect("the registry starts");
    let with = |secret: &str| RegistryOptions {
        basic_auth: Some(BasicAuth { user: auth.0.clone(), secret: secret.to_owned() }),
        ..options(&service)
    };
    let publish = |options: RegistryOptions| -> Result<WireIds, RegistryError> {
        Registry::connect(options).expect("valid options").publish(&[BuiltIn::Payout])
    };
    publish(with(&auth.1)).expect("the right password and a trusted certificate");
    let error = publish(with("another")).expect_err("a wrong password");
    assert_eq!(error.code(), "STL-0502", "{error}");

    let folder = tempfile::TempDir::new().expect("a folder");
    let stranger = folder.path().join("stranger.pem");
    let authority = Authority::new("nobody we know").expect("an authority");
    std::fs::write(&stranger, authority.certificate_pem()).expect("a file");
    let error = publish(RegistryOptions { ca_file: Some(stranger), ..with(&auth.1) }).expect_err("untrusted");
    assert_eq!(error.code(), "STL-0503", "{error}");

    for (certificate, words) in [(Certificate::Expired, "expired"), (Certificate::WrongHost, "another host")]
    {
        let shown = Options { basic_auth: None, tls: Some(certificate) };
        let service = registry::Registry::start(&shown).expect("the registry starts");
        let error = publish(options(&service)).expect_err(words);
        assert_eq!(error.code(), "STL-0503", "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
