//! A naive model of both stages: plain maps, plain numbers, everything looked up by search and nothing shared
//! with the engine. It predicts, line by line, what both journals say and which balances the ledger has.
//!
//! It knows the settings of `super::streams` and no others.

use std::collections::{BTreeMap, VecDeque};

use settle_types::request::{EventType, PaymentRequested};

use super::model_settle::SettleModel;

const DAY: i64 = 86_400_000_000;
const PAYMENTS_KEPT: i64 = 550 * DAY;

/// What the model needs to know of the settings.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub key_retention_days: i64,
    pub jump_seconds: i64,
    pub per_payment: i64,
    pub daily_sum: i64,
    pub daily_count: i64,
    pub reroutes: bool,
}

/// What AUTHORIZE sent to SETTLE.
#[derive(Clone, Debug)]
pub struct Sent {
    pub kind: EventType,
    pub id: String,
    pub original: Option<String>,
    pub debtor: String,
    pub merchant: String,
    pub amount: i64,
    pub currency: String,
    pub method: String,
    pub decision: usize,
    pub at: i64,
}

#[derive(Clone, Debug)]
struct Known {
    sent: Sent,
    /// The original, by its place in the list: a later payment may get the same id.
    about: Option<usize>,
    status: &'static str,
    refunded: i64,
    disputed: i64,
    execute_at: Option<i64>,
    counted_on: Option<i64>,
    forgotten_at: i64,
}

#[derive(Clone, Debug, PartialEq)]
struct Content(EventType, Option<String>, i64, String, String, Option<i64>);

struct UsedKey {
    merchant: String,
    debtor: String,
    key: String,
    content: Content,
    free_at: i64,
}

/// Both stages and what lies between them.
pub struct Model {
    terms: Terms,
    clock: i64,
    decisions: usize,
    keys: Vec<UsedKey>,
    known: Vec<Known>,
    pub settle: SettleModel,
    approved: VecDeque<Sent>,
    results: VecDeque<(Sent, String)>,
    rerouted: VecDeque<PaymentRequested>,
    /// What the journal of AUTHORIZE says, a line per event.
    pub authorize_lines: Vec<String>,
}

type Judged = Result<(), &'static str>;

