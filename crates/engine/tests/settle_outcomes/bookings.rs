//! What is booked, and what is refused.

use settle_settlement::{Contract, ContractStatus};
use settle_types::reason;
use settle_types::request::{EventType, PaymentRequested};

use crate::rows::*;
use crate::support::build::*;
use crate::support::settle_script::Step::{
    At, Book, ClockOnly, Contracts, Finish, Request, Settle, Undecodable,
};

pub(crate) fn refused() -> Vec<Row> {
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
        row(
            "the same id with another merchant",
            vec![p("p-1"), Book(PaymentRequested { merchant_id: "m-2".into(), ..payment("p-1") })],
            "REFUSED NO_CONTRACT",
        ),
        row(
            "an id is kept for 550 days",
            vec![p("p-1"), At(at(550, 11, 59)), Book(of_other_debtor(payment("p-1")))],
            "REFUSED PAYMENT_ID_REUSED",
        ),
        row(
            "a blocked merchant",
            vec![Contracts(vec![("m-1", blocked())]), p("p-1")],
            "REFUSED MERCHANT_BLOCKED",
        ),
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
            vec![
                p("p-1"),
                Book(cancellation("x-1", "p-1", 10_000)),
                made(EventType::Refund, "r-1", Some("p-1")),
            ],
            "REFUSED ORIGINAL_NOT_BOOKED",
        ),
        under(
            capped(0),
            "a refund into debt",
            vec![p("p-1"), Book(refund("r-1", "p-1", 10_000))],
            "REFUSED NET_DEBIT_CAP",
        ),
        under(
            capped(99),
            "a cent above the cap",
            vec![p("p-1"), Book(refund("r-1", "p-1", 10_000))],
            "REFUSED NET_DEBIT_CAP",
        ),
        under(
            capped(100),
            "at the cap",
            vec![p("p-1"), Book(refund("r-1", "p-1", 10_000))],
            "BOOKED 03-02 fee 0",
        ),
        under(
            returning(0),
            "the fee that it gives back counts",
            vec![p("p-1"), Book(refund("r-1", "p-1", 10_000))],
            "BOOKED 03-02 fee -100",
        ),
        under(
            capped(0),
            "a chargeback is a fact",
            vec![p("p-1"), Book(chargeback("c-1", "p-1", 10_000))],
            "BOOKED 03-02 fee 0",
        ),
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

pub(crate) fn cancellations() -> Vec<Row> {
    let cancelled = || cancellation("x-1", "p-1", 10_000);
    vec![
        row("in the open batch", vec![p("p-1"), Book(cancelled())], "BOOKED 03-02 fee -100"),
        row(
            "its batch is then empty",
            vec![p("p-1"), Book(cancelled()), At(midnight(1))],
            "CUT_OFF 03-02 CARRIED reserve 0 carried 0",
        ),
        row("after the close", vec![p("p-1"), At(midnight(1)), Book(cancelled())], "REFUSED BATCH_CLOSED"),
        row(
            "decided before the close, read after it",
            vec![p("p-1"), Request(cancelled()), At(midnight(1)), Settle],
            "REFUSED BATCH_CLOSED",
        ),
        row(
            "at the cut-off",
            vec![p("p-1"), ClockOnly(midnight(1)), Request(cancelled()), Settle],
            "CUT_OFF 03-02 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-03; REFUSED BATCH_CLOSED",
        ),
        row("after a finish", vec![p("p-1"), Finish, Book(cancelled())], "REFUSED BATCH_CLOSED"),
        row(
            "of a payment that was booked late: until that batch closes",
            vec![Request(payment("p-1")), At(midnight(1)), Settle, Book(cancelled())],
            "BOOKED 03-03 fee -100",
        ),
    ]
}
