//! SETTLE, naively: batches, fees, reserves and payouts of one partition.

use std::collections::{BTreeMap, BTreeSet};

use settle_types::request::EventType;

use super::Sent;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
const PAYMENTS_KEPT: i64 = 550 * DAY;

#[derive(Debug)]
struct Booked {
    sent: Sent,
    day: i64,
    fee: i64,
    refunded: i64,
    is_cancelled: bool,
    forgotten_at: i64,
}

/// Merchant and currency.
type Position = (String, String);

#[derive(Clone, Debug)]
struct Batch {
    day: i64,
    carried_in: i64,
    sales: i64,
    fees: i64,
    given_back: i64,
    returned: i64,
}

impl Batch {
    fn net(&self) -> i64 {
        self.carried_in + self.sales - self.fees - self.given_back + self.returned
    }
}

/// Something that waits: when, what comes first at the same time, whose, and details.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: i64,
    order: u8,
    position: Position,
    from_day: i64,
    amount: i64,
}

/// One partition of SETTLE.
#[derive(Debug, Default)]
pub struct SettleModel {
    clock: i64,
    booked: Vec<Booked>,
    open: BTreeMap<Position, Batch>,
    last_closed: BTreeMap<Position, i64>,
    carried: BTreeMap<Position, i64>,
    due: BTreeSet<Due>,
    /// Debits less credits, by account and currency.
    pub balances: BTreeMap<(String, String), i128>,
    /// What the journal must say next.
    pub lines: Vec<String>,
}

impl SettleModel {
    /// The time of the next event, in microseconds.
    pub fn set_clock(&mut self, now: i64) {
        self.clock = now;
    }

    /// Whether something waits whose time has come.
    pub fn has_due(&self) -> bool {
        self.due.first().is_some_and(|due| due.at <= self.clock)
    }

    /// Handles the first thing whose time has come. False: nothing's has.
    pub fn handle_due(&mut self) -> bool {
        if !self.has_due() {
            return false;
        }
        let Some(due) = self.due.first().cloned() else { return false };
        let at = due.at;
        self.handle(&due, at);
        true
    }

