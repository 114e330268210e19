//! SETTLE: a row per outcome. Each row is a script; what is compared is what its last step led to.

mod support;

use settle_settlement::{Contract, ContractStatus};
use settle_types::authorize::PaymentApproved;
use settle_types::request::{EventType, PaymentRequested};
use settle_types::{BasisPoints, Minor, Timestamp, reason};
use support::build::*;
use support::reasons;
use support::settle_script::Step::{Approved, At, Book, ClockOnly, Contracts, Finish, Request, Settle, Undecodable};
use support::settle_script::{Step, run, said};

struct Row {
    name: &'static str,
    contract: Contract,
    steps: Vec<Step>,
    expected: &'static str,
}

/// 1 % and T+1 in days of UTC.
fn row(name: &'static str, steps: Vec<Step>, expected: &'static str) -> Row {
    Row { name, contract: plain_contract(), steps, expected }
}

fn under(contract: Contract, name: &'static str, steps: Vec<Step>, expected: &'static str) -> Row {
    Row { name, contract, steps, expected }
}

fn free() -> Contract {
    Contract { fees: fee("*", 0, &[]), ..Contract::default() }
}

/// 10 % of the sales, kept for so many days.
fn reserving(days: u32) -> Contract {
    Contract { reserve_basis_points: BasisPoints::new(1_000), reserve_days: days, ..free() }
}

fn p(id: &str) -> Step {
    Book(payment(id))
}

fn of(id: &str, amount_minor: i64) -> PaymentRequested {
    PaymentRequested { amount_minor, ..payment(id) }
}

fn of_other_debtor(request: PaymentRequested) -> PaymentRequested {
    PaymentRequested { debtor_account: "d-2".into(), ..request }
}

/// A record as AUTHORIZE would not write it.
fn made(event_type: EventType, id: &str, original: Option<&str>) -> Step {
    Approved(Box::new(PaymentApproved {
        event_type,
        payment_id: id.into(),
        original_payment_id: original.map(Into::into),
        debtor_account: "d-1".into(),
        merchant_id: "m-1".into(),
        amount_minor: Minor::new(100),
        currency: currency("EUR"),
        payment_method: "CARD".into(),
        requested_at: noon(),
        decision_id: Default::default(),
        decided_at: noon(),
    }))
}

/// Midnight UTC after so many days: the cut-off of the day before.
fn midnight(days: u32) -> Timestamp {
    at(days, 0, 0)
}

