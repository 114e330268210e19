//! docs/worked-example.md is what the program does, to the cent: the requests and the contract are read from the
//! page, and every number on it is compared with what comes out.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use settle_engine::settle::SettleSettings;
use settle_engine::{ClockConfig, Payload};
use settle_ledger::TrialBalance;
use settle_settlement::Contracts;
use settle_settlement::calendar::CalendarDate;
use settle_types::request::{EventType, PaymentRequested};
use settle_types::settle::{BatchClosed, BatchTotals, Direction, LedgerTransaction};
use settle_types::{Duration, Timestamp};
use support::build::{authorize_settings, currency, payment};
use support::document::{Table, cents, code_block, rows_under, tables, units, written};
use support::pipeline::Pipeline;

const REQUESTS: [&str; 5] = ["time", "request", "id", "about", "amount"];
const LEDGER: [&str; 5] = ["#", "posting", "debit", "credit", "amount"];
const FEES: [&str; 6] = ["sale", "amount", "2.5 %", "rounded", "fixed", "fee"];
const PAYOUTS: [&str; 3] = ["payout", "amount", "value date"];
const BALANCES: [&str; 3] = ["account", "debit", "credit"];

#[derive(serde::Deserialize)]
struct ContractBlock {
    contracts: Contracts,
}

/// What the page says, and the pipeline after its last day.
struct Example {
    page: String,
    tables: Vec<Table>,
    pipeline: Pipeline,
}

fn example() -> Example {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/worked-example.md");
    let page = std::fs::read_to_string(file).expect("docs/worked-example.md is read");
    let tables = tables(&page);
    let block: ContractBlock = toml::from_str(code_block(&page, "toml")).expect("the contract is valid TOML");
    let settings = SettleSettings {
        clock: ClockConfig::default(),
        contracts: block.contracts,
        ..SettleSettings::default()
    };
    let requests: Vec<PaymentRequested> =
        rows_under(&tables, &REQUESTS).iter().map(|row| request(row)).collect();
    assert_eq!(requests.len(), 9, "the requests of the page were found");
    let first = requests.first().expect("a request").requested_at;
    let last = requests.last().expect("a request").requested_at;
    let mut pipeline = Pipeline::new(&authorize_settings(), &settings, first);
    // The wall clock goes on by half hours until the last batch is closed.
    let mut now = first;
    let mut requests = requests.iter().peekable();
    while now <= last.saturating_add(Duration::from_seconds(10 * 3_600)) {
        pipeline.set_wall(now);
        pipeline.idle();
        while let Some(request) = requests.next_if(|request| request.requested_at <= now) {
            let decision = pipeline.request(request).remove(0).decision.expect("a decision");
            assert!(decision.forwarded, "{}: {:?}", request.payment_id, decision.reasons);
        }
        pipeline.run_until_idle();
        now = now.saturating_add(Duration::from_seconds(1_800));
    }
    assert_eq!(requests.next(), None, "every request was made");
    Example { page, tables, pipeline }
}

fn request(row: &[String]) -> PaymentRequested {
    let [time, kind, id, about, amount] = row else { panic!("five cells") };
    let kinds = [EventType::Payment, EventType::Refund, EventType::Chargeback, EventType::ChargebackReversal];
    let event_type = kinds.into_iter().find(|known| known.as_str() == kind).expect("a kind of request");
    PaymentRequested {
        event_type,
        merchant_id: "bakery".into(),
        original_payment_id: (!about.is_empty()).then(|| about.as_str().into()),
        amount_minor: cents(amount),
        requested_at: instant(time),
        ..payment(id)
    }
}

/// `2026-03-05 09:00` in UTC.
fn instant(text: &str) -> Timestamp {
    let (day, clock) = text.split_once(' ').expect("a day and a time");
    let (hours, minutes) = clock.split_once(':').expect("hours and minutes");
    let number = |digits: &str| digits.parse::<u32>().expect("a number");
    let since_midnight = Duration::from_seconds(number(hours) * 3_600 + number(minutes) * 60);
    CalendarDate::parse(day).expect("a day").0.start().saturating_add(since_midnight)
}