    /// Reads one approved record; a code if it is refused.
    ///
    /// # Errors
    /// The code of the refusal.
    pub fn read(&mut self, sent: &Sent) -> Result<(), &'static str> {
        let booked = self.book(sent);
        if let Err(code) = booked {
            self.lines.push(format!("REFUSED {} {code}", sent.id));
        }
        booked
    }

    fn book(&mut self, sent: &Sent) -> Result<(), &'static str> {
        if self.find(&sent.merchant, &sent.id).is_some() {
            return Err("PAYMENT_ID_REUSED");
        }
        if class(&sent.merchant) == "m3" {
            return Err("NO_CONTRACT");
        }
        if class(&sent.merchant) == "m2" && sent.kind == EventType::Payment {
            return Err("MERCHANT_BLOCKED");
        }
        let original = match sent.kind {
            EventType::Payment => None,
            _ => Some(self.original(sent).ok_or("ORIGINAL_NOT_BOOKED")?),
        };
        let fee = self.fee(sent, original)?;
        if sent.kind == EventType::Refund && class(&sent.merchant) == "m1" {
            let cap = if sent.currency == "EUR" { 3_000 } else { 0 };
            let owed = self.balance(&format!("merchant:{}:payable", sent.merchant), &sent.currency);
            if owed + i128::from(sent.amount + fee) > cap {
                return Err("NET_DEBIT_CAP");
            }
        }
        let position = (sent.merchant.clone(), sent.currency.clone());
        let own_day = sales_day(&sent.merchant, sent.at);
        let day = match (sent.kind, original) {
            (EventType::Cancellation, Some(original)) => {
                let day = self.booked[original].day;
                let is_open = self.open.get(&position).is_some_and(|batch| batch.day == day);
                if !is_open {
                    return Err("BATCH_CLOSED");
                }
                day
            }
            _ => self.open_batch(&position, own_day),
        };
        let is_late = own_day < day && sent.kind != EventType::Cancellation;
        let late = if is_late { " late" } else { "" };
        self.lines.push(format!("BOOKED {} {day} fee {fee}{late}", sent.id));
        self.add(sent, original, day, fee);
        Ok(())
    }

    fn find(&self, merchant: &str, id: &str) -> Option<usize> {
        let found = self
            .booked
            .iter()
            .rposition(|booked| booked.sent.merchant == merchant && booked.sent.id == id)?;
        (self.booked[found].forgotten_at > self.clock).then_some(found)
    }

    fn original(&self, sent: &Sent) -> Option<usize> {
        let found = self.find(&sent.merchant, sent.original.as_deref()?)?;
        let booked = &self.booked[found];
        (booked.sent.debtor == sent.debtor && !booked.is_cancelled).then_some(found)
    }

    fn fee(&self, sent: &Sent, original: Option<usize>) -> Result<i64, &'static str> {
        let original = original.map(|original| &self.booked[original]);
        match (sent.kind, original) {
            (EventType::Payment, _) if class(&sent.merchant) == "m1" => {
                Ok(half_even(sent.amount, 100, 10_000))
            }
            (EventType::Payment, _) if sent.method == "CARD" => {
                let fixed = if sent.currency == "EUR" { 25 } else { 30 };
                Ok(half_even(sent.amount, 290, 10_000) + fixed)
            }
            (EventType::Payment, _) => Err("NO_FEE_FOR_METHOD"),
            (EventType::Cancellation, Some(original)) => Ok(-original.fee),
            (EventType::Refund, Some(original)) if class(&sent.merchant) == "m0" => {
                let share = |refunded| half_even(original.fee, refunded, original.sent.amount);
                Ok(share(original.refunded) - share(original.refunded + sent.amount))
            }
            _ => Ok(0),
        }
    }

    /// The day of the open batch, which is opened if there is none.
    fn open_batch(&mut self, position: &Position, own_day: i64) -> i64 {
        if let Some(batch) = self.open.get(position) {
            return batch.day;
        }
        let after_closed = self.last_closed.get(position).map_or(own_day, |day| day + 1);
        let day = own_day.max(after_closed).max(sales_day(&position.0, self.clock));
        let carried_in = self.carried.remove(position).unwrap_or(0);
        let cut_off = if class(&position.0) == "m1" { day * DAY + 17 * HOUR } else { (day + 1) * DAY };
        self.lines.push(format!("OPENED {} {} {day} carried {carried_in}", position.0, position.1));
        let batch = Batch { day, carried_in, sales: 0, fees: 0, given_back: 0, returned: 0 };
        self.due.insert(Due { at: cut_off, order: 2, position: position.clone(), from_day: day, amount: 0 });
        self.open.insert(position.clone(), batch);
        day
    }

    fn add(&mut self, sent: &Sent, original: Option<usize>, day: i64, fee: i64) {
        let Sent { merchant, currency, amount, .. } = sent;
        let method = original.map_or(&sent.method, |original| &self.booked[original].sent.method);
        let scheme = format!("scheme:{method}:receivable");
        let payable = format!("merchant:{merchant}:payable");
        let suspense = format!("chargeback:{merchant}:suspense");
        let batch = self.open.get_mut(&(merchant.clone(), currency.clone())).expect("the batch is open");
        batch.fees += fee;
        let (debit, credit) = match sent.kind {
            EventType::Payment => (scheme, payable.clone()),
            EventType::Refund | EventType::Cancellation => (payable.clone(), scheme),
            EventType::Chargeback => (payable.clone(), suspense),
            _ => (suspense, payable.clone()),
        };
        match sent.kind {
            EventType::Payment => batch.sales += amount,
            EventType::Cancellation => batch.sales -= amount,
            EventType::ChargebackReversal => batch.returned += amount,
            _ => batch.given_back += amount,
        }
        self.post(&debit, &credit, currency, *amount);
        self.post(&payable, "revenue:fees", currency, fee);
        if let Some(original) = original {
            match sent.kind {
                EventType::Refund => self.booked[original].refunded += amount,
                EventType::Cancellation => self.booked[original].is_cancelled = true,
                _ => {}
            }
        }
        let forgotten_at = self.clock + PAYMENTS_KEPT;
        self.booked.push(Booked {
            sent: sent.clone(),
            day,
            fee,
            refunded: 0,
            is_cancelled: false,
            forgotten_at,
        });
    }

    /// A cut-off or a release; `at` is when it counts.
    fn handle(&mut self, due: &Due, at: i64) {
        self.due.remove(due);
        let (merchant, currency) = &due.position;
        let payable = format!("merchant:{merchant}:payable");
        let reserve_account = format!("merchant:{merchant}:reserve");
        if due.order == 1 {
            let day = self.open_batch(&due.position, sales_day(merchant, due.at));
            self.open.get_mut(&due.position).expect("it is open").returned += due.amount;
            self.post(&reserve_account, &payable, currency, due.amount);
            self.lines.push(format!(
                "RELEASED {merchant} {currency} {} of {} into {day}",
                due.amount, due.from_day
            ));
            return;
        }
        let batch = self.open.remove(&due.position).expect("it is open");
        let net = batch.net();
        let is_reserving = class(merchant) == "m0";
        let share = if is_reserving { half_even(batch.sales, 1_000, 10_000) } else { 0 };
        let reserve = share.min(net).max(0);
        let minimum = if is_reserving && currency == "EUR" { 5_000 } else { 0 };
        let available = net - reserve;
        let is_paid = available > 0 && available >= minimum;
        let end = if is_paid {
            let in_transit = format!("merchant:{merchant}:in-transit");
            self.post(&payable, &in_transit, currency, available);
            format!("payout {available} on {}", value_date(merchant, batch.day))
        } else {
            self.carried.insert(due.position.clone(), available);
            format!("carried {available}")
        };
        self.post(&payable, &reserve_account, currency, reserve);
        self.last_closed.insert(due.position.clone(), batch.day);
        if reserve > 0 {
            let release_at = at + 2 * DAY;
            let position = due.position.clone();
            self.due.insert(Due { at: release_at, order: 1, position, from_day: batch.day, amount: reserve });
        }
        self.lines.push(format!("CLOSED {merchant} {currency} {} reserve {reserve} {end}", batch.day));
    }

    fn balance(&self, account: &str, currency: &str) -> i128 {
        self.balances.get(&(account.to_owned(), currency.to_owned())).copied().unwrap_or(0)
    }

    /// An amount below zero goes the other way; none is no posting.
    fn post(&mut self, debit: &str, credit: &str, currency: &str, amount: i64) {
        if amount == 0 {
            return;
        }
        *self.balances.entry((debit.to_owned(), currency.to_owned())).or_default() += i128::from(amount);
        *self.balances.entry((credit.to_owned(), currency.to_owned())).or_default() -= i128::from(amount);
    }
}

/// Merchants whose names begin alike have the same contract.
fn class(merchant: &str) -> &str {
    merchant.get(..2).unwrap_or(merchant)
}

fn sales_day(merchant: &str, time: i64) -> i64 {
    let shift = if class(merchant) == "m1" { 7 * HOUR } else { 0 };
    (time + shift).div_euclid(DAY)
}

fn value_date(merchant: &str, day: i64) -> i64 {
    if class(merchant) == "m1" {
        return day + 2;
    }
    // 1970-01-01 was a Thursday. From Friday, Saturday and Sunday on, the next business day is Monday.
    let from_monday = (day + 3).rem_euclid(7);
    if from_monday >= 4 { day + 7 - from_monday } else { day + 1 }
}

/// `amount × numerator ÷ denominator`, a half to the even neighbour. No amount is below zero.
fn half_even(amount: i64, numerator: i64, denominator: i64) -> i64 {
    let product = i128::from(amount) * i128::from(numerator);
    let denominator = i128::from(denominator);
    let (quotient, rest) = (product / denominator, product % denominator);
    let is_up = rest * 2 > denominator || rest * 2 == denominator && quotient % 2 == 1;
    i64::try_from(quotient + i128::from(is_up)).expect("amounts of the workload are small")
}