fn refused() -> Vec<Row> {
    let blocked = || Contract { status: ContractStatus::Blocked, ..plain_contract() };
    let only_cards = Contract { fees: fee("CARD", 100, &[]), ..Contract::default() };
    let by_transfer = PaymentRequested { payment_method: "BANK_TRANSFER".into(), ..payment("p-1") };
    let capped = |cap| Contract { net_debit_cap_minor: amounts(&[("EUR", cap)]), ..plain_contract() };
    let returning = |cap| Contract { refund_returns_fee: true, ..capped(cap) };
    vec![
        row("no record", vec![Undecodable(reason::UNDECODABLE)], "INVALID UNDECODABLE"),
        row("an unknown schema", vec![Undecodable(reason::UNKNOWN_SCHEMA)], "INVALID UNKNOWN_SCHEMA"),
        row("an unknown kind", vec![made(EventType::Unknown, "u-1", None)], "REFUSED EVENT_TYPE_UNKNOWN"),
        row(
            "another debtor's payment id",
            vec![p("p-1"), Book(of_other_debtor(payment("p-1")))],
            "REFUSED PAYMENT_ID_REUSED",
        ),
        row("the same id with another merchant", vec![p("p-1"), Book(PaymentRequested { merchant_id: "m-2".into(), ..payment("p-1") })], "REFUSED NO_CONTRACT"),
        row("an id is kept for 550 days", vec![p("p-1"), At(at(550, 11, 59)), Book(of_other_debtor(payment("p-1")))], "REFUSED PAYMENT_ID_REUSED"),
        row("a blocked merchant", vec![Contracts(vec![("m-1", blocked())]), p("p-1")], "REFUSED MERCHANT_BLOCKED"),
        row(
            "its refunds go on",
            vec![p("p-1"), Contracts(vec![("m-1", blocked())]), Book(refund("r-1", "p-1", 10_000))],
            "BOOKED 03-02 fee 0",
        ),
        under(only_cards, "a method without a fee", vec![Book(by_transfer)], "REFUSED NO_FEE_FOR_METHOD"),
        row(
            "a follow-up of a refused payment",
            vec![Request(payment("p-1")), Request(refund("r-1", "p-1", 1)), Contracts(vec![]), Settle],
            "REFUSED NO_CONTRACT; REFUSED NO_CONTRACT",
        ),
        under(
            blocked(),
            "whose merchant is blocked",
            vec![Request(payment("p-1")), Request(refund("r-1", "p-1", 1)), Settle],
            "REFUSED MERCHANT_BLOCKED; REFUSED ORIGINAL_NOT_BOOKED",
        ),
        row(
            "of a payment whose id another debtor booked",
            vec![
                p("p-1"),
                Request(of_other_debtor(payment("p-1"))),
                Request(of_other_debtor(refund("r-1", "p-1", 1))),
                Settle,
            ],
            "REFUSED PAYMENT_ID_REUSED; REFUSED ORIGINAL_NOT_BOOKED",
        ),
        row("without an original", vec![made(EventType::Refund, "r-1", None)], "REFUSED ORIGINAL_NOT_BOOKED"),
        row(
            "of a cancelled payment",
            vec![p("p-1"), Book(cancellation("x-1", "p-1", 10_000)), made(EventType::Refund, "r-1", Some("p-1"))],
            "REFUSED ORIGINAL_NOT_BOOKED",
        ),
        under(capped(0), "a refund into debt", vec![p("p-1"), Book(refund("r-1", "p-1", 10_000))], "REFUSED NET_DEBIT_CAP"),
        under(capped(99), "a cent above the cap", vec![p("p-1"), Book(refund("r-1", "p-1", 10_000))], "REFUSED NET_DEBIT_CAP"),
        under(capped(100), "at the cap", vec![p("p-1"), Book(refund("r-1", "p-1", 10_000))], "BOOKED 03-02 fee 0"),
        under(returning(0), "the fee that it gives back counts", vec![p("p-1"), Book(refund("r-1", "p-1", 10_000))], "BOOKED 03-02 fee -100"),
        under(capped(0), "a chargeback is a fact", vec![p("p-1"), Book(chargeback("c-1", "p-1", 10_000))], "BOOKED 03-02 fee 0"),
        under(
            free(),
            "sales beyond 64 bits",
            vec![Book(of("p-1", i64::MAX)), Book(of("p-2", 1))],
            "REFUSED AMOUNT_OVERFLOW",
        ),
        under(
            Contract { fees: fee("*", 10_000, &[("EUR", 1)]), ..Contract::default() },
            "a fee beyond 64 bits",
            vec![Book(of("p-1", i64::MAX))],
            "REFUSED AMOUNT_OVERFLOW",
        ),
        under(
            reserving(2),
            "with reserves that may fall free",
            vec![Book(of("p-1", i64::MAX)), At(midnight(1)), Book(of("p-2", i64::MAX))],
            "REFUSED AMOUNT_OVERFLOW",
        ),
        under(
            reserving(2),
            "as much as leaves room for them",
            vec![
                Book(of("p-1", i64::MAX)),
                At(midnight(1)),
                Book(of("p-2", i64::MAX - i64::MAX / 10 - 1)),
                At(midnight(9)),
            ],
            "CUT_OFF 03-03 AWAITING_SETTLEMENT reserve 830103483316929823 payout 7470931349852368403 on 03-04; \
             opened 03-11 carried 0; released 922337203685477581 of 03-02 into 03-11; \
             released 830103483316929823 of 03-03 into 03-11",
        ),
    ]
}

