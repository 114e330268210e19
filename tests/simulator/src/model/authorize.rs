//! AUTHORIZE, naively: keys, payments and limits of one partition.

use std::collections::{BTreeMap, VecDeque};

use settle_types::request::{EventType, PaymentRequested};

use super::Sent;

const DAY: i64 = 86_400_000_000;
const PAYMENTS_KEPT: i64 = 550 * DAY;
/// How far ahead of the clock a request may be dated.
const SKEW: i64 = 300_000_000;

/// What the model needs to know of the settings.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Days for which a key answers.
    pub key_retention_days: i64,
    /// Highest amount of a payment.
    pub per_payment: i64,
    /// Highest sum of a debtor's day.
    pub daily_sum: i64,
    /// Most payments of a debtor's day.
    pub daily_count: i64,
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

#[derive(Debug)]
struct UsedKey {
    merchant: String,
    debtor: String,
    key: String,
    content: Content,
    free_at: i64,
}

/// One partition of AUTHORIZE.
#[derive(Debug)]
pub struct AuthorizeModel {
    terms: Terms,
    clock: i64,
    keys: Vec<UsedKey>,
    known: Vec<Known>,
    /// What goes on to SETTLE.
    pub approved: Vec<Sent>,
    /// What the journal must say next, an entry per event.
    pub lines: VecDeque<String>,
}

type Judged = Result<(), &'static str>;

impl AuthorizeModel {
    /// Nothing was decided yet.
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            clock: 0,
            keys: Vec::new(),
            known: Vec::new(),
            approved: Vec::new(),
            lines: VecDeque::from(["config".to_owned()]),
        }
    }

    /// The time of the next event, in microseconds.
    pub fn set_clock(&mut self, now: i64) {
        self.clock = now;
    }

    /// A request that stands in the wrong partition.
    pub fn misplaced(&mut self) {
        self.line("INVALID WRONG_PARTITION");
    }

    /// A record that is no request.
    pub fn unreadable(&mut self) {
        self.line("INVALID");
    }

    /// A request, whose decision has this id.
    pub fn request(&mut self, request: &PaymentRequested, decision: &str) {
        if let Some(what) = malformed(request) {
            return self.line(what);
        }
        let requested_at = request.requested_at.as_micros();
        if requested_at > self.clock + SKEW {
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
            self.approved.push(sent);
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
        let original = sent.original.as_deref().and_then(|id| self.find(&sent.debtor, &sent.merchant, id));
        let Some(original) = original else { return Err("ORIGINAL_UNKNOWN") };
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

    /// The scheduled payment whose time has come first: by time, debtor, merchant and id.
    fn first_due(&self) -> Option<usize> {
        let due = |(_, known): &(usize, &Known)| {
            known.status == "SCHEDULED" && known.execute_at.is_some_and(|time| time <= self.clock)
        };
        let order = |(_, known): &(usize, &Known)| {
            let Sent { debtor, merchant, id, .. } = &known.sent;
            (known.execute_at, debtor.clone(), merchant.clone(), id.clone())
        };
        self.known.iter().enumerate().filter(due).min_by_key(order).map(|(index, _)| index)
    }

    /// Whether a scheduled payment waits whose time has come.
    pub fn has_due(&self) -> bool {
        self.first_due().is_some()
    }

    /// Carries the first of them out. False: none waits.
    pub fn handle_due(&mut self) -> bool {
        let Some(index) = self.first_due() else { return false };
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
                self.approved.push(sent);
            }
            Err(code) => {
                known.status = "DECLINED";
                self.line(&format!("{id} SCHEDULED>DECLINED {code}"));
            }
        }
        true
    }

    fn index_of(&self, decision: &str) -> Option<usize> {
        self.known.iter().position(|known| known.sent.decision == decision)
    }

    /// A refusal of SETTLE comes back. False: nothing was sent that could be refused.
    pub fn result(&mut self, decision: &str, code: &str) -> bool {
        let Some(index) = self.index_of(decision) else { return false };
        let sent = self.known[index].sent.clone();
        self.apply_result(index, &sent, code);
        true
    }

    fn apply_result(&mut self, index: usize, sent: &Sent, code: &str) {
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
        self.lines.push_back(text.to_owned());
    }

    /// Status, refunded and disputed sums of each request that is remembered, by debtor, merchant and id.
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

fn sent(request: &PaymentRequested, decision: &str, at: i64) -> Sent {
    Sent {
        kind: request.event_type,
        id: request.payment_id.as_str().to_owned(),
        original: request.original_payment_id.as_ref().map(|id| id.as_str().to_owned()),
        debtor: request.debtor_account.as_str().to_owned(),
        merchant: request.merchant_id.as_str().to_owned(),
        amount: request.amount_minor,
        currency: request.currency.to_string(),
        method: request.payment_method.to_string(),
        decision: decision.to_owned(),
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
