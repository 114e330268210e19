//! Clients that no one here wrote produce requests and read what was decided: kcat, Kafka's console tools in Java,
//! Python. Schemas and their ids come from a registry, which `settle run` fills.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use settle_test_services::foreign::{Client, has_schema};
use settle_test_services::kafka::{Cluster, Options};
use settle_test_services::registry::{self, Registry};
use settle_tests::note;
use settle_tests::program::now;
use settle_tests::requests::noon_plus;

use crate::deployment::{Deployment, Process};

const PARTITIONS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(90);
const AMOUNT_MINOR: i64 = 10_000;

/// The three requests of a client: a payment, its retry, and another payment under the same key.
fn requests(client: Client) -> Vec<Value> {
    let payment = |amount_minor: i64| {
        json!({
            "event_type": "PAYMENT",
            "payment_id": format!("{client:?}-1"),
            "original_payment_id": null,
            "idempotency_key": format!("key-{client:?}"),
            "debtor_account": format!("debtor-of-{client:?}"),
            "merchant_id": "m-1",
            "amount_minor": amount_minor,
            "currency": "EUR",
            "payment_method": "BANK_TRANSFER",
            "card": null,
            "country": null,
            "mcc": null,
            "ip": null,
            "device_id": null,
            "requested_at": noon_plus(0).as_micros(),
            "execute_at": null,
            "priority": 0,
            "metadata": { "client": format!("{client:?}") },
        })
    };
    vec![payment(AMOUNT_MINOR), payment(AMOUNT_MINOR), payment(AMOUNT_MINOR + 1)]
}

/// The decisions among the events of AUTHORIZE's journal; the others activate its configuration.
fn decisions(events: &[Value]) -> Vec<&Value> {
    let decisions = events.iter().filter(|event| event["kind"] == "DECISION");
    decisions.map(|event| &event["decision"]).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The ids of the approved payments' decisions, by payment, after a look at all decisions.
fn check_decisions(reader: Client, events: &[Value]) -> BTreeMap<String, String> {
    let decisions = decisions(events);
    let of = |outcome: &str| {
        decisions.iter().filter(|decision| decision["outcome"] == outcome).collect::<Vec<_>>()
    };
    let approved: BTreeMap<String, String> = of("APPROVED")
        .into_iter()
        .map(|decision| {
            assert_eq!(decision["payment"]["amount_minor"], AMOUNT_MINOR, "{reader:?}: {decision}");
            assert_eq!(decision["payment"]["currency"], "EUR", "{reader:?}: {decision}");
            (text(&decision["payment"]["payment_id"]), text(&decision["decision_id"]))
        })
        .collect();
    let expected: Vec<String> = Client::ALL.iter().map(|client| format!("{client:?}-1")).collect();
    let mut found: Vec<String> = approved.keys().cloned().collect();
    found.sort_by_key(|id| expected.iter().position(|known| known == id));
    assert_eq!(found, expected, "read by {reader:?}");

    let mut replayed: Vec<String> =
        of("REPLAYED").into_iter().map(|decision| text(&decision["first"]["decision_id"])).collect();
    replayed.sort();
    let mut first: Vec<String> = approved.values().cloned().collect();
    first.sort();
    assert_eq!(replayed, first, "{reader:?}: each retry has the answer of the first request");
    assert_eq!(of("CONFLICT").len(), Client::ALL.len(), "{reader:?}: a used key never changes its answer");
    assert_eq!(decisions.len(), 3 * Client::ALL.len(), "{reader:?}: one decision for each request");
    approved
}

/// Each ledger transaction balances; the payments, and they alone, are what the scheme owes.
fn check_ledger(reader: Client, transactions: &[Value], approved: &BTreeMap<String, String>) {
    let mut owed_by_decision: BTreeMap<String, i64> = BTreeMap::new();
    for transaction in transactions {
        let mut sum = 0;
        for entry in transaction["entries"].as_array().expect("a list of entries") {
            let amount = entry["amount_minor"].as_i64().expect("an amount");
            let is_debit = entry["direction"] == "DEBIT";
            assert!(is_debit || entry["direction"] == "CREDIT", "{reader:?}: {entry}");
            assert_eq!(entry["currency"], "EUR", "{reader:?}: {entry}");
            let signed = if is_debit { amount } else { -amount };
            sum += signed;
            if entry["account"] == "scheme:BANK_TRANSFER:receivable" {
                *owed_by_decision.entry(text(&transaction["decision_id"])).or_default() += signed;
            }
        }
        assert_eq!(sum, 0, "{reader:?}: debits equal credits: {transaction}");
    }
    let expected: BTreeMap<String, i64> =
        approved.values().map(|decision_id| (decision_id.clone(), AMOUNT_MINOR)).collect();
    assert_eq!(owed_by_decision, expected, "read by {reader:?}");
}

fn wait_for_schemas(registry: &Registry, deployment: &Deployment, process: &mut Process) {
    let started = now();
    while !has_schema(registry, "payments.requested") {
        if process.ended().is_some() || started.elapsed() > PATIENCE {
            deployment.show_logs();
            panic!("settle run has not registered its schemas:\n{}", process.last_words());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Until both stages have handled everything; kcat is the quickest of the readers.
fn wait_for_bookings(registry: &Registry, deployment: &Deployment) {
    let started = now();
    loop {
        let read = |topic: &str| {
            Client::Kcat
                .read(&deployment.cluster, registry, topic)
                .unwrap_or_else(|error| panic!("kcat cannot read {topic}: {error}"))
        };
        let (events, transactions) = (read("payments.decided"), read("ledger.transactions"));
        let decided = decisions(&events).len();
        if decided >= 3 * Client::ALL.len() && transactions.len() >= Client::ALL.len() {
            return;
        }
        if started.elapsed() > PATIENCE {
            deployment.show_logs();
            panic!("after {PATIENCE:?}: {decided} decisions, {} ledger transactions", transactions.len());
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn clients_of_others_write_requests_and_read_what_became_of_them() {
    let registry = Registry::start(&registry::Options::default()).expect("a registry starts");
    let cluster = Cluster::start(Options::default()).expect("Kafka starts");
    let settings = [format!("registry.url={}", registry.url()), "registry.auto_register=true".to_owned()];
    let deployment = Deployment::new(cluster, PARTITIONS).with(&settings);
    let mut process = deployment.start(0);
    wait_for_schemas(&registry, &deployment, &mut process);

    for writer in Client::ALL {
        let (cluster, objects) = (&deployment.cluster, requests(writer));
        let written = writer.write(cluster, &registry, "payments.requested", "debtor_account", &objects);
        written.unwrap_or_else(|error| panic!("{writer:?} cannot write: {error}"));
    }
    wait_for_bookings(&registry, &deployment);

    for reader in Client::ALL {
        let read = |topic: &str| {
            let read = reader.read(&deployment.cluster, &registry, topic);
            read.unwrap_or_else(|error| panic!("{reader:?} cannot read {topic}: {error}"))
        };
        let approved = check_decisions(reader, &read("payments.decided"));
        check_ledger(reader, &read("ledger.transactions"), &approved);
        note(format!("{reader:?} has read {} decisions and the ledger", 3 * Client::ALL.len()));
    }
    process.stop();
    let verdict = deployment.finish_and_judge(0);
    assert_eq!(verdict.report.requests, 3 * Client::ALL.len());
}