fn cancellations() -> Vec<Row> {
    let cancelled = || cancellation("x-1", "p-1", 10_000);
    vec![
        row("in the open batch", vec![p("p-1"), Book(cancelled())], "BOOKED 03-02 fee -100"),
        row("its batch is then empty", vec![p("p-1"), Book(cancelled()), At(midnight(1))], "CUT_OFF 03-02 CARRIED reserve 0 carried 0"),
        row("after the close", vec![p("p-1"), At(midnight(1)), Book(cancelled())], "REFUSED BATCH_CLOSED"),
        row("decided before the close, read after it", vec![p("p-1"), Request(cancelled()), At(midnight(1)), Settle], "REFUSED BATCH_CLOSED"),
        row("at the cut-off", vec![p("p-1"), ClockOnly(midnight(1)), Request(cancelled()), Settle], "CUT_OFF 03-02 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-03; REFUSED BATCH_CLOSED"),
        row("after a finish", vec![p("p-1"), Finish, Book(cancelled())], "REFUSED BATCH_CLOSED"),
        row(
            "of a payment that was booked late: until that batch closes",
            vec![Request(payment("p-1")), At(midnight(1)), Settle, Book(cancelled())],
            "BOOKED 03-03 fee -100",
        ),
    ]
}

fn batches() -> Vec<Row> {
    let prague = || Contract { time_zone: "Europe/Prague".to_owned(), cut_off: "17:00".to_owned(), ..free() };
    let minimum = |minor| Contract { minimum_payout_minor: amounts(&[("EUR", minor)]), ..free() };
    let on_friday = || at(4, 12, 0);
    vec![
        row("a first sale opens a batch", vec![p("p-1")], "opened 03-02 carried 0; BOOKED 03-02 fee 100"),
        row("a second goes into it", vec![p("p-1"), p("p-2")], "BOOKED 03-02 fee 100"),
        row("a batch for each currency", vec![p("p-1"), Book(PaymentRequested { currency: "JPY".into(), ..payment("p-2") })], "opened 03-02 carried 0; BOOKED 03-02 fee 100"),
        row("a microsecond before the cut-off", vec![p("p-1"), At(just_before(midnight(1)))], ""),
        row("the cut-off", vec![p("p-1"), At(midnight(1))], "CUT_OFF 03-02 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-03"),
        row("days later: it is closed once", vec![p("p-1"), At(at(9, 0, 0))], "CUT_OFF 03-02 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-03"),
        under(prague(), "before the cut-off on the merchant's clock", vec![At(at(0, 15, 59)), p("p-1")], "opened 03-02 carried 0; BOOKED 03-02 fee 0"),
        under(prague(), "from then on the next day", vec![At(at(0, 16, 0)), p("p-1")], "opened 03-03 carried 0; BOOKED 03-03 fee 0"),
        row("over the weekend", vec![At(on_friday()), p("p-1"), At(midnight(5))], "CUT_OFF 03-06 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-09"),
        row("a sale of Saturday", vec![At(at(5, 12, 0)), p("p-1"), At(midnight(6))], "CUT_OFF 03-07 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-09"),
        row(
            "read after the close: into the next batch, with reference",
            vec![p("p-1"), Request(payment("p-2")), At(midnight(1)), Settle],
            "opened 03-03 carried 0; BOOKED 03-03 fee 100 late for 03-02",
        ),
        row(
            "into a batch that is open already",
            vec![Request(payment("p-1")), At(midnight(1)), Request(payment("p-2")), ClockOnly(midnight(1)), Settle],
            "opened 03-03 carried 0; BOOKED 03-03 fee 100 late for 03-02; BOOKED 03-03 fee 100",
        ),
        row("a finish closes before the cut-off", vec![p("p-1"), Finish], "FINISH 03-02 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-03"),
        row("once", vec![p("p-1"), Finish, Finish], ""),
        row(
            "what comes on the same day goes into the next",
            vec![p("p-1"), Finish, p("p-2")],
            "opened 03-03 carried 0; BOOKED 03-03 fee 100 late for 03-02",
        ),
        row(
            "which closes at its own cut-off",
            vec![p("p-1"), Finish, p("p-2"), At(midnight(1)), At(midnight(2))],
            "CUT_OFF 03-03 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-04",
        ),
        row(
            "a day of refunds is carried",
            vec![p("p-1"), At(midnight(1)), Book(refund("r-1", "p-1", 4_000)), At(midnight(2))],
            "CUT_OFF 03-03 CARRIED reserve 0 carried -4000",
        ),
        row(
            "and taken into account in the next",
            vec![p("p-1"), At(midnight(1)), Book(refund("r-1", "p-1", 4_000)), At(midnight(2)), p("p-2")],
            "opened 03-04 carried -4000; BOOKED 03-04 fee 100",
        ),
        row(
            "which pays the rest",
            vec![p("p-1"), At(midnight(1)), Book(refund("r-1", "p-1", 4_000)), At(midnight(2)), p("p-2"), At(midnight(3))],
            "CUT_OFF 03-04 AWAITING_SETTLEMENT reserve 0 payout 5900 on 03-05",
        ),
        row(
            "a debt is carried on while it lasts",
            vec![p("p-1"), At(midnight(1)), Book(chargeback("c-1", "p-1", 10_000)), At(midnight(2)), Book(of("p-2", 1_000)), At(midnight(3))],
            "CUT_OFF 03-04 CARRIED reserve 0 carried -9010",
        ),
        under(minimum(10_001), "below the minimum payout", vec![p("p-1"), At(midnight(1))], "CUT_OFF 03-02 CARRIED reserve 0 carried 10000"),
        under(minimum(10_000), "at the minimum payout", vec![p("p-1"), At(midnight(1))], "CUT_OFF 03-02 AWAITING_SETTLEMENT reserve 0 payout 10000 on 03-03"),
        under(minimum(10_001), "with what was carried", vec![p("p-1"), At(midnight(1)), Book(of("p-2", 1)), At(midnight(2))], "CUT_OFF 03-03 AWAITING_SETTLEMENT reserve 0 payout 10001 on 03-04"),
        under(
            Contract { refund_returns_fee: true, ..plain_contract() },
            "a refund in parts gives the fee back in parts",
            vec![Book(of("p-1", 250)), Book(refund("r-1", "p-1", 125))],
            "BOOKED 03-02 fee -1",
        ),
        under(
            Contract { refund_returns_fee: true, ..plain_contract() },
            "that make the whole fee",
            vec![Book(of("p-1", 250)), Book(refund("r-1", "p-1", 125)), Book(refund("r-2", "p-1", 125))],
            "BOOKED 03-02 fee -1",
        ),
        row("unless the contract keeps fees", vec![Book(of("p-1", 250)), Book(refund("r-1", "p-1", 250))], "BOOKED 03-02 fee 0"),
        row("a chargeback, and its reversal", vec![p("p-1"), Book(chargeback("c-1", "p-1", 10_000)), Book(reversal("v-1", "c-1", 10_000))], "BOOKED 03-02 fee 0"),
    ]
}

