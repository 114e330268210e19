//! What the pipeline might have written, by hand: two partitions, every outcome, one batch that is paid and one that
//! is carried. Tests tamper with it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::{Value, json};

use super::super::avro::schema;
use super::super::records::LedgerTransaction;
use super::super::{Partition, Read, Record, TOPICS, ledger, topic};

/// The clock at the beginning, microseconds since 1970.
const START: i64 = 1_772_442_900_000_000;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 3600 * SECOND;
const FIRST_BATCH: &str = "m-1:EUR:2026-03-02";
const SECOND_BATCH: &str = "m-1:EUR:2026-03-09";

#[derive(Clone)]
pub(super) enum Content {
    Json(Value),
    Raw(Vec<u8>),
}

#[derive(Clone)]
pub(super) struct Written {
    pub(super) offset: i64,
    pub(super) key: Option<String>,
    pub(super) content: Content,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Clone, Default)]
pub(in super::super) struct World {
    topics: BTreeMap<&'static str, BTreeMap<i32, Vec<Written>>>,
    ledger_heads: BTreeMap<i32, (i64, String)>,
    clock: i64,
}

impl World {
    pub(super) fn records(&mut self, topic: &'static str, partition: i32) -> &mut Vec<Written> {
        self.topics.entry(topic).or_default().entry(partition).or_default()
    }

    /// The value of a record, for tampering.
    pub(super) fn json(&mut self, topic: &'static str, partition: i32, offset: usize) -> &mut Value {
        match &mut self.records(topic, partition)[offset].content {
            Content::Json(value) => value,
            Content::Raw(_) => panic!("{topic}-{partition}@{offset} has no value that could be read"),
        }
    }

    fn write(&mut self, topic: &'static str, partition: i32, key: &str, content: Content) -> i64 {
        let records = self.records(topic, partition);
        let offset = i64::try_from(records.len()).unwrap();
        records.push(Written { offset, key: Some(key.to_owned()), content, headers: Vec::new() });
        offset
    }

    pub(in super::super) fn read(&self) -> Read {
        let mut read = Read::default();
        for topic in TOPICS {
            let partitions = read.topics.entry(topic.to_owned()).or_default();
            for partition in 0..2 {
                let written = self.topics.get(topic).and_then(|partitions| partitions.get(&partition));
                let records: Vec<Record> =
                    written.into_iter().flatten().map(|written| encoded(topic, written)).collect();
                let end = records.last().map_or(0, |last| last.offset + 1);
                partitions.insert(partition, Partition { start: 0, end, records });
            }
        }
        read
    }
}

/// Schemas that were parsed already: a world has many records of each.
fn with_schema<T>(topic: &str, use_it: impl FnOnce(&Schema) -> T) -> T {
    thread_local! {
        static SCHEMAS: RefCell<BTreeMap<String, Schema>> = const { RefCell::new(BTreeMap::new()) };
    }
    SCHEMAS
        .with_borrow_mut(|schemas| use_it(schemas.entry(topic.to_owned()).or_insert_with(|| schema(topic))))
}

fn encoded(topic: &str, written: &Written) -> Record {
    let bytes = |text: &String| text.as_bytes().into();
    let value = match &written.content {
        Content::Raw(raw) => raw.clone(),
        Content::Json(value) => with_schema(topic, |schema| {
            let value = Avro::try_from(value.clone()).and_then(|value| value.resolve(schema));
            let value = value.unwrap_or_else(|error| panic!("{topic}: {error}"));
            let writer = GenericDatumWriter::builder(schema).build().unwrap();
            let body = writer.write_value_to_vec(value).unwrap();
            [&[0, 0, 0, 0, 9], body.as_slice()].concat()
        }),
    };
    Record {
        offset: written.offset,
        timestamp_ms: START / 1000,
        key: written.key.as_ref().map(bytes),
        value: Some(value.into()),
        headers: written.headers.iter().map(|(name, value)| (name.clone(), bytes(value))).collect(),
    }
}

/// A request, as every topic writes it.
fn payment(debtor: &str, merchant: &str, kind: &str, id: &str, key: &str, amount: i64) -> Value {
    json!({
        "event_type": kind, "payment_id": id, "original_payment_id": null, "idempotency_key": key,
        "debtor_account": debtor, "merchant_id": merchant, "amount_minor": amount, "currency": "EUR",
        "payment_method": "CARD", "requested_at": START, "execute_at": null,
    })
}

fn about(mut payment: Value, original: &str) -> Value {
    payment["original_payment_id"] = json!(original);
    payment
}

