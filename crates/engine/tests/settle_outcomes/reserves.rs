//! Reserves: kept at the close, released after their days.

use crate::rows::*;
use crate::support::build::*;
use crate::support::settle_script::Step;
use crate::support::settle_script::Step::{At, Book, ClockOnly, Finish};

pub(crate) fn reserves() -> Vec<Row> {
    let twice = || vec![p("p-1"), At(midnight(1)), Book(of("p-2", 20_000)), At(midnight(2))];
    let then = |mut steps: Vec<Step>, more: Vec<Step>| {
        steps.extend(more);
        steps
    };
    vec![
        under(
            reserving(3),
            "kept at the close",
            vec![p("p-1"), At(midnight(1))],
            "CUT_OFF 03-02 AWAITING_SETTLEMENT reserve 1000 payout 9000 on 03-03",
        ),
        under(
            reserving(3),
            "never more than the net",
            vec![p("p-1"), Book(refund("r-1", "p-1", 9_500)), At(midnight(1))],
            "CUT_OFF 03-02 CARRIED reserve 500 carried 0",
        ),
        under(
            reserving(3),
            "none of a debt",
            vec![p("p-1"), Book(chargeback("c-1", "p-1", 10_000)), At(midnight(1))],
            "CUT_OFF 03-02 CARRIED reserve 0 carried 0",
        ),
        under(
            reserving(3),
            "released after its days: a batch opens without a sale",
            vec![p("p-1"), At(midnight(1)), At(midnight(4))],
            "opened 03-06 carried 0; released 1000 of 03-02 into 03-06",
        ),
        under(reserving(3), "not before", vec![p("p-1"), At(midnight(1)), At(just_before(midnight(4)))], ""),
        under(
            reserving(3),
            "and is paid with that batch, nothing kept back of it",
            vec![p("p-1"), At(midnight(1)), At(midnight(4)), At(midnight(5))],
            "CUT_OFF 03-06 AWAITING_SETTLEMENT reserve 0 payout 1000 on 03-09",
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
            vec![
                p("p-1"),
                At(midnight(1)),
                At(midnight(2)),
                Finish,
                At(midnight(3)),
                p("p-2"),
                At(at(4, 0, 0)),
            ],
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
