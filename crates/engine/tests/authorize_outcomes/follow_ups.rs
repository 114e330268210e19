//! Refunds, chargebacks, their reversals, and cancellations.

use settle_types::reason;
use settle_types::request::PaymentRequested;

use crate::rows::*;
use crate::support::build::*;
use crate::support::script::Step::{Refuse, Request};
use crate::support::script::days;

/// What a follow-up needs of its original.
pub(crate) fn follow_ups() -> Vec<Row> {
    let in_usd = |request: PaymentRequested| Request(PaymentRequested { currency: "USD".into(), ..request });
    let refunded = |amount| Request(refund("r-1", "p-1", amount));
    let disputed = |amount| Request(chargeback("c-1", "p-1", amount));
    vec![
        row("a refund", vec![p("p-1"), refunded(10_000)], "APPROVED forwarded"),
        row("of an unknown payment", vec![refunded(1)], "DECLINED ORIGINAL_UNKNOWN"),
        row(
            "of another debtor's payment",
            vec![
                p("p-1"),
                Request(PaymentRequested { debtor_account: "d-2".into(), ..refund("r-1", "p-1", 1) }),
            ],
            "DECLINED ORIGINAL_UNKNOWN",
        ),
        row(
            "of another merchant's payment",
            vec![
                p("p-1"),
                Request(PaymentRequested { merchant_id: "m-2".into(), ..refund("r-1", "p-1", 1) }),
            ],
            "DECLINED ORIGINAL_UNKNOWN",
        ),
        row("of a forgotten payment", vec![p("p-1"), days(550), refunded(1)], "DECLINED ORIGINAL_UNKNOWN"),
        row("a decline is kept", vec![refunded(1), p("p-1"), refunded(1)], "REPLAYED REPLAY"),
        row(
            "a refund of a refund",
            vec![p("p-1"), refunded(1), Request(refund("r-2", "r-1", 1))],
            "DECLINED ORIGINAL_WRONG_TYPE",
        ),
        row(
            "a reversal of a payment",
            vec![p("p-1"), Request(reversal("v-1", "p-1", 1))],
            "DECLINED ORIGINAL_WRONG_TYPE",
        ),
        row(
            "a chargeback of a chargeback",
            vec![p("p-1"), disputed(1), Request(chargeback("c-2", "c-1", 1))],
            "DECLINED ORIGINAL_WRONG_TYPE",
        ),
        row(
            "a cancellation of a refund",
            vec![p("p-1"), refunded(1), Request(cancellation("x-1", "r-1", 1))],
            "DECLINED ORIGINAL_WRONG_TYPE",
        ),
        row(
            "a refund in another currency",
            vec![p("p-1"), in_usd(refund("r-1", "p-1", 1))],
            "DECLINED CURRENCY_MISMATCH",
        ),
        row(
            "a cancellation in another currency",
            vec![p("p-1"), in_usd(cancellation("x-1", "p-1", 10_000))],
            "DECLINED CURRENCY_MISMATCH",
        ),
        ruled(
            "of a declined payment",
            vec![per_payment(1)],
            vec![p("p-1"), refunded(1)],
            "DECLINED ORIGINAL_NOT_APPROVED",
        ),
        row(
            "of a scheduled payment",
            vec![Request(scheduled("p-1", 1)), refunded(1)],
            "DECLINED ORIGINAL_NOT_APPROVED",
        ),
        row(
            "of one that was executed",
            vec![Request(scheduled("p-1", 1)), days(1), refunded(1)],
            "APPROVED forwarded",
        ),
        row(
            "of a cancelled payment",
            vec![p("p-1"), Request(cancellation("x-1", "p-1", 10_000)), refunded(1)],
            "DECLINED ORIGINAL_NOT_APPROVED",
        ),
        row(
            "of a refused payment",
            vec![p("p-1"), Refuse("p-1", reason::NO_CONTRACT), disputed(1)],
            "DECLINED ORIGINAL_NOT_APPROVED",
        ),
        row("above the amount", vec![p("p-1"), refunded(10_001)], "DECLINED AMOUNT_ABOVE_REMAINDER"),
        row(
            "above the rest",
            vec![p("p-1"), refunded(6_000), Request(refund("r-2", "p-1", 4_001))],
            "DECLINED AMOUNT_ABOVE_REMAINDER",
        ),
        row(
            "the rest",
            vec![p("p-1"), refunded(6_000), Request(refund("r-2", "p-1", 4_000))],
            "APPROVED forwarded",
        ),
        row(
            "a declined refund takes nothing",
            vec![p("p-1"), refunded(10_001), Request(refund("r-2", "p-1", 10_000))],
            "APPROVED forwarded",
        ),
        row(
            "what is disputed cannot be refunded",
            vec![p("p-1"), disputed(6_000), refunded(4_001)],
            "DECLINED AMOUNT_ABOVE_REMAINDER",
        ),
        row("what is not can be", vec![p("p-1"), disputed(6_000), refunded(4_000)], "APPROVED forwarded"),
        row(
            "what is refunded can be disputed",
            vec![p("p-1"), refunded(10_000), disputed(10_000)],
            "APPROVED forwarded",
        ),
        row(
            "then nothing can be refunded",
            vec![p("p-1"), refunded(10_000), disputed(10_000), Request(refund("r-2", "p-1", 1))],
            "DECLINED AMOUNT_ABOVE_REMAINDER",
        ),
        row(
            "a dispute above the rest",
            vec![p("p-1"), disputed(9_000), Request(chargeback("c-2", "p-1", 1_001))],
            "DECLINED AMOUNT_ABOVE_REMAINDER",
        ),
        row(
            "a reversal",
            vec![p("p-1"), disputed(9_000), Request(reversal("v-1", "c-1", 9_000))],
            "APPROVED forwarded",
        ),
        row(
            "above its chargeback",
            vec![p("p-1"), disputed(9_000), Request(reversal("v-1", "c-1", 9_001))],
            "DECLINED AMOUNT_ABOVE_REMAINDER",
        ),
        row(
            "above the rest of it",
            vec![
                p("p-1"),
                disputed(9_000),
                Request(reversal("v-1", "c-1", 5_000)),
                Request(reversal("v-2", "c-1", 4_001)),
            ],
            "DECLINED AMOUNT_ABOVE_REMAINDER",
        ),
        row(
            "what a reversal gave back can be refunded",
            vec![p("p-1"), disputed(10_000), Request(reversal("v-1", "c-1", 4_000)), refunded(4_000)],
            "APPROVED forwarded",
        ),
        row(
            "not more than that",
            vec![p("p-1"), disputed(10_000), Request(reversal("v-1", "c-1", 4_000)), refunded(4_001)],
            "DECLINED AMOUNT_ABOVE_REMAINDER",
        ),
        row(
            "it can be disputed again",
            vec![
                p("p-1"),
                disputed(10_000),
                Request(reversal("v-1", "c-1", 10_000)),
                Request(chargeback("c-2", "p-1", 10_000)),
            ],
            "APPROVED forwarded",
        ),
    ]
}