fn decision_id(partition: i32, offset: i64) -> String {
    format!("payments.requested-{partition}-{offset}")
}

fn reason(code: &str) -> Value {
    json!([{ "code": code, "detail": "found, and expected" }])
}

/// AUTHORIZE.
impl World {
    fn journal(&mut self, topic: &'static str, partition: i32, kind: &str, body: Value) {
        self.clock += SECOND;
        let mut event = json!({
            "sequence": self.records(topic, partition).len(), "kind": kind, "now": START + self.clock,
            "logic_version": 1, "min_fold_version": 1,
        });
        event.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        self.write(topic, partition, "key", Content::Json(event));
    }

    fn config(&mut self, topic: &'static str, partition: i32) {
        self.journal(topic, partition, "CONFIG", json!({ "config": { "hash": "", "content": "{}" } }));
    }

    /// Writes a request and its decision.
    fn decided(&mut self, partition: i32, payment: &Value, outcome: &str, more: Value) -> i64 {
        let mut request = payment.clone();
        request["card"] = json!({ "token": "tok-1" });
        request["metadata"] = json!({ "order": "1" });
        request["country"] = json!("CZ");
        request["priority"] = json!(0);
        let debtor = payment["debtor_account"].as_str().unwrap();
        let offset = self.write(topic::REQUESTED, partition, debtor, Content::Json(request));
        let now = START + self.clock + SECOND;
        let is_first = matches!(outcome, "APPROVED" | "DECLINED" | "SCHEDULED" | "REVIEW");
        let mut decision = json!({
            "decision_id": decision_id(partition, offset), "outcome": outcome, "payment": payment,
            "reasons": [], "forwarded": outcome == "APPROVED",
            "key_expires_at": if is_first { json!(now + 7 * DAY) } else { json!(null) },
        });
        decision.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let input = json!({ "topic": topic::REQUESTED, "partition": partition, "offset": offset });
        let is_dead = matches!(outcome, "CONFLICT" | "INVALID");
        if is_dead {
            self.dead_letter(topic::REQUESTED, partition, offset, &decision["reasons"][0]["code"]);
        }
        self.journal(topic::DECIDED, partition, "DECISION", json!({ "input": input, "decision": decision }));
        offset
    }

    fn transition(
        &mut self,
        partition: i32,
        input: Value,
        payment: &Value,
        decision_id: &str,
        change: [&str; 2],
    ) {
        let [from, to] = change;
        let transition = json!({
            "decision_id": decision_id, "from": from, "to": to, "cause": "UNKNOWN", "payment": payment,
            "reasons": [], "forwarded": from == "SCHEDULED" && to == "APPROVED",
        });
        let body = json!({ "input": input, "transition": transition });
        self.journal(topic::DECIDED, partition, "TRANSITION", body);
    }

    /// Sends on what the last event of the journal let through.
    fn sent_on(&mut self, payment: &Value, decision_id: &str) -> Value {
        let mut approved = payment.clone();
        let fields = approved.as_object_mut().unwrap();
        fields.remove("idempotency_key");
        fields.remove("execute_at");
        fields.insert("decision_id".to_owned(), json!(decision_id));
        fields.insert("decided_at".to_owned(), json!(START + self.clock));
        let merchant = payment["merchant_id"].as_str().unwrap();
        let partition = i32::from(merchant != "m-1");
        self.write(topic::APPROVED, partition, merchant, Content::Json(approved.clone()));
        approved
    }

    fn dead_letter(&mut self, source: &'static str, partition: i32, offset: i64, code: &Value) {
        let original = self.records(source, partition)[usize::try_from(offset).unwrap()].clone();
        let value = encoded(source, &original).value.unwrap();
        self.write(topic::DEAD_LETTER, partition, "", Content::Raw(value.into()));
        let letter = self.records(topic::DEAD_LETTER, partition).last_mut().unwrap();
        letter.key = original.key;
        let texts = [source.to_owned(), partition.to_string(), offset.to_string()];
        let code = code.as_str().unwrap().to_owned();
        let names = ["source.topic", "source.partition", "source.offset"];
        letter.headers = names.iter().map(|name| format!("settle.{name}")).zip(texts).collect();
        letter.headers.push(("settle.code".to_owned(), code));
        letter.headers.push(("settle.reason".to_owned(), "found, and expected".to_owned()));
    }
}