fn just_before(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.as_micros() - 1)
}

fn reserves() -> Vec<Row> {
    let twice = || {
        vec![p("p-1"), At(midnight(1)), Book(of("p-2", 20_000)), At(midnight(2))]
    };
    let then = |mut steps: Vec<Step>, more: Vec<Step>| {
        steps.extend(more);
        steps
    };
    vec![
        under(reserving(3), "kept at the close", vec![p("p-1"), At(midnight(1))], "CUT_OFF 03-02 AWAITING_SETTLEMENT reserve 1000 payout 9000 on 03-03"),
        under(
            reserving(3),
            "never more than the net",
            vec![p("p-1"), Book(refund("r-1", "p-1", 9_500)), At(midnight(1))],
            "CUT_OFF 03-02 CARRIED reserve 500 carried 0",
        ),
        under(reserving(3), "none of a debt", vec![p("p-1"), Book(chargeback("c-1", "p-1", 10_000)), At(midnight(1))], "CUT_OFF 03-02 CARRIED reserve 0 carried 0"),
        under(
            reserving(3),
            "released after its days: a batch opens without a sale",
            vec![p("p-1"), At(midnight(1)), At(midnight(4))],
            "opened 03-05 carried 0; released 1000 of 03-02 into 03-05",
        ),
        under(reserving(3), "not before", vec![p("p-1"), At(midnight(1)), At(just_before(midnight(4)))], ""),
        under(
            reserving(3),
            "and is paid with that batch, nothing kept back of it",
            vec![p("p-1"), At(midnight(1)), At(midnight(4)), At(midnight(5))],
            "CUT_OFF 03-05 AWAITING_SETTLEMENT reserve 0 payout 1000 on 03-06",
        ),
        under(
            reserving(3),
            "into the batch that closes at that instant",
            vec![p("p-1"), At(midnight(1)), At(at(3, 12, 0)), Book(of("p-2", 100)), At(midnight(4))],
            "released 1000 of 03-02 into 03-05; CUT_OFF 03-05 AWAITING_SETTLEMENT reserve 10 payout 1090 on 03-06",
        ),
        under(
            reserving(3),
            "into the batch that is open",
            vec![p("p-1"), At(midnight(1)), At(midnight(2)), Finish, At(midnight(3)), p("p-2"), At(at(4, 0, 0))],
            "released 1000 of 03-02 into 03-05; CUT_OFF 03-05 AWAITING_SETTLEMENT reserve 1000 payout 10000 on 03-06",
        ),
        under(
            reserving(3),
            "of two batches, in order of time",
            then(twice(), vec![At(midnight(9))]),
            "opened 03-11 carried 0; released 1000 of 03-02 into 03-11; released 2000 of 03-03 into 03-11",
        ),
        under(
            reserving(3),
            "a finish releases nothing",
            then(twice(), vec![Finish, At(midnight(4))]),
            "opened 03-06 carried 0; released 1000 of 03-02 into 03-06",
        ),
        under(
            reserving(1),
            "handled late, in the order of the times that were reached",
            vec![p("p-1"), ClockOnly(midnight(8)), Book(of("p-2", 100))],
            "CUT_OFF 03-02 AWAITING_SETTLEMENT reserve 1000 payout 9000 on 03-03; \
             opened 03-10 carried 0; released 1000 of 03-02 into 03-10; BOOKED 03-10 fee 0",
        ),
    ]
}