/// Cancellations: final while the payment waits, then SETTLE's to say.
pub(crate) fn cancellations() -> Vec<Row> {
    let cancelled = || Request(cancellation("x-1", "p-1", 10_000));
    vec![
        row(
            "of an approved payment",
            vec![p("p-1"), cancelled()],
            "APPROVED forwarded; p-1 APPROVED>CANCELLED",
        ),
        row(
            "of a scheduled payment",
            vec![Request(scheduled("p-1", 1)), cancelled()],
            "APPROVED; p-1 SCHEDULED>CANCELLED",
        ),
        row("then nothing is executed", vec![Request(scheduled("p-1", 1)), cancelled(), days(2)], ""),
        row(
            "twice",
            vec![p("p-1"), cancelled(), Request(cancellation("x-2", "p-1", 10_000))],
            "DECLINED ORIGINAL_NOT_APPROVED",
        ),
        row(
            "of a part",
            vec![p("p-1"), Request(cancellation("x-1", "p-1", 9_999))],
            "DECLINED AMOUNT_MISMATCH",
        ),
        row(
            "of more than all",
            vec![p("p-1"), Request(cancellation("x-1", "p-1", 10_001))],
            "DECLINED AMOUNT_MISMATCH",
        ),
        row(
            "after a refund",
            vec![p("p-1"), Request(refund("r-1", "p-1", 1)), cancelled()],
            "DECLINED ORIGINAL_HAS_FOLLOW_UPS",
        ),
        row(
            "after a chargeback",
            vec![p("p-1"), Request(chargeback("c-1", "p-1", 1)), cancelled()],
            "DECLINED ORIGINAL_HAS_FOLLOW_UPS",
        ),
        row(
            "after a chargeback that was reversed",
            vec![
                p("p-1"),
                Request(chargeback("c-1", "p-1", 1)),
                Request(reversal("v-1", "c-1", 1)),
                cancelled(),
            ],
            "APPROVED forwarded; p-1 APPROVED>CANCELLED",
        ),
    ]
}