/// SETTLE.
impl World {
    /// Seals a transaction at the end of the ledger; rows are debit, credit and amount.
    fn post(
        &mut self,
        partition: i32,
        posting: &str,
        batch: &str,
        decision_id: Option<&str>,
        rows: &[(&str, &str, i64)],
    ) -> Value {
        let first = (0, "0".repeat(64));
        let (sequence, prev_hash) = self.ledger_heads.get(&partition).cloned().unwrap_or(first);
        let recorded_at = START + self.clock + SECOND;
        let entry = |account: &str, direction: &str, amount: i64| json!({ "account": account, "direction": direction, "amount_minor": amount, "currency": "EUR" });
        let entries = rows.iter().flat_map(|(debit, credit, amount)| {
            [entry(debit, "DEBIT", *amount), entry(credit, "CREDIT", *amount)]
        });
        let mut transaction = json!({
            "transaction_id": format!("{partition}-{sequence}"), "sequence": sequence, "encoding_version": 1,
            "posting": posting, "effective_at": recorded_at, "recorded_at": recorded_at, "batch_id": batch,
            "decision_id": decision_id, "entries": entries.collect::<Vec<_>>(), "prev_hash": prev_hash,
            "hash": "",
        });
        seal(&mut transaction);
        let hash = transaction["hash"].as_str().unwrap().to_owned();
        self.ledger_heads.insert(partition, (sequence + 1, hash));
        self.write(topic::LEDGER_TRANSACTIONS, partition, "m-1", Content::Json(transaction.clone()));
        transaction
    }

    fn booked(&mut self, offset: i64, approved: &Value, fee: i64, posting: &str, rows: &[(&str, &str, i64)]) {
        let decision_id = approved["decision_id"].as_str().unwrap();
        let ledger = self.post(0, posting, FIRST_BATCH, Some(decision_id), rows);
        let decision = json!({
            "outcome": "BOOKED", "approved": approved, "reasons": [],
            "booking": { "batch_id": FIRST_BATCH, "sales_day": 20_514, "late_for": null, "fee_minor": fee },
        });
        let opened = (offset == 0).then(|| opened(FIRST_BATCH));
        let input = json!({ "topic": topic::APPROVED, "partition": 0, "offset": offset });
        let body = json!({ "input": input, "decision": decision, "ledger": ledger, "batch_opened": opened });
        self.journal(topic::SETTLEMENT_EVENTS, 0, "DECISION", body);
    }

    fn not_booked(&mut self, offset: i64, outcome: &str, approved: Option<&Value>, code: &str) {
        self.dead_letter(topic::APPROVED, 1, offset, &json!(code));
        let decision = json!({ "outcome": outcome, "approved": approved, "reasons": reason(code) });
        let input = json!({ "topic": topic::APPROVED, "partition": 1, "offset": offset });
        let body = json!({ "input": input, "decision": decision });
        self.journal(topic::SETTLEMENT_EVENTS, 1, "DECISION", body);
    }

    fn closed(&mut self, batch: &str, totals: [i64; 11], reserve: i64, payout: i64, carried: i64) {
        let rows = [
            ("merchant:m-1:payable", "merchant:m-1:reserve", reserve),
            ("merchant:m-1:payable", "merchant:m-1:in-transit", payout),
        ];
        let rows: Vec<_> = rows.into_iter().filter(|(.., amount)| *amount > 0).collect();
        let ledger = (!rows.is_empty()).then(|| self.post(0, "BATCH_CLOSE", batch, None, &rows));
        let names = [
            "sales_count",
            "sales_minor",
            "fees_minor",
            "refunds_count",
            "refunds_minor",
            "chargebacks_count",
            "chargebacks_minor",
            "reversals_count",
            "reversals_minor",
            "reserve_released_minor",
            "carried_in_minor",
        ];
        let totals: BTreeMap<_, _> = names.into_iter().zip(totals).collect();
        let payout = (payout > 0).then(|| {
            json!({
                "payout_id": format!("payout:{batch}"), "batch_id": batch, "merchant_id": "m-1",
                "amount_minor": payout, "currency": "EUR", "value_date": 20_515,
                "created_at": START + self.clock + SECOND,
            })
        });
        if let Some(payout) = &payout {
            self.write(topic::PAYOUTS, 0, "m-1", Content::Json(payout.clone()));
        }
        let closed = json!({
            "batch_id": batch, "merchant_id": "m-1", "currency": "EUR", "sales_day": 20_514, "cause": "CUT_OFF",
            "status": if payout.is_some() { "AWAITING_SETTLEMENT" } else { "CARRIED" }, "totals": totals,
            "reserve_minor": reserve, "reserve_release_at": null, "carried_out_minor": carried,
            "payout": payout,
        });
        let body = json!({ "batch_closed": closed, "ledger": ledger });
        self.journal(topic::SETTLEMENT_EVENTS, 0, "TICK", body);
    }
}