/// The contract of a merchant is removed or changed while money waits.
fn changed_contracts() -> Vec<Row> {
    let removed = || Contracts(vec![]);
    vec![
        row("removed with a batch open: carried as a whole", vec![p("p-1"), removed(), At(midnight(1))], "CUT_OFF 03-02 CARRIED reserve 0 carried 9900"),
        row(
            "under a new contract it is paid with the next batch",
            vec![p("p-1"), removed(), At(midnight(1)), Contracts(vec![("default", free())]), p("p-2"), At(midnight(2))],
            "CUT_OFF 03-03 AWAITING_SETTLEMENT reserve 0 payout 19900 on 03-04",
        ),
        row("a payment without a contract", vec![removed(), p("p-1")], "REFUSED NO_CONTRACT"),
        row("the default", vec![Contracts(vec![("default", free())]), p("p-1")], "opened 03-02 carried 0; BOOKED 03-02 fee 0"),
        under(
            reserving(3),
            "removed while a reserve is kept: released all the same",
            vec![p("p-1"), At(midnight(1)), removed(), At(midnight(4))],
            "opened 03-05 carried 0; released 1000 of 03-02 into 03-05",
        ),
        under(
            reserving(3),
            "and carried until there is a contract",
            vec![p("p-1"), At(midnight(1)), removed(), At(midnight(4)), At(midnight(5))],
            "CUT_OFF 03-05 CARRIED reserve 0 carried 1000",
        ),
        under(
            reserving(3),
            "new terms count from the next close on",
            vec![p("p-1"), Contracts(vec![("m-1", plain_contract())]), At(midnight(1))],
            "CUT_OFF 03-02 AWAITING_SETTLEMENT reserve 0 payout 10000 on 03-03",
        ),
        row(
            "an open batch keeps the cut-off it was opened with",
            vec![
                p("p-1"),
                Contracts(vec![("m-1", Contract { cut_off: "13:00".to_owned(), ..free() })]),
                At(at(0, 14, 0)),
                p("p-2"),
            ],
            "BOOKED 03-02 fee 0",
        ),
    ]
}

