//! Judges every transaction at the moment at which its commit is decided: I2 to I4, I6 to I9 and I11, against the model.
//!
//! Must not know how a worker comes to its decisions. Its own state is that of the journals, event by event.

use std::collections::BTreeMap;

use settle_engine::Stage;
use settle_engine::authorize::Authorize;
use settle_engine::settle::Settle;
use settle_log::simulated::{CommittedTransaction, SimulatedCluster};
use settle_log::{Record, TopicPartition, partition_for_key};
use settle_types::authorize::{DecisionEvent, Outcome, PaymentApproved, PaymentResult};
use settle_types::event::SourcePosition;
use settle_types::hash::Digest;
use settle_types::request::PaymentRequested;
use settle_types::settle::{Direction, LedgerTransaction, Payout, SettlementEvent, SettlementOutcome};
use settle_types::topic;

use crate::lines::{authorize_line, settle_lines};
use crate::model::Sent;
use crate::model::authorize::AuthorizeModel;
use crate::model::settle::SettleModel;
use crate::settings::TERMS;

/// What a journal partition said so far.
#[derive(Debug, Default)]
struct Journal {
    next_sequence: i64,
    now: i64,
    next_offset: u64,
    /// By input topic: the next offset.
    positions: BTreeMap<String, u64>,
}

/// What the topics beside the journal must get with a transaction.
#[derive(Debug, Default)]
struct Expected {
    approved: Vec<Sent>,
    results: Vec<String>,
    dead_letters: Vec<String>,
    transactions: Vec<LedgerTransaction>,
    payouts: Vec<Payout>,
}

/// A partition's ledger.
#[derive(Debug, Default)]
struct Ledger {
    next_sequence: i64,
    head: Digest,
    balances: BTreeMap<(String, String), i128>,
}

/// Judges transactions.
pub struct Checker {
    partitions: u32,
    cluster: SimulatedCluster,
    authorize_journals: Vec<Journal>,
    authorize: Vec<AuthorizeModel>,
    settle_journals: Vec<Journal>,
    settle: Vec<SettleModel>,
    ledgers: Vec<Ledger>,
    /// A group may be published again at an older position by a late copy.
    pub allows_old_positions: bool,
    /// What must not be.
    pub violations: Vec<String>,
    /// Events by what they say, without ids.
    pub reached: BTreeMap<String, u64>,
    /// Transactions that were judged.
    pub transactions: u64,
    /// Events that were judged.
    pub events: u64,
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("a few partitions")
}

impl Checker {
    /// Nothing was written yet.
    pub fn new(partitions: u32, cluster: SimulatedCluster) -> Self {
        let numbers = 0..partitions;
        Self {
            partitions,
            cluster,
            authorize_journals: numbers.clone().map(|_| Journal::default()).collect(),
            authorize: numbers.clone().map(|_| AuthorizeModel::new(TERMS)).collect(),
            settle_journals: numbers.clone().map(|_| Journal::default()).collect(),
            settle: numbers.clone().map(|_| SettleModel::default()).collect(),
            ledgers: numbers.map(|_| Ledger::default()).collect(),
            allows_old_positions: false,
            violations: Vec::new(),
            reached: BTreeMap::new(),
            transactions: 0,
            events: 0,
        }
    }

