//! Batches: opened, closed, carried, paid; and contracts that change meanwhile.

use settle_settlement::Contract;
use settle_types::request::PaymentRequested;

use crate::rows::*;
use crate::support::build::*;
use crate::support::settle_script::Step::{At, Book, ClockOnly, Contracts, Finish, Request, Settle};

pub(crate) fn batches() -> Vec<Row> {
    let prague = || Contract { time_zone: "Europe/Prague".to_owned(), cut_off: "17:00".to_owned(), ..free() };
    let minimum = |minor| Contract { minimum_payout_minor: amounts(&[("EUR", minor)]), ..free() };
    let on_friday = || at(4, 12, 0);
    vec![
        row("a first sale opens a batch", vec![p("p-1")], "opened 03-02 carried 0; BOOKED 03-02 fee 100"),
        row("a second goes into it", vec![p("p-1"), p("p-2")], "BOOKED 03-02 fee 100"),
        row(
            "a batch for each currency",
            vec![p("p-1"), Book(PaymentRequested { currency: "JPY".into(), ..payment("p-2") })],
            "opened 03-02 carried 0; BOOKED 03-02 fee 100",
        ),
        row("a microsecond before the cut-off", vec![p("p-1"), At(just_before(midnight(1)))], ""),
        row(
            "the cut-off",
            vec![p("p-1"), At(midnight(1))],
            "CUT_OFF 03-02 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-03",
        ),
        row(
            "days later: it is closed once",
            vec![p("p-1"), At(at(9, 0, 0))],
            "CUT_OFF 03-02 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-03",
        ),
        under(
            prague(),
            "before the cut-off on the merchant's clock",
            vec![At(at(0, 15, 59)), p("p-1")],
            "opened 03-02 carried 0; BOOKED 03-02 fee 0",
        ),
        under(
            prague(),
            "from then on the next day",
            vec![At(at(0, 16, 0)), p("p-1")],
            "opened 03-03 carried 0; BOOKED 03-03 fee 0",
        ),
        row(
            "over the weekend",
            vec![At(on_friday()), p("p-1"), At(midnight(5))],
            "CUT_OFF 03-06 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-09",
        ),
        row(
            "a sale of Saturday",
            vec![At(at(5, 12, 0)), p("p-1"), At(midnight(6))],
            "CUT_OFF 03-07 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-09",
        ),
        row(
            "read after the close: into the next batch, with reference",
            vec![p("p-1"), Request(payment("p-2")), At(midnight(1)), Settle],
            "opened 03-03 carried 0; BOOKED 03-03 fee 100 late for 03-02",
        ),
        row(
            "into a batch that is open already",
            vec![
                Request(payment("p-1")),
                At(midnight(1)),
                Request(payment("p-2")),
                ClockOnly(midnight(1)),
                Settle,
            ],
            "opened 03-03 carried 0; BOOKED 03-03 fee 100 late for 03-02; BOOKED 03-03 fee 100",
        ),
        row(
            "a finish closes before the cut-off",
            vec![p("p-1"), Finish],
            "FINISH 03-02 AWAITING_SETTLEMENT reserve 0 payout 9900 on 03-03",
        ),
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
            vec![
                p("p-1"),
                At(midnight(1)),
                Book(refund("r-1", "p-1", 4_000)),
                At(midnight(2)),
                p("p-2"),
                At(midnight(3)),
            ],
            "CUT_OFF 03-04 AWAITING_SETTLEMENT reserve 0 payout 5900 on 03-05",
        ),
        row(
            "a debt is carried on while it lasts",
            vec![
                p("p-1"),
                At(midnight(1)),
                Book(chargeback("c-1", "p-1", 10_000)),
                At(midnight(2)),
                Book(of("p-2", 1_000)),
                At(midnight(3)),
            ],
            "CUT_OFF 03-04 CARRIED reserve 0 carried -9010",
        ),
        under(
            minimum(10_001),
            "below the minimum payout",
            vec![p("p-1"), At(midnight(1))],
            "CUT_OFF 03-02 CARRIED reserve 0 carried 10000",
        ),
        under(
            minimum(10_000),
            "at the minimum payout",
            vec![p("p-1"), At(midnight(1))],
            "CUT_OFF 03-02 AWAITING_SETTLEMENT reserve 0 payout 10000 on 03-03",
        ),
        under(
            minimum(10_001),
            "with what was carried",
            vec![p("p-1"), At(midnight(1)), Book(of("p-2", 1)), At(midnight(2))],
            "CUT_OFF 03-03 AWAITING_SETTLEMENT reserve 0 payout 10001 on 03-04",
        ),
        under(
            Contract { refund_returns_fee: true, ..plain_contract() },
            "a refund in parts gives the fee back in parts",
            vec![Book(of("p-1", 250)), Book(refund("r-1", "p-1", 125))],
            "BOOKED 03-02 fee -1",
        ),
        under(
            Contract { refund_returns_fee: true, ..plain_contract() },
            "the share of all refunds so far, less what was given back",
            vec![Book(of("p-1", 250)), Book(refund("r-1", "p-1", 50)), Book(refund("r-2", "p-1", 50))],
            "BOOKED 03-02 fee -1",
        ),
        under(
            Contract { refund_returns_fee: true, ..plain_contract() },
            "that make the whole fee",
            vec![Book(of("p-1", 250)), Book(refund("r-1", "p-1", 125)), Book(refund("r-2", "p-1", 125))],
            "BOOKED 03-02 fee -1",
        ),
        row(
            "unless the contract keeps fees",
            vec![Book(of("p-1", 250)), Book(refund("r-1", "p-1", 250))],
            "BOOKED 03-02 fee 0",
        ),
        row(
            "a chargeback, and its reversal",
            vec![p("p-1"), Book(chargeback("c-1", "p-1", 10_000)), Book(reversal("v-1", "c-1", 10_000))],
            "BOOKED 03-02 fee 0",
        ),
    ]
}

/// The contract of a merchant is removed or changed while money waits.
pub(crate) fn changed_contracts() -> Vec<Row> {
    let removed = || Contracts(vec![]);
    vec![
        row(
            "removed with a batch open: carried as a whole",
            vec![p("p-1"), removed(), At(midnight(1))],
            "CUT_OFF 03-02 CARRIED reserve 0 carried 9900",
        ),
        row(
            "under a new contract it is paid with the next batch",
            vec![
                p("p-1"),
                removed(),
                At(midnight(1)),
                Contracts(vec![("default", free())]),
                p("p-2"),
                At(midnight(2)),
            ],
            "CUT_OFF 03-03 AWAITING_SETTLEMENT reserve 0 payout 19900 on 03-04",
        ),
        row("a payment without a contract", vec![removed(), p("p-1")], "REFUSED NO_CONTRACT"),
        row(
            "the default",
            vec![Contracts(vec![("default", free())]), p("p-1")],
            "opened 03-02 carried 0; BOOKED 03-02 fee 0",
        ),
        under(
            reserving(3),
            "removed while a reserve is kept: released all the same",
            vec![p("p-1"), At(midnight(1)), removed(), At(midnight(4))],
            "opened 03-06 carried 0; released 1000 of 03-02 into 03-06",
        ),
        under(
            reserving(3),
            "and carried until there is a contract",
            vec![p("p-1"), At(midnight(1)), removed(), At(midnight(4)), At(midnight(5))],
            "CUT_OFF 03-06 CARRIED reserve 0 carried 1000",
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