fn all_rows() -> Vec<Row> {
    [refused(), cancellations(), batches(), reserves(), changed_contracts()].into_iter().flatten().collect()
}

#[test]
fn every_outcome() {
    let mut produced = Vec::new();
    let mut wrong = Vec::new();
    for Row { name, contract, steps, expected } in all_rows() {
        let (pipeline, events) = run(&[("m-1", contract)], &steps);
        let found = said(&events);
        if found != expected {
            wrong.push(format!("{name}:\n  expected `{expected}`\n  found    `{found}`"));
        }
        for decision in pipeline.settle[0].journal.iter().filter_map(|event| event.decision.as_ref()) {
            produced.extend(decision.reasons.iter().map(|reason| reason.code.to_string()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    reasons::assert_produced(reasons::OF_SETTLE, produced.into_iter());
    reasons::assert_complete();
}

#[test]
fn a_finish_advances_no_clock() {
    let (mut pipeline, _) = run(&[("m-1", reserving(3))], &[p("p-1"), Finish]);
    assert_eq!(pipeline.settle[0].meta.now, noon());
    let waiting = pipeline.settle[0].state().into_keys().filter_map(|key| key.due_at()).collect::<Vec<_>>();
    let three_days_on = at(3, 12, 0);
    assert_eq!(waiting, [three_days_on], "the reserve is counted from the close");
}

#[test]
fn the_clock_of_settle_is_that_of_authorize() {
    let mut settings = support::settle_script::settings(&[("m-1", free())]);
    settings.clock = event_clock(3 * 86_400);
    let mut pipeline = support::pipeline::Pipeline::new(&authorize_settings(), &settings, noon());
    pipeline.request(&payment("p-1"));
    pipeline.set_wall(at(5, 0, 0));
    pipeline.settle_one();
    assert_eq!(pipeline.settle[0].meta.now, noon(), "the wall clock does not count on the event clock");
    pipeline.request(&PaymentRequested { requested_at: noon(), ..payment("p-2") });
    pipeline.settle_one();
    assert_eq!(pipeline.settle[0].meta.now, at(5, 0, 0), "AUTHORIZE decided it then");
}

#[test]
fn a_ledger_transaction_says_what_it_books() {
    let (pipeline, _) = run(&[("m-1", plain_contract())], &[p("p-1"), At(midnight(1))]);
    let found: Vec<String> = pipeline
        .ledger(0)
        .iter()
        .map(|transaction| {
            let decision = transaction.decision_id.as_ref().map_or("none", |id| id.as_str());
            format!(
                "{} {} {} {decision} {}",
                transaction.transaction_id, transaction.posting, transaction.batch_id, transaction.effective_at
            )
        })
        .collect();
    assert_eq!(found, [
        "0-0 SALE m-1:EUR:2026-03-02 payments.requested-0-0 2026-03-02T12:00:00.000000Z",
        "0-1 BATCH_CLOSE m-1:EUR:2026-03-02 none 2026-03-03T00:00:00.000000Z",
    ]);
}