impl Model {
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            clock: 0,
            decisions: 0,
            keys: Vec::new(),
            known: Vec::new(),
            settle: SettleModel::default(),
            approved: VecDeque::new(),
            results: VecDeque::new(),
            rerouted: VecDeque::new(),
            authorize_lines: vec!["config".to_owned()],
        }
    }

    /// A request that stands in the wrong partition.
    pub fn misplaced(&mut self, request: &PaymentRequested) {
        if !self.terms.reroutes {
            return self.line("INVALID WRONG_PARTITION");
        }
        if let Some(what) = malformed(request) {
            return self.line(what);
        }
        self.line("REROUTED WRONG_PARTITION");
        self.rerouted.push_back(request.clone());
    }

    /// AUTHORIZE reads one request that was sent to its right partition.
    pub fn rerouted_one(&mut self) {
        if let Some(request) = self.rerouted.pop_front() {
            self.request(&request);
        }
    }

    pub fn request(&mut self, request: &PaymentRequested) {
        let decision = self.decisions;
        self.decisions += 1;
        if let Some(what) = malformed(request) {
            return self.line(what);
        }
        let requested_at = request.requested_at.as_micros();
        if self.clock == 0 || requested_at <= self.clock + self.terms.jump_seconds * 1_000_000 {
            self.clock = self.clock.max(requested_at);
        }
        self.execute_due();
        if requested_at > self.clock {
            return self.line("INVALID CLOCK_SKEW");
        }
        if let Some(answer) = self.used_before(request) {
            return self.line(answer);
        }
        let sent = sent(request, decision, self.clock);
        self.decide(request, sent);
    }

    fn used_before(&self, request: &PaymentRequested) -> Option<&'static str> {
        let used = self.keys.iter().rev().find(|used| {
            used.merchant == request.merchant_id.as_str()
                && used.debtor == request.debtor_account.as_str()
                && used.key == request.idempotency_key.as_str()
                && used.free_at > self.clock
        });
        if let Some(used) = used {
            let is_retry = used.content == content(request);
            return Some(if is_retry { "REPLAYED REPLAY" } else { "CONFLICT IDEMPOTENCY_KEY_REUSED" });
        }
        let same_id = self.find(
            request.debtor_account.as_str(),
            request.merchant_id.as_str(),
            request.payment_id.as_str(),
        );
        let is_used = same_id.is_some_and(|index| self.known[index].status != "DECLINED");
        is_used.then_some("CONFLICT PAYMENT_ID_REUSED")
    }

    /// The payment with this id that is still remembered.
    fn find(&self, debtor: &str, merchant: &str, id: &str) -> Option<usize> {
        let is_it = |known: &Known| {
            known.sent.debtor == debtor && known.sent.merchant == merchant && known.sent.id == id
        };
        let latest = self.known.iter().rposition(is_it)?;
        (self.known[latest].forgotten_at > self.clock).then_some(latest)
    }

    fn decide(&mut self, request: &PaymentRequested, sent: Sent) {
        let judged = match sent.kind {
            EventType::Payment => self.rules(&sent, None),
            _ => self.follow_up(&sent),
        };
        let execute_at = request.execute_at.map(|time| time.as_micros()).filter(|time| *time > self.clock);
        let status = match judged {
            Err(_) => "DECLINED",
            Ok(()) if execute_at.is_some() => "SCHEDULED",
            Ok(()) => "APPROVED",
        };
        self.keys.push(UsedKey {
            merchant: sent.merchant.clone(),
            debtor: sent.debtor.clone(),
            key: request.idempotency_key.as_str().to_owned(),
            content: content(request),
            free_at: self.clock + self.terms.key_retention_days * DAY,
        });
        let waits_until = if status == "SCHEDULED" { execute_at } else { None };
        let about = sent.original.as_deref().and_then(|id| self.find(&sent.debtor, &sent.merchant, id));
        self.known.push(Known {
            sent: sent.clone(),
            about,
            status,
            refunded: 0,
            disputed: 0,
            execute_at: waits_until,
            counted_on: (sent.kind == EventType::Payment && status != "DECLINED")
                .then(|| self.clock.div_euclid(DAY)),
            forgotten_at: waits_until.unwrap_or(self.clock) + PAYMENTS_KEPT,
        });
        match judged {
            Err(code) => self.line(&format!("DECLINED {code}")),
            Ok(()) => self.line(status),
        }
        if status == "APPROVED" {
            self.approve(sent);
        }
    }

    fn approve(&mut self, sent: Sent) {
        let mut is_forwarded = true;
        match (sent.kind, self.original_of(self.known.len() - 1)) {
            (EventType::Refund, Some(original)) => self.known[original].refunded += sent.amount,
            (EventType::Chargeback, Some(original)) => self.known[original].disputed += sent.amount,
            (EventType::ChargebackReversal, Some(chargeback)) => {
                self.known[chargeback].disputed += sent.amount;
                if let Some(payment) = self.original_of(chargeback) {
                    self.known[payment].disputed -= sent.amount;
                }
            }
            (EventType::Cancellation, Some(original)) => {
                is_forwarded = self.known[original].status == "APPROVED";
                let (id, from) = (self.known[original].sent.id.clone(), self.known[original].status);
                self.known[original].status = "CANCELLED";
                self.line(&format!("{id} {from}>CANCELLED"));
            }
            _ => {}
        }
        if is_forwarded {
            self.approved.push_back(sent);
        }
    }

    /// What a follow-up is about, while it is remembered.
    fn original_of(&self, follow_up: usize) -> Option<usize> {
        self.known[follow_up].about.filter(|original| self.known[*original].forgotten_at > self.clock)
    }

    /// Rules of a PAYMENT; `without` leaves one out that counts already.
    fn rules(&self, sent: &Sent, without: Option<usize>) -> Judged {
        if sent.currency == "CZK" {
            return Err("NO_LIMIT_FOR_CURRENCY");
        }
        let today = self.clock.div_euclid(DAY);
        let mut sum = 0;
        let mut count = 0;
        for (index, known) in self.known.iter().enumerate() {
            let counts = ["APPROVED", "SCHEDULED"].contains(&known.status)
                && known.counted_on == Some(today)
                && known.sent.debtor == sent.debtor
                && known.sent.currency == sent.currency
                && Some(index) != without;
            if counts {
                sum += known.sent.amount;
                count += 1;
            }
        }
        if sent.amount > self.terms.per_payment {
            return Err("LIMIT_PER_PAYMENT");
        }
        if sum + sent.amount > self.terms.daily_sum {
            return Err("LIMIT_DAILY_SUM");
        }
        if count + 1 > self.terms.daily_count {
            return Err("LIMIT_DAILY_COUNT");
        }
        Ok(())
    }

    fn follow_up(&self, sent: &Sent) -> Judged {
        let original = sent.original.as_deref().expect("the streams name an original");
        let Some(original) = self.find(&sent.debtor, &sent.merchant, original) else {
            return Err("ORIGINAL_UNKNOWN");
        };
        let original = &self.known[original];
        let needed = if sent.kind == EventType::ChargebackReversal {
            EventType::Chargeback
        } else {
            EventType::Payment
        };
        if original.sent.kind != needed {
            return Err("ORIGINAL_WRONG_TYPE");
        }
        if original.sent.currency != sent.currency {
            return Err("CURRENCY_MISMATCH");
        }
        let is_cancellation = sent.kind == EventType::Cancellation;
        let stands = original.status == "APPROVED" || is_cancellation && original.status == "SCHEDULED";
        if !stands {
            return Err("ORIGINAL_NOT_APPROVED");
        }
        if is_cancellation {
            if original.refunded != 0 || original.disputed != 0 {
                return Err("ORIGINAL_HAS_FOLLOW_UPS");
            }
            return if sent.amount == original.sent.amount { Ok(()) } else { Err("AMOUNT_MISMATCH") };
        }
        let refunded = if sent.kind == EventType::Refund { original.refunded } else { 0 };
        let is_above = sent.amount > original.sent.amount - original.disputed - refunded;
        if is_above { Err("AMOUNT_ABOVE_REMAINDER") } else { Ok(()) }
    }

    /// Scheduled payments whose time has come, in order of time, debtor, merchant and id.
    fn execute_due(&mut self) {
        loop {
            let due = |known: &&Known| {
                known.status == "SCHEDULED" && known.execute_at.is_some_and(|time| time <= self.clock)
            };
            let order = |known: &&Known| {
                let Sent { debtor, merchant, id, .. } = &known.sent;
                (known.execute_at, debtor.clone(), merchant.clone(), id.clone())
            };
            let next = self.known.iter().filter(due).min_by_key(order).map(|known| known.sent.decision);
            let Some(decision) = next else { return };
            let index = self.index_of(decision).expect("it was found");
            let judged = self.rules(&self.known[index].sent.clone(), Some(index));
            let known = &mut self.known[index];
            known.sent.at = self.clock;
            let id = known.sent.id.clone();
            match judged {
                Ok(()) => {
                    known.status = "APPROVED";
                    known.counted_on = Some(self.clock.div_euclid(DAY));
                    let sent = known.sent.clone();
                    self.line(&format!("{id} SCHEDULED>APPROVED"));
                    self.approved.push_back(sent);
                }
                Err(code) => {
                    known.status = "DECLINED";
                    self.line(&format!("{id} SCHEDULED>DECLINED {code}"));
                }
            }
        }
    }

    fn index_of(&self, decision: usize) -> Option<usize> {
        self.known.iter().position(|known| known.sent.decision == decision)
    }

    /// SETTLE reads one approved record.
    pub fn settle_one(&mut self) {
        let Some(sent) = self.approved.pop_front() else { return };
        if let Err(code) = self.settle.read(&sent) {
            self.results.push_back((sent, code.to_owned()));
        }
    }

    /// AUTHORIZE reads one refusal.
    pub fn result_one(&mut self) {
        let Some((sent, code)) = self.results.pop_front() else { return };
        let index = self.index_of(sent.decision).expect("AUTHORIZE sent it");
        let known = &self.known[index];
        let is_latest = self.find(&sent.debtor, &sent.merchant, &sent.id) == Some(index);
        if !is_latest || !["APPROVED", "CANCELLED"].contains(&known.status) {
            return self.line("nothing");
        }
        let from = known.status;
        self.give_back(index);
        self.known[index].status = "REFUSED";
        self.line(&format!("{} {from}>REFUSED {code}", sent.id));
        if sent.kind != EventType::Cancellation {
            return;
        }
        let cancelled =
            self.original_of(index).filter(|original| self.known[*original].status == "CANCELLED");
        if let Some(original) = cancelled {
            self.known[original].status = "APPROVED";
            let id = self.known[original].sent.id.clone();
            self.line(&format!("{id} CANCELLED>APPROVED {code}"));
        }
    }

    fn give_back(&mut self, index: usize) {
        let Known { sent, disputed: reversed, .. } = self.known[index].clone();
        let Some(original) = self.original_of(index) else { return };
        match sent.kind {
            EventType::Refund => self.known[original].refunded -= sent.amount,
            EventType::Chargeback => self.known[original].disputed -= sent.amount - reversed,
            EventType::ChargebackReversal => {
                self.known[original].disputed -= sent.amount;
                let payment =
                    self.original_of(original).filter(|_| self.known[original].status == "APPROVED");
                if let Some(payment) = payment {
                    self.known[payment].disputed += sent.amount;
                }
            }
            _ => {}
        }
    }

    fn line(&mut self, text: &str) {
        self.authorize_lines.push(text.to_owned());
    }

    /// Status, refunded and disputed of each PAYMENT that is remembered, by debtor, merchant and id.
    pub fn payments(&self) -> BTreeMap<(String, String, String), (&'static str, i64, i64)> {
        let mut payments = BTreeMap::new();
        for known in self.known.iter().filter(|known| known.forgotten_at > self.clock) {
            let Sent { debtor, merchant, id, .. } = known.sent.clone();
            payments.insert((debtor, merchant, id), (known.status, known.refunded, known.disputed));
        }
        payments
    }
}

fn malformed(request: &PaymentRequested) -> Option<&'static str> {
    if request.amount_minor <= 0 {
        return Some("INVALID AMOUNT_NOT_POSITIVE");
    }
    let is_known = ["EUR", "JPY", "CZK"].contains(&request.currency.as_str());
    (!is_known).then_some("INVALID CURRENCY_UNKNOWN")
}

fn sent(request: &PaymentRequested, decision: usize, at: i64) -> Sent {
    Sent {
        kind: request.event_type,
        id: request.payment_id.as_str().to_owned(),
        original: request.original_payment_id.as_ref().map(|id| id.as_str().to_owned()),
        debtor: request.debtor_account.as_str().to_owned(),
        merchant: request.merchant_id.as_str().to_owned(),
        amount: request.amount_minor,
        currency: request.currency.to_string(),
        method: request.payment_method.to_string(),
        decision,
        at,
    }
}

fn content(request: &PaymentRequested) -> Content {
    Content(
        request.event_type,
        request.original_payment_id.as_ref().map(|id| id.as_str().to_owned()),
        request.amount_minor,
        request.currency.to_string(),
        request.payment_method.to_string(),
        request.execute_at.map(|time| time.as_micros()),
    )
}