    fn violation(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    /// Inputs of AUTHORIZE and of SETTLE.
    fn inputs() -> [(&'static str, bool); 4] {
        [(topic::REQUESTED, true), (topic::RESULTS, true), (topic::REROUTED, true), (topic::APPROVED, false)]
    }

    /// Committed input records that no journal has decided.
    pub fn undecided(&self) -> usize {
        let mut count = 0;
        for number in 0..self.partitions {
            for (topic, is_authorize) in Self::inputs() {
                let journals = if is_authorize { &self.authorize_journals } else { &self.settle_journals };
                let position = journals[index(number)].positions.get(topic).copied().unwrap_or(0);
                let place = TopicPartition::new(topic, number);
                count += self.cluster.committed_records(&place, position).len();
            }
        }
        count
    }

    /// Next sequences of the journals, AUTHORIZE first.
    pub fn next_sequences(&self, stage: &str) -> Vec<i64> {
        let journals =
            if stage == Authorize::NAME { &self.authorize_journals } else { &self.settle_journals };
        journals.iter().map(|journal| journal.next_sequence).collect()
    }

    /// Judges a transaction. `latest_micros` is the latest time that any process was told.
    pub fn committed(&mut self, transaction: &CommittedTransaction, latest_micros: i64) {
        self.transactions += 1;
        let mut expected = Expected::default();
        let mut written = BTreeMap::new();
        for record in &transaction.records {
            match &*record.topic {
                topic::DECIDED => {
                    written.insert((true, record.partition), ());
                    self.authorize_event(record, latest_micros, &mut expected);
                }
                topic::SETTLEMENT_EVENTS => {
                    written.insert((false, record.partition), ());
                    self.settle_event(record, latest_micros, &mut expected);
                }
                _ => {}
            }
            if !self.violations.is_empty() {
                return;
            }
        }
        self.outputs(transaction, expected);
        self.positions(transaction, written.into_keys());
    }

    // Both journals.

    /// Sequence, clock and order of a journal.
    fn follow(&mut self, record: &Record, sequence: i64, now: i64, latest_micros: i64) -> bool {
        self.events += 1;
        let journals = match &*record.topic {
            topic::DECIDED => &mut self.authorize_journals,
            _ => &mut self.settle_journals,
        };
        let journal = &mut journals[index(record.partition)];
        let place = format!("{}/{}@{}", record.topic, record.partition, record.offset);
        let problem = if sequence != journal.next_sequence {
            Some(format!("I11: {place} has sequence {sequence}, not {}", journal.next_sequence))
        } else if now < journal.now {
            Some(format!("clock: {place} goes back to {now} from {}", journal.now))
        } else if now > latest_micros {
            Some(format!("clock: {place} has {now}, no process was told later than {latest_micros}"))
        } else if record.offset < journal.next_offset {
            Some(format!("I11: {place} stands before what was committed earlier"))
        } else {
            None
        };
        journal.next_sequence = sequence + 1;
        journal.now = now;
        journal.next_offset = record.offset + 1;
        match problem {
            Some(problem) => {
                self.violation(problem);
                false
            }
            None => true,
        }
    }

    /// The input record of an event, which has to be the next committed one of its partition.
    fn consume(&mut self, journal_record: &Record, input: &SourcePosition) -> Option<Record> {
        let number = u32::try_from(input.partition).unwrap_or(u32::MAX);
        let shown = format!(
            "{}/{}@{} decides {}/{}@{}",
            journal_record.topic,
            journal_record.partition,
            journal_record.offset,
            input.topic,
            number,
            input.offset
        );
        if number != journal_record.partition {
            self.violation(format!("I3: {shown}"));
            return None;
        }
        let journals = match &*journal_record.topic {
            topic::DECIDED => &mut self.authorize_journals,
            _ => &mut self.settle_journals,
        };
        let position = journals[index(number)].positions.entry(input.topic.to_string()).or_insert(0);
        let offset = u64::try_from(input.offset).unwrap_or(u64::MAX);
        let before = std::mem::replace(position, offset + 1);
        let place = TopicPartition::new(&*input.topic, number);
        if offset < before {
            self.violation(format!("I2, I4: {shown} again, the next was {before}"));
            return None;
        }
        let skipped = (before..offset).find(|skipped| self.cluster.fate(&place, *skipped) == "committed");
        if let Some(skipped) = skipped {
            self.violation(format!("I2: {shown}, and {skipped} has no decision"));
            return None;
        }
        if self.cluster.fate(&place, offset) != "committed" {
            let fate = self.cluster.fate(&place, offset);
            self.violation(format!("I2: {shown}, which is {fate}"));
            return None;
        }
        self.cluster.record(&place, offset)
    }

    fn compare(&mut self, record: &Record, found: &str, expected: &str) {
        // The model does not say why bytes are no request.
        let is_same = found == expected || expected == "INVALID" && found.starts_with("INVALID ");
        if !is_same {
            let place = format!("{}/{}@{}", record.topic, record.partition, record.offset);
            self.violation(format!("model: {place} says {found:?}, {expected:?} was expected"));
        }
        let what =
            found.split(' ').filter(|word| !word.starts_with(['p', 'm']) && word.parse::<i64>().is_err());
        let what: Vec<&str> = what.take(3).collect();
        *self.reached.entry(what.join(" ")).or_default() += 1;
    }

    // AUTHORIZE.

    fn authorize_event(&mut self, record: &Record, latest_micros: i64, expected: &mut Expected) {
        let Ok(event) = settle_schema::decode::<DecisionEvent>(record.value.as_deref().unwrap_or_default())
        else {
            return self.violation(format!("{}/{}@{}", record.topic, record.partition, record.offset));
        };
        let now = event.now.as_micros();
        if !self.follow(record, event.sequence, now, latest_micros) {
            return;
        }
        let at = index(record.partition);
        let found = authorize_line(&event);
        if self.authorize[at].lines.is_empty() {
            self.authorize[at].set_clock(now);
            match &event.input {
                Some(input) => {
                    if self.authorize[at].has_due() {
                        self.violation(format!("{found:?} before a timer whose time had come"));
                    }
                    let Some(source) = self.consume(record, input) else { return };
                    self.authorize_input(record, input, &source, expected);
                }
                None => {
                    if !self.authorize[at].handle_due() {
                        self.violation(format!("{found:?}, and nothing is due"));
                    }
                }
            }
        }
        let Some(line) = self.authorize[at].lines.pop_front() else { return };
        self.compare(record, &found, &line);
        expected.approved.append(&mut self.authorize[at].approved);
        let is_dead = event
            .decision
            .as_ref()
            .is_some_and(|decision| matches!(decision.outcome, Outcome::Invalid | Outcome::Conflict));
        if let (true, Some(input)) = (is_dead, &event.input) {
            expected.dead_letters.push(shown(input));
        }
    }

    fn authorize_input(
        &mut self,
        record: &Record,
        input: &SourcePosition,
        source: &Record,
        _expected: &mut Expected,
    ) {
        let model = &mut self.authorize[index(record.partition)];
        let value = source.value.as_deref().unwrap_or_default();
        if &*source.topic == topic::RESULTS {
            let Ok(result) = settle_schema::decode::<PaymentResult>(value) else {
                return model.unreadable();
            };
            let code = result.reasons.first().map_or("", |reason| reason.code.as_str());
            if !model.result(result.approved.decision_id.as_str(), code) {
                self.violation(format!("{} was never sent to SETTLE", result.approved.decision_id));
            }
            return;
        }
        let Ok(request) = settle_schema::decode::<PaymentRequested>(value) else { return model.unreadable() };
        let right = partition_for_key(request.debtor_account.as_str().as_bytes(), self.partitions);
        if right != record.partition {
            return model.misplaced();
        }
        model.request(&request, &format!("{}-{}-{}", input.topic, input.partition, input.offset));
    }

    // SETTLE.

    fn settle_event(&mut self, record: &Record, latest_micros: i64, expected: &mut Expected) {
        let Ok(event) = settle_schema::decode::<SettlementEvent>(record.value.as_deref().unwrap_or_default())
        else {
            return self.violation(format!("{}/{}@{}", record.topic, record.partition, record.offset));
        };
        let now = event.now.as_micros();
        if !self.follow(record, event.sequence, now, latest_micros) {
            return;
        }
        let at = index(record.partition);
        let is_config = event.config.is_some();
        if is_config {
            if event.sequence != 0 {
                self.violation("a configuration was activated again");
            }
            return;
        }
        self.settle[at].set_clock(now);
        match &event.input {
            Some(input) => {
                if self.settle[at].has_due() {
                    self.violation(format!("{:?} before a timer whose time had come", settle_lines(&event)));
                }
                let Some(source) = self.consume(record, input) else { return };
                let value = source.value.as_deref().unwrap_or_default();
                match settle_schema::decode::<PaymentApproved>(value) {
                    Ok(approved) => {
                        let _ = self.settle[at].read(&sent(&approved));
                    }
                    Err(error) => self.violation(format!("payments.approved does not decode: {error}")),
                }
            }
            None => {
                if !self.settle[at].handle_due() {
                    self.violation(format!("{:?}, and nothing is due", settle_lines(&event)));
                }
            }
        }
        let lines = std::mem::take(&mut self.settle[at].lines);
        let found = settle_lines(&event);
        if found.len() != lines.len() {
            self.violation(format!("model: {found:?}, {lines:?} was expected"));
        }
        for (found, line) in found.iter().zip(&lines) {
            self.compare(record, found, line);
        }
        if let Some(decision) = &event.decision
            && decision.outcome != SettlementOutcome::Booked
            && let Some(input) = &event.input
        {
            expected.dead_letters.push(shown(input));
            let refused = decision.approved.as_ref().map(|approved| approved.decision_id.to_string());
            expected.results.extend(refused);
        }
        expected.payouts.extend(event.batch_closed.and_then(|closed| closed.payout));
        expected.transactions.extend(event.ledger);
    }

    // Outputs and positions.

    fn outputs(&mut self, transaction: &CommittedTransaction, mut expected: Expected) {
        let mut found = Expected::default();
        let mut touched = Vec::new();
        for record in &transaction.records {
            let value = record.value.as_deref().unwrap_or_default();
            let is_read = match &*record.topic {
                topic::APPROVED => {
                    settle_schema::decode(value).map(|approved| found.approved.push(sent(&approved))).is_ok()
                }
                topic::RESULTS => settle_schema::decode::<PaymentResult>(value)
                    .map(|result| found.results.push(result.approved.decision_id.to_string()))
                    .is_ok(),
                topic::LEDGER_TRANSACTIONS => {
                    let read = settle_schema::decode::<LedgerTransaction>(value);
                    read.map(|read| {
                        touched.push(index(record.partition));
                        self.ledger(index(record.partition), &read);
                        found.transactions.push(read);
                    })
                    .is_ok()
                }
                topic::PAYOUTS => {
                    settle_schema::decode(value).map(|payout| found.payouts.push(payout)).is_ok()
                }
                topic::DEAD_LETTER => {
                    found.dead_letters.push(source_of(record));
                    true
                }
                _ => true,
            };
            if !is_read {
                self.violation(format!("{}/{}@{}", record.topic, record.partition, record.offset));
            }
        }
        for number in touched {
            let (ledger, model) = (&mut self.ledgers[number], &mut self.settle[number]);
            ledger.balances.retain(|_, balance| *balance != 0);
            model.balances.retain(|_, balance| *balance != 0);
            if ledger.balances != model.balances {
                let detail = format!("I7: balances of ledger {number} differ from those of the model");
                self.violation(detail);
            }
        }
        for list in [&mut expected, &mut found] {
            list.approved.sort_by(|left, right| left.decision.cmp(&right.decision));
            list.results.sort();
            list.dead_letters.sort();
            list.transactions.sort_by(|left, right| left.transaction_id.cmp(&right.transaction_id));
            list.payouts.sort_by(|left, right| left.payout_id.cmp(&right.payout_id));
        }
        let sides = [
            ("I7: payments.approved", format!("{:?}", found.approved), format!("{:?}", expected.approved)),
            ("payments.results", format!("{:?}", found.results), format!("{:?}", expected.results)),
            (
                "payments.dead-letter",
                format!("{:?}", found.dead_letters),
                format!("{:?}", expected.dead_letters),
            ),
        ];
        for (what, found, expected) in sides {
            if found != expected {
                self.violation(format!("{what} of {}: {found}, {expected}", transaction.transactional_id));
            }
        }
        if found.transactions != expected.transactions || found.payouts != expected.payouts {
            self.violation("ledger.transactions or settlement.payouts differ from the events");
        }
    }

    /// I6 and I9.
    fn ledger(&mut self, number: usize, transaction: &LedgerTransaction) {
        let ledger = &mut self.ledgers[number];
        let mut problems = Vec::new();
        if transaction.sequence != ledger.next_sequence && ledger.next_sequence != 0 {
            problems.push(format!("I9: ledger {number}: sequence {}", transaction.sequence));
        }
        if transaction.prev_hash != ledger.head && ledger.next_sequence != 0 {
            problems.push(format!("I9: ledger {number}: the chain is broken at {}", transaction.sequence));
        }
        ledger.next_sequence = transaction.sequence + 1;
        ledger.head = transaction.hash;
        let mut sums: BTreeMap<String, i128> = BTreeMap::new();
        for entry in &transaction.entries {
            let sign = if entry.direction == Direction::Debit { 1 } else { -1 };
            let amount = sign * i128::from(entry.amount_minor.get());
            *sums.entry(entry.currency.to_string()).or_default() += amount;
            let account = (entry.account.to_string(), entry.currency.to_string());
            *ledger.balances.entry(account).or_default() += amount;
        }
        if sums.values().any(|sum| *sum != 0) {
            problems.push(format!("I6: {} does not balance", transaction.transaction_id));
        }
        self.violations.extend(problems);
    }

    /// I4: the group is told where the state stands, for every partition written.
    fn positions(&mut self, transaction: &CommittedTransaction, written: impl Iterator<Item = (bool, u32)>) {
        for (is_authorize, number) in written {
            let journals = if is_authorize { &self.authorize_journals } else { &self.settle_journals };
            let mut problem = None;
            for (topic, of_authorize) in Self::inputs() {
                if of_authorize != is_authorize {
                    continue;
                }
                let position = journals[index(number)].positions.get(topic).copied().unwrap_or(0);
                let place = TopicPartition::new(topic, number);
                match transaction.next_offsets.get(&place) {
                    Some(found) if *found == position => {}
                    Some(found) if *found < position && self.allows_old_positions => {}
                    found => {
                        problem = Some(format!("I4: {place} is published as {found:?}, not {position}"));
                    }
                }
            }
            self.violations.extend(problem);
        }
    }
}

fn sent(approved: &PaymentApproved) -> Sent {
    Sent {
        kind: approved.event_type,
        id: approved.payment_id.to_string(),
        original: approved.original_payment_id.as_ref().map(ToString::to_string),
        debtor: approved.debtor_account.to_string(),
        merchant: approved.merchant_id.to_string(),
        amount: approved.amount_minor.get(),
        currency: approved.currency.to_string(),
        method: approved.payment_method.to_string(),
        decision: approved.decision_id.to_string(),
        at: approved.decided_at.as_micros(),
    }
}

fn shown(input: &SourcePosition) -> String {
    format!("{}-{}-{}", input.topic, input.partition, input.offset)
}

fn source_of(record: &Record) -> String {
    let text = |name: &str| {
        let header = record.headers.iter().find(|header| &*header.name == name);
        header.map(|header| String::from_utf8_lossy(&header.value).into_owned()).unwrap_or_default()
    };
    use settle_types::topic::header;
    let [topic, partition, offset] =
        [header::SOURCE_TOPIC, header::SOURCE_PARTITION, header::SOURCE_OFFSET].map(text);
    format!("{topic}-{partition}-{offset}")
}

// The stages are named here only for what their topics are called.
const _: (&str, &str) = (Authorize::JOURNAL, Settle::JOURNAL);