fn closed(pipeline: &Pipeline) -> Vec<&BatchClosed> {
    pipeline.settle[0].journal.iter().filter_map(|event| event.batch_closed.as_ref()).collect()
}

#[test]
fn the_fees_are_those_of_the_page() {
    let Example { tables, pipeline, .. } = example();
    let mut charged = BTreeMap::new();
    for decision in pipeline.settle[0].journal.iter().filter_map(|event| event.decision.as_ref()) {
        let approved = decision.approved.as_ref().expect("every record was read");
        let booking = decision.booking.as_ref().expect("every record was booked");
        if approved.event_type == EventType::Payment {
            charged.insert(approved.payment_id.to_string(), booking.fee_minor.get());
        } else {
            assert_eq!(booking.fee_minor.get(), 0, "{}: only sales have a fee here", approved.payment_id);
        }
    }
    let rows = rows_under(&tables, &FEES);
    assert_eq!(rows.len(), charged.len(), "a row for each sale");
    let (mut ties_down, mut ties_up) = (0, 0);
    for row in rows {
        let [sale, amount, share, rounded, fixed, fee] = row.as_slice() else { panic!("six cells") };
        // 2.5 % of cents is in ten-thousandths of a euro: 100.20 × 0.025 = 2.5050.
        assert_eq!(units(share, 4) * 100, cents(amount) * 250, "{sale}: the share");
        let rest = units(share, 4) % 100;
        let off_by = units(share, 4) - cents(rounded) * 100;
        assert!(off_by.abs() <= 50, "{sale}: rounded to the nearest cent");
        if rest == 50 {
            assert_eq!(cents(rounded) % 2, 0, "{sale}: a tie goes to the even cent");
            ties_down += i32::from(off_by > 0);
            ties_up += i32::from(off_by < 0);
        }
        assert_eq!(cents(rounded) + cents(fixed), cents(fee), "{sale}: the sum");
        assert_eq!(charged[sale], cents(fee), "{sale}: as booked");
    }
    assert!(ties_down > 0 && ties_up > 0, "the page shows a tie in each direction");
}

#[test]
fn the_ledger_is_that_of_the_page() {
    let Example { tables, pipeline, .. } = example();
    let found: Vec<Vec<String>> = pipeline.ledger(0).into_iter().flat_map(rows_of).collect();
    let expected = rows_under(&tables, &LEDGER);
    assert_eq!(found, expected);
}

/// A row for each debit and the credit that follows it.
fn rows_of(transaction: &LedgerTransaction) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for pair in transaction.entries.chunks(2) {
        let [debit, credit] = pair else { panic!("entries come in pairs") };
        assert_eq!((debit.direction, credit.direction), (Direction::Debit, Direction::Credit));
        assert_eq!(debit.amount_minor, credit.amount_minor);
        rows.push(vec![
            transaction.sequence.to_string(),
            transaction.posting.to_string(),
            debit.account.to_string(),
            credit.account.to_string(),
            written(debit.amount_minor.get()),
        ]);
    }
    rows
}

#[test]
fn the_batches_are_those_of_the_page() {
    let Example { tables, pipeline, .. } = example();
    let mut expected = Vec::new();
    for table in &tables {
        let Some(day) = table.header[0].strip_prefix("batch of ") else { continue };
        let lines: BTreeMap<&str, i64> =
            table.rows.iter().map(|row| (row[0].as_str(), cents(&row[1]))).collect();
        assert_eq!(lines.len(), table.rows.len(), "{day}: each line stands once");
        check_arithmetic(day, &lines);
        expected.push((day.to_owned(), lines));
    }
    let mut found = Vec::new();
    for batch in closed(&pipeline) {
        found.push((batch.sales_day.to_string(), lines_of(batch)));
    }
    assert_eq!(found, expected);
}

/// The lines above the net add up to it, and those below it divide it.
fn check_arithmetic(day: &str, lines: &BTreeMap<&str, i64>) {
    let below = ["to the reserve", "paid out", "carried out"];
    let sum = |is_wanted: &dyn Fn(&str) -> bool| -> i64 {
        lines.iter().filter(|(line, _)| is_wanted(line)).map(|(_, amount)| amount).sum()
    };
    let net = lines["net"];
    assert_eq!(sum(&|line| line != "net" && !below.contains(&line)), net, "{day}: the net");
    assert_eq!(sum(&|line| below.contains(&line)), net, "{day}: where the net goes");
}

