//! Batches are the sums of their entries, payouts are their batches.
//!
//! Looks at each merchant and currency by itself, in the order of the journal, and adds up again: what was booked, what
//! the ledger moved on the merchant's payable account, what was carried over, kept back and paid.

use serde::{Deserialize, Serialize};
use settle_ledger::balance::signed;
use settle_settlement::batch::net;
use settle_types::request::EventType;
use settle_types::settle::{BatchStatus, BatchTotals, LedgerTransaction, SettlementEvent};
use settle_types::{Currency, MerchantId, Minor, topic};

use crate::Error;
use crate::finding::{Finding, Kind, Place};
use crate::run::Run;
use crate::sorted::{Hash, Sorted, hash_of};

/// What an event says about one merchant and currency.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BatchLine {
    partition: u32,
    offset: u64,
    ordinal: u8,
    /// The event is to be judged, not only remembered.
    is_checked: bool,
    /// Journal partitions that lack their first events: what was before is not known.
    is_late: bool,
    line: Line,
}

impl BatchLine {
    fn order(&self) -> (u32, u64, u8) {
        (self.partition, self.offset, self.ordinal)
    }
}

impl PartialEq for BatchLine {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for BatchLine {}

impl PartialOrd for BatchLine {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BatchLine {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Line {
    Opened { batch: Hash, carried_in: i64 },
    Booked { batch: Hash, event_type: EventType, amount: i64, fee: i64, payable: i128 },
    Released { batch: Hash, amount: i64, payable: i128 },
    Closed(Box<Closed>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Closed {
    batch: Hash,
    batch_id: String,
    totals: BatchTotals,
    reserve: i64,
    carried_out: i64,
    payout: Option<i64>,
    is_payout_of_batch: bool,
    status: BatchStatus,
    payable: i128,
}

/// Credits less debits of the merchant's payable account.
fn payable(ledger: Option<&LedgerTransaction>, merchant: &MerchantId) -> i128 {
    let account = settle_ledger::Account::MerchantPayable(merchant.clone()).to_string();
    let entries = ledger.iter().flat_map(|transaction| &transaction.entries);
    entries.filter(|entry| entry.account == account).map(|entry| -signed(entry)).sum()
}

/// Notes what an event of SETTLE says about batches.
pub(crate) fn note(
    lines: &mut Sorted<BatchLine>,
    event: &SettlementEvent,
    place: &Place,
    is_checked: bool,
    is_late: bool,
) -> Result<(), Error> {
    let mut ordinal = 0;
    let mut add = |merchant: &MerchantId, currency: Currency, line: Line| {
        let line = BatchLine {
            partition: place.partition,
            offset: place.offset,
            ordinal,
            is_checked,
            is_late,
            line,
        };
        ordinal += 1;
        lines.add(hash_of(&[merchant.as_str(), currency.as_str()]), &line)
    };
    if let Some(opened) = &event.batch_opened {
        let batch = hash_of(&[opened.batch_id.as_str()]);
        let line = Line::Opened { batch, carried_in: opened.carried_in_minor.get() };
        add(&opened.merchant_id, opened.currency, line)?;
    }
    let ledger = event.ledger.as_ref();
    if let Some(decision) = &event.decision
        && let (Some(approved), Some(booking)) = (&decision.approved, &decision.booking)
    {
        let line = Line::Booked {
            batch: hash_of(&[booking.batch_id.as_str()]),
            event_type: approved.event_type,
            amount: approved.amount_minor.get(),
            fee: booking.fee_minor.get(),
            payable: payable(ledger, &approved.merchant_id),
        };
        add(&approved.merchant_id, approved.currency, line)?;
    }
    if let Some(released) = &event.reserve_released {
        let line = Line::Released {
            batch: hash_of(&[released.into_batch_id.as_str()]),
            amount: released.amount_minor.get(),
            payable: payable(ledger, &released.merchant_id),
        };
        add(&released.merchant_id, released.currency, line)?;
    }
    if let Some(closed) = &event.batch_closed {
        let payout = closed.payout.as_ref();
        let line = Line::Closed(Box::new(Closed {
            batch: hash_of(&[closed.batch_id.as_str()]),
            batch_id: closed.batch_id.to_string(),
            totals: closed.totals,
            reserve: closed.reserve_minor.get(),
            carried_out: closed.carried_out_minor.get(),
            payout: payout.map(|payout| payout.amount_minor.get()),
            is_payout_of_batch: payout.is_none_or(|payout| {
                payout.batch_id == closed.batch_id
                    && payout.merchant_id == closed.merchant_id
                    && payout.currency == closed.currency
            }),
            status: closed.status,
            payable: payable(ledger, &closed.merchant_id),
        }));
        add(&closed.merchant_id, closed.currency, line)?;
    }
    Ok(())
}

#[derive(Default)]
struct Account {
    open: Option<Open>,
    carried: Option<i64>,
}

struct Open {
    batch: Hash,
    totals: BatchTotals,
    payable: i128,
}

/// Adds up all batches.
pub(crate) fn check(run: &mut Run<'_>) -> Result<(), Error> {
    let empty = Sorted::new(&run.scratch)?;
    let lines = std::mem::replace(&mut run.batches, empty);
    lines.each_group(|group| {
        let mut account = Account::default();
        for line in group {
            let problem = account.take(&line, run);
            if let Some(problem) = problem.filter(|_| line.is_checked) {
                let place = Place::new(topic::SETTLEMENT_EVENTS, line.partition, line.offset);
                run.findings.add(Finding::new(Kind::Batch, place, problem));
            }
        }
    })
}

impl Account {
    /// Takes the next line of a merchant and currency; says what is wrong with it.
    fn take(&mut self, line: &BatchLine, run: &mut Run<'_>) -> Option<String> {
        match &line.line {
            Line::Opened { batch, carried_in } => {
                let was_open = self.open.take().is_some();
                let carried = self.carried.take().unwrap_or(if line.is_late { *carried_in } else { 0 });
                let totals =
                    BatchTotals { carried_in_minor: Minor::new(*carried_in), ..BatchTotals::default() };
                self.open = Some(Open { batch: *batch, totals, payable: 0 });
                if was_open {
                    return Some("a batch is opened while another one is open".to_owned());
                }
                (carried != *carried_in).then(|| {
                    format!(
                        "the batch begins with {carried_in}, but the one before it carried {carried} over"
                    )
                })
            }
            Line::Booked { batch, event_type, amount, fee, payable } => {
                let open = match self.open_batch(*batch, line.is_late) {
                    Ok(open) => open?,
                    Err(problem) => return Some(problem),
                };
                open.payable += payable;
                add(&mut open.totals, *event_type, *amount, *fee)
            }
            Line::Released { batch, amount, payable } => {
                let open = match self.open_batch(*batch, line.is_late) {
                    Ok(open) => open?,
                    Err(problem) => return Some(problem),
                };
                open.payable += payable;
                sum(&mut open.totals.reserve_released_minor, *amount)
            }
            Line::Closed(closed) => {
                self.carried = Some(closed.carried_out);
                let open = match self.open_batch(closed.batch, line.is_late) {
                    Ok(Some(_)) => self.open.take()?,
                    Ok(None) => return None,
                    Err(problem) => return Some(problem),
                };
                if line.is_checked {
                    run.checked.batches += 1;
                    run.checked.payouts += u64::from(closed.payout.is_some());
                }
                closed_problem(&open, closed)
            }
        }
    }

    /// The open batch, which this one must be; none if the journal's first events are gone, and it was opened by one of them.
    fn open_batch(&mut self, batch: Hash, is_late: bool) -> Result<Option<&mut Open>, String> {
        match &mut self.open {
            Some(open) if open.batch == batch => Ok(Some(open)),
            Some(_) => Err("it goes into a batch that is not the open one".to_owned()),
            None if is_late => Ok(None),
            None => Err("it goes into a batch that is not open".to_owned()),
        }
    }
}

fn closed_problem(open: &Open, closed: &Closed) -> Option<String> {
    let id = &closed.batch_id;
    if open.totals != closed.totals {
        let shown = |totals: &BatchTotals| serde_json::to_string(totals).unwrap_or_default();
        let (expected, found) = (shown(&open.totals), shown(&closed.totals));
        return Some(format!("the entries of batch {id} add up to {expected}, it was closed with {found}"));
    }
    let Ok(net) = net(&closed.totals) else {
        return Some(format!("the sums of batch {id} are out of range"));
    };
    let paid = closed.payout.unwrap_or_default();
    let parts = i128::from(closed.reserve) + i128::from(paid) + i128::from(closed.carried_out);
    if net.wide() != parts {
        return Some(format!(
            "batch {id} comes to {}, but {} were kept back, {paid} paid and {} carried over",
            net.get(),
            closed.reserve,
            closed.carried_out
        ));
    }
    let is_awaiting = closed.status == BatchStatus::AwaitingSettlement;
    if is_awaiting != closed.payout.is_some() || !closed.is_payout_of_batch {
        return Some(format!("the payout of batch {id} does not fit its status {}", closed.status.as_str()));
    }
    let moved = open.payable + closed.payable;
    let expected = i128::from(closed.carried_out) - closed.totals.carried_in_minor.wide();
    (moved != expected).then(|| {
        format!("the ledger moved {moved} on the payable account in batch {id}, {expected} were expected")
    })
}

fn sum(total: &mut Minor, amount: i64) -> Option<String> {
    match total.plus(Minor::new(amount)) {
        Ok(sum) => {
            *total = sum;
            None
        }
        Err(_) => Some("a sum of the batch is out of range".to_owned()),
    }
}

fn add(totals: &mut BatchTotals, event_type: EventType, amount: i64, fee: i64) -> Option<String> {
    let problem = sum(&mut totals.fees_minor, fee);
    let (count, total, sign) = match event_type {
        EventType::Payment => (&mut totals.sales_count, &mut totals.sales_minor, 1),
        EventType::Cancellation => (&mut totals.sales_count, &mut totals.sales_minor, -1),
        EventType::Refund => (&mut totals.refunds_count, &mut totals.refunds_minor, 1),
        EventType::Chargeback => (&mut totals.chargebacks_count, &mut totals.chargebacks_minor, 1),
        EventType::ChargebackReversal => (&mut totals.reversals_count, &mut totals.reversals_minor, 1),
        EventType::Unknown => return Some("something of an unknown kind was booked".to_owned()),
    };
    *count += sign;
    problem.or_else(|| sum(total, amount.checked_mul(sign).unwrap_or_default()))
}
