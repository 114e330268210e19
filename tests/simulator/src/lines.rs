//! What the journals say, in the words of the model.

use settle_types::authorize::DecisionEvent;
use settle_types::settle::SettlementEvent;

/// What an event of AUTHORIZE says.
pub fn authorize_line(event: &DecisionEvent) -> String {
    let code = |reasons: &[settle_types::authorize::Reason]| {
        reasons.first().map_or(String::new(), |reason| format!(" {}", reason.code))
    };
    if let Some(decision) = &event.decision {
        return format!("{}{}", decision.outcome.as_str(), code(&decision.reasons));
    }
    if let Some(change) = &event.transition {
        let (id, from, to) = (&change.payment.payment_id, change.from.as_str(), change.to.as_str());
        return format!("{id} {from}>{to}{}", code(&change.reasons));
    }
    if event.config.is_some() { "config".to_owned() } else { "nothing".to_owned() }
}

/// What an event of SETTLE says, in one line or two.
pub fn settle_lines(event: &SettlementEvent) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(opened) = &event.batch_opened {
        let (merchant, currency) = (&opened.merchant_id, opened.currency);
        let (day, carried) = (opened.sales_day.as_days(), opened.carried_in_minor.get());
        lines.push(format!("OPENED {merchant} {currency} {day} carried {carried}"));
    }
    if let Some(decision) = &event.decision {
        let approved = decision.approved.as_ref();
        let id = approved.map_or_else(String::new, |approved| approved.payment_id.to_string());
        match &decision.booking {
            Some(booking) => {
                let late = if booking.late_for.is_some() { " late" } else { "" };
                let (day, fee) = (booking.sales_day.as_days(), booking.fee_minor.get());
                lines.push(format!("BOOKED {id} {day} fee {fee}{late}"));
            }
            None => {
                let code = decision.reasons.first().map_or("", |reason| reason.code.as_str());
                lines.push(format!("REFUSED {id} {code}"));
            }
        }
    }
    if let Some(closed) = &event.batch_closed {
        let (merchant, currency, day) = (&closed.merchant_id, closed.currency, closed.sales_day.as_days());
        let end = match &closed.payout {
            Some(payout) => {
                format!("payout {} on {}", payout.amount_minor.get(), payout.value_date.as_days())
            }
            None => format!("carried {}", closed.carried_out_minor.get()),
        };
        lines
            .push(format!("CLOSED {merchant} {currency} {day} reserve {} {end}", closed.reserve_minor.get()));
    }
    if let Some(released) = &event.reserve_released {
        let (merchant, currency, amount) =
            (&released.merchant_id, released.currency, released.amount_minor.get());
        let day = |batch: &str| {
            let day = batch.rsplit_once(':').map_or("", |(_, day)| day);
            settle_settlement::calendar::CalendarDate::parse(day).map_or(0, |date| date.0.as_days())
        };
        let (from, into) = (day(released.from_batch_id.as_str()), day(released.into_batch_id.as_str()));
        lines.push(format!("RELEASED {merchant} {currency} {amount} of {from} into {into}"));
    }
    lines
}