fn opened(batch: &str) -> Value {
    json!({
        "batch_id": batch, "merchant_id": "m-1", "currency": "EUR", "sales_day": 20_514, "cut_off_at": START,
        "carried_in_minor": 0,
    })
}

/// Gives a transaction the hash of its content.
pub(super) fn seal(transaction: &mut Value) {
    let typed: LedgerTransaction = serde_json::from_value(transaction.clone()).unwrap();
    transaction["hash"] = json!(ledger::hash(&typed).unwrap());
}

/// A world in which everything is right.
///
/// Requests of partition 0 by offset: 0 approved, 1 its retry, 2 its key with other content, 3 garbage, 4 declined,
/// 5 scheduled, 6 a refund, 7 a used payment id, 8 approved, 9 its cancellation. Of partition 1: 0 refused by
/// SETTLE, 1 approved, 2 its chargeback, 3 the reversal of that.
pub(in super::super) fn world() -> World {
    let mut world = World::default();
    let (receivable, payable, fees) = ("scheme:CARD:receivable", "merchant:m-1:payable", "revenue:fees");
    let suspense = "chargeback:m-1:suspense";

    world.config(topic::DECIDED, 0);
    let first = payment("d-1", "m-1", "PAYMENT", "p-1", "k-1", 10_000);
    world.decided(0, &first, "APPROVED", everything());
    let first_id = decision_id(0, 0);
    let first_sent = world.sent_on(&first, &first_id);
    let answer = |code: &str| json!({ "first": { "decision_id": decision_id(0, 0), "outcome": "APPROVED" }, "reasons": reason(code) });
    world.decided(0, &first, "REPLAYED", answer("REPLAY"));
    let other = payment("d-1", "m-1", "PAYMENT", "p-1", "k-1", 9_999);
    world.decided(0, &other, "CONFLICT", answer("IDEMPOTENCY_KEY_REUSED"));
    garbage(&mut world);
    let declined = payment("d-1", "m-1", "PAYMENT", "p-2", "k-2", 500);
    world.decided(0, &declined, "DECLINED", json!({ "reasons": reason("RULE_DECLINED") }));
    let mut scheduled = payment("d-1", "m-1", "PAYMENT", "p-3", "k-3", 2_000);
    scheduled["execute_at"] = json!(START + 10 * SECOND);
    world.decided(0, &scheduled, "SCHEDULED", json!({}));
    let refund = about(payment("d-1", "m-1", "REFUND", "r-1", "k-4", 4_000), "p-1");
    world.decided(0, &refund, "APPROVED", json!({}));
    let refund_sent = world.sent_on(&refund, &decision_id(0, 6));
    let used = payment("d-1", "m-1", "PAYMENT", "p-1", "k-5", 10_000);
    world.decided(0, &used, "CONFLICT", answer("PAYMENT_ID_REUSED"));
    let undone = payment("d-1", "m-1", "PAYMENT", "p-5", "k-8", 700);
    world.decided(0, &undone, "APPROVED", json!({}));
    let undone_sent = world.sent_on(&undone, &decision_id(0, 8));
    let cancellation = about(payment("d-1", "m-1", "CANCELLATION", "c-1", "k-9", 700), "p-5");
    world.decided(0, &cancellation, "APPROVED", json!({}));
    let cancellation_sent = world.sent_on(&cancellation, &decision_id(0, 9));
    world.transition(0, json!(null), &undone, &decision_id(0, 8), ["APPROVED", "CANCELLED"]);
    world.transition(0, json!(null), &scheduled, &decision_id(0, 5), ["SCHEDULED", "APPROVED"]);
    let scheduled_sent = world.sent_on(&scheduled, &decision_id(0, 5));

    let refused = payment("d-2", "m-2", "PAYMENT", "p-4", "k-1", 300);
    world.decided(1, &refused, "APPROVED", json!({}));
    let refused_sent = world.sent_on(&refused, &decision_id(1, 0));
    let disputed = payment("d-2", "m-1", "PAYMENT", "p-6", "k-2", 1_000);
    world.decided(1, &disputed, "APPROVED", json!({}));
    let disputed_sent = world.sent_on(&disputed, &decision_id(1, 1));
    let chargeback = about(payment("d-2", "m-1", "CHARGEBACK", "cb-1", "k-3", 1_000), "p-6");
    world.decided(1, &chargeback, "APPROVED", json!({}));
    let chargeback_sent = world.sent_on(&chargeback, &decision_id(1, 2));
    let reversal = about(payment("d-2", "m-1", "CHARGEBACK_REVERSAL", "rv-1", "k-4", 1_000), "cb-1");
    world.decided(1, &reversal, "APPROVED", json!({}));
    let reversal_sent = world.sent_on(&reversal, &decision_id(1, 3));

    world.config(topic::SETTLEMENT_EVENTS, 0);
    let sale = |amount, fee| [(receivable, payable, amount), (payable, fees, fee)];
    let sale_undone = |amount, fee| [(payable, receivable, amount), (fees, payable, fee)];
    world.booked(0, &first_sent, 315, "SALE", &sale(10_000, 315));
    world.booked(1, &refund_sent, 0, "REFUND", &[(payable, receivable, 4_000)]);
    world.booked(2, &undone_sent, 20, "SALE", &sale(700, 20));
    world.booked(3, &cancellation_sent, -20, "CANCELLATION", &sale_undone(700, 20));
    world.booked(4, &scheduled_sent, 60, "SALE", &sale(2_000, 60));
    world.booked(5, &disputed_sent, 30, "SALE", &sale(1_000, 30));
    world.booked(6, &chargeback_sent, 0, "CHARGEBACK", &[(payable, suspense, 1_000)]);
    world.booked(7, &reversal_sent, 0, "CHARGEBACK_REVERSAL", &[(suspense, payable, 1_000)]);
    // 13000 - 405 - 4000 - 1000 + 1000 = 8595
    world.closed(FIRST_BATCH, [3, 13_000, 405, 1, 4_000, 1, 1_000, 1, 1_000, 0, 0], 650, 7_945, 0);
    let release = [("merchant:m-1:reserve", payable, 650)];
    let ledger = world.post(0, "RESERVE_RELEASE", SECOND_BATCH, None, &release);
    let released = json!({
        "from_batch_id": FIRST_BATCH, "into_batch_id": SECOND_BATCH, "merchant_id": "m-1", "currency": "EUR",
        "amount_minor": 650, "due_at": START,
    });
    let body =
        json!({ "reserve_released": released, "batch_opened": opened(SECOND_BATCH), "ledger": ledger });
    world.journal(topic::SETTLEMENT_EVENTS, 0, "TICK", body);
    world.closed(SECOND_BATCH, [0, 0, 0, 0, 0, 0, 0, 0, 0, 650, 0], 0, 0, 650);

    world.not_booked(0, "REFUSED", Some(&refused_sent), "NO_CONTRACT");
    let result = json!({
        "approved": refused_sent, "outcome": "REFUSED", "reasons": reason("NO_CONTRACT"),
        "refused_at": START + world.clock,
    });
    world.write(topic::RESULTS, 1, "d-2", Content::Json(result));
    let input = json!({ "topic": topic::RESULTS, "partition": 1, "offset": 0 });
    world.transition(1, input, &refused, &decision_id(1, 0), ["APPROVED", "REFUSED"]);
    world.write(topic::APPROVED, 1, "m-2", Content::Raw(b"no record".to_vec()));
    world.not_booked(1, "INVALID", None, "UNDECODABLE");
    world
}

/// Every part of a decision that the audit does not look at.
fn everything() -> Value {
    let shadow = json!([{ "code": "RULE", "detail": "would decline", "rule_id": "r-1", "rule_version": 3 }]);
    json!({
        "fingerprint": { "version": 1, "hash": "ab" },
        "risk": { "score": 7, "features": { "amount_minor": 10_000 }, "shadow": shadow },
        "attributes": { "country": "CZ", "mcc": null, "ip": "10.0.0.1", "device_id": null, "card_bin": "411111" },
    })
}

/// A request that cannot be read, at offset 3.
fn garbage(world: &mut World) {
    let offset = world.write(topic::REQUESTED, 0, "d-1", Content::Raw(b"no record".to_vec()));
    world.dead_letter(topic::REQUESTED, 0, offset, &json!("UNDECODABLE"));
    let decision = json!({
        "decision_id": decision_id(0, offset), "outcome": "INVALID", "payment": null,
        "reasons": reason("UNDECODABLE"), "forwarded": false,
    });
    let input = json!({ "topic": topic::REQUESTED, "partition": 0, "offset": offset });
    world.journal(topic::DECIDED, 0, "DECISION", json!({ "input": input, "decision": decision }));
}