/// The lines of a batch as the page shows them: without those of zero.
fn lines_of(batch: &BatchClosed) -> BTreeMap<&'static str, i64> {
    let BatchTotals {
        sales_minor,
        fees_minor,
        refunds_minor,
        chargebacks_minor,
        reversals_minor,
        reserve_released_minor,
        carried_in_minor,
        ..
    } = batch.totals;
    let net = settle_settlement::net(&batch.totals).expect("small amounts");
    let mut lines = BTreeMap::from([
        ("carried in", carried_in_minor.get()),
        ("sales", sales_minor.get()),
        ("fees", -fees_minor.get()),
        ("refunds", -refunds_minor.get()),
        ("chargebacks", -chargebacks_minor.get()),
        ("reversals", reversals_minor.get()),
        ("reserves released", reserve_released_minor.get()),
        ("net", net.get()),
        ("to the reserve", batch.reserve_minor.get()),
        ("paid out", batch.payout.as_ref().map_or(0, |payout| payout.amount_minor.get())),
        ("carried out", batch.carried_out_minor.get()),
    ]);
    lines.retain(|_, amount| *amount != 0);
    lines
}

#[test]
fn the_payouts_are_those_of_the_page() {
    let Example { tables, pipeline, .. } = example();
    let mut found = Vec::new();
    for output in &pipeline.settle[0].outputs {
        if let Payload::Payout(payout) = &output.payload {
            assert_eq!((payout.currency, payout.merchant_id.as_str()), (currency("EUR"), "bakery"));
            let amount = written(payout.amount_minor.get());
            found.push(vec![payout.payout_id.to_string(), amount, payout.value_date.to_string()]);
        }
    }
    assert_eq!(found, rows_under(&tables, &PAYOUTS));
}

#[test]
fn the_trial_balance_is_that_of_the_page() {
    let Example { tables, pipeline, .. } = example();
    let mut trial = TrialBalance::default();
    pipeline.ledger(0).into_iter().for_each(|transaction| trial.add(transaction));
    let mut found = Vec::new();
    let mut totals = (0, 0);
    for (account, _, sides) in trial.rows() {
        let balance = i64::try_from(sides.balance()).expect("small amounts");
        let row = if balance > 0 {
            totals.0 += balance;
            [account.to_owned(), written(balance), String::new()]
        } else {
            totals.1 -= balance;
            [account.to_owned(), String::new(), written(-balance)]
        };
        found.push(row.to_vec());
    }
    found.push(vec!["total".to_owned(), written(totals.0), written(totals.1)]);
    assert_eq!(found, rows_under(&tables, &BALANCES));
}

/// The last lines of the page retell the whole in words.
#[test]
fn the_summary_is_that_of_the_page() {
    let Example { page, pipeline, .. } = example();
    let batches = closed(&pipeline);
    let sum = |part: fn(&BatchClosed) -> i64| written(batches.iter().map(|batch| part(batch)).sum());
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let phrases = [
        format!("customers paid {} and", sum(|batch| batch.totals.sales_minor.get())),
        format!("got {} back", sum(|batch| batch.totals.refunds_minor.get())),
        format!("{} were earned in fees", sum(|batch| batch.totals.fees_minor.get())),
        format!(
            "Of these {} are on their way",
            sum(|batch| batch.payout.as_ref().map_or(0, |payout| payout.amount_minor.get()))
        ),
        format!(
            "{} waits until Friday, 27 March, 17:00",
            sum(|batch| batch.reserve_minor.get() - batch.totals.reserve_released_minor.get())
        ),
    ];
    for phrase in phrases {
        assert!(words.contains(&phrase), "the page does not say: {phrase}");
    }
    let last = batches.last().expect("a batch was closed");
    assert_eq!(last.reserve_release_at, Some(instant("2026-03-27 17:00")));
}
