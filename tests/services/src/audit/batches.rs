//! Batches: each opens once, takes what is booked while it is open, closes once, adds up, and divides what it owes
//! into reserve, payout and what the next batch carries.

use std::collections::HashMap;

use super::finding::{Findings, Invariant, Place};
use super::records::{
    BatchClosed, BatchOpened, BatchStatus, BatchTotals, EventType, Payout, ReserveReleased,
};

struct Batch {
    merchant_id: String,
    currency: String,
    is_open: bool,
    totals: BatchTotals,
    /// Kept back and not released yet.
    reserve_minor: i64,
}

/// Where a merchant stands in a currency.
#[derive(Default)]
struct Cursor {
    open: Option<String>,
    carried_minor: i64,
}

/// All batches so far.
#[derive(Default)]
pub(super) struct Batches {
    batches: HashMap<String, Batch>,
    cursors: HashMap<(String, String), Cursor>,
}

impl Batches {
    pub(super) fn opened(&mut self, place: Place<'_>, opened: &BatchOpened, findings: &mut Findings) {
        let owner = (opened.merchant_id.clone(), opened.currency.clone());
        let cursor = self.cursors.entry(owner).or_default();
        if let Some(open) = cursor.open.replace(opened.batch_id.clone()) {
            findings.add(Invariant::Batch, place, format!("opens {}, {open} is open", opened.batch_id));
        }
        let carried = opened.carried_in_minor;
        findings.equal(Invariant::Batch, place, "carried_in_minor", &carried, &cursor.carried_minor);
        let batch = Batch {
            merchant_id: opened.merchant_id.clone(),
            currency: opened.currency.clone(),
            is_open: true,
            totals: BatchTotals { carried_in_minor: carried, ..BatchTotals::default() },
            reserve_minor: 0,
        };
        if self.batches.insert(opened.batch_id.clone(), batch).is_some() {
            findings.add(Invariant::Batch, place, format!("opens {} a second time", opened.batch_id));
        }
    }

    /// The batch, if it takes entries of this merchant and currency.
    fn open(
        &mut self,
        place: Place<'_>,
        batch_id: &str,
        merchant_id: &str,
        currency: &str,
        findings: &mut Findings,
    ) -> Option<&mut Batch> {
        let Some(batch) = self.batches.get_mut(batch_id) else {
            findings.add(Invariant::Batch, place, format!("{batch_id} was never opened"));
            return None;
        };
        if !batch.is_open {
            findings.add(Invariant::Batch, place, format!("{batch_id} is closed"));
        }
        if (batch.merchant_id.as_str(), batch.currency.as_str()) != (merchant_id, currency) {
            findings.add(
                Invariant::Batch,
                place,
                format!("{batch_id} is not of {merchant_id} in {currency}"),
            );
        }
        Some(batch)
    }

    pub(super) fn booked(
        &mut self,
        place: Place<'_>,
        batch_id: &str,
        (merchant_id, currency): (&str, &str),
        (event_type, amount_minor, fee_minor): (EventType, i64, i64),
        findings: &mut Findings,
    ) {
        let Some(batch) = self.open(place, batch_id, merchant_id, currency, findings) else { return };
        let totals = &mut batch.totals;
        totals.fees_minor += fee_minor;
        let (count, sum, sign) = match event_type {
            EventType::Payment => (&mut totals.sales_count, &mut totals.sales_minor, 1),
            EventType::Cancellation => (&mut totals.sales_count, &mut totals.sales_minor, -1),
            EventType::Refund => (&mut totals.refunds_count, &mut totals.refunds_minor, 1),
            EventType::Chargeback => (&mut totals.chargebacks_count, &mut totals.chargebacks_minor, 1),
            EventType::ChargebackReversal => (&mut totals.reversals_count, &mut totals.reversals_minor, 1),
            EventType::Unknown => return,
        };
        *count += sign;
        *sum += sign * amount_minor;
    }

    pub(super) fn closed(&mut self, place: Place<'_>, closed: &BatchClosed, findings: &mut Findings) {
        let (merchant_id, currency) = (closed.merchant_id.as_str(), closed.currency.as_str());
        let Some(batch) = self.open(place, &closed.batch_id, merchant_id, currency, findings) else { return };
        batch.is_open = false;
        batch.reserve_minor = closed.reserve_minor;
        findings.equal(Invariant::Batch, place, "totals", &closed.totals, &batch.totals);
        let payout_minor = closed.payout.as_ref().map_or(0, |payout| payout.amount_minor);
        let divided: i128 =
            [closed.reserve_minor, payout_minor, closed.carried_out_minor].map(i128::from).iter().sum();
        findings.equal(Invariant::Batch, place, "reserve + payout + carried", &divided, &net(&closed.totals));
        if closed.reserve_minor < 0 || payout_minor != 0 && closed.carried_out_minor != 0 {
            let detail = format!(
                "keeps {}, pays {payout_minor} and carries {}",
                closed.reserve_minor, closed.carried_out_minor
            );
            findings.add(Invariant::Batch, place, detail);
        }
        let status = match closed.payout {
            Some(_) => BatchStatus::AwaitingSettlement,
            None => BatchStatus::Carried,
        };
        findings.equal(Invariant::Batch, place, "status", &closed.status, &status);
        if let Some(payout) = &closed.payout {
            fits(place, payout, closed, findings);
        }
        let owner = (closed.merchant_id.clone(), closed.currency.clone());
        self.cursors.insert(owner, Cursor { open: None, carried_minor: closed.carried_out_minor });
    }

    pub(super) fn released(&mut self, place: Place<'_>, released: &ReserveReleased, findings: &mut Findings) {
        let kept = self.batches.get_mut(&released.from_batch_id).map(|batch| &mut batch.reserve_minor);
        let kept = kept.map(std::mem::take);
        let amount = released.amount_minor;
        findings.equal(Invariant::Batch, place, "reserve that is still kept", &Some(amount), &kept);
        let (merchant_id, currency) = (released.merchant_id.as_str(), released.currency.as_str());
        let into = self.open(place, &released.into_batch_id, merchant_id, currency, findings);
        if let Some(into) = into {
            into.totals.reserve_released_minor += amount;
        }
    }
}

/// What the batch owes the merchant (docs/worked-example.md).
fn net(totals: &BatchTotals) -> i128 {
    let owed =
        [totals.carried_in_minor, totals.sales_minor, totals.reversals_minor, totals.reserve_released_minor];
    let due = [totals.fees_minor, totals.refunds_minor, totals.chargebacks_minor];
    owed.map(i128::from).iter().sum::<i128>() - due.map(i128::from).iter().sum::<i128>()
}

fn fits(place: Place<'_>, payout: &Payout, closed: &BatchClosed, findings: &mut Findings) {
    if payout.amount_minor <= 0 {
        findings.add(Invariant::Batch, place, format!("pays out {}", payout.amount_minor));
    }
    let of_payout = (&payout.batch_id, &payout.merchant_id, &payout.currency);
    let of_batch = (&closed.batch_id, &closed.merchant_id, &closed.currency);
    findings.equal(Invariant::Batch, place, "what the payout is for", &of_payout, &of_batch);
}
