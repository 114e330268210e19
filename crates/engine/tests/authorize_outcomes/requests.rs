//! Requests by themselves, and requests whose key or payment id was used before.

use settle_engine::authorize::AuthorizeSettings;
use settle_types::request::{Card, PaymentRequested};
use settle_types::{Duration, reason};

use crate::rows::*;
use crate::support::build::*;
use crate::support::script::Step::{
    Elsewhere, Reconfigure, Refuse, Request, Rerouted, ReroutedElsewhere, Undecodable,
};
use crate::support::script::{Step, days};

/// Malformed as a whole, misplaced, dated ahead of the clock.
pub(crate) fn malformed() -> Vec<Row> {
    let ahead = |seconds| PaymentRequested {
        requested_at: noon().saturating_add(Duration::from_seconds(seconds)),
        ..payment("p-1")
    };
    vec![
        row("no record", vec![Undecodable(reason::UNDECODABLE)], "INVALID UNDECODABLE"),
        row("an unknown schema", vec![Undecodable(reason::UNKNOWN_SCHEMA)], "INVALID UNKNOWN_SCHEMA"),
        row("another debtor's partition", vec![Elsewhere(payment("p-1"))], "INVALID WRONG_PARTITION"),
        row(
            "no length of a field counts before its place",
            vec![Elsewhere(PaymentRequested { amount_minor: 0, ..payment("p-1") })],
            "INVALID WRONG_PARTITION",
        ),
        row("within the skew of clocks", vec![Request(ahead(300))], "APPROVED forwarded"),
        row("ahead of the wall clock", vec![Request(ahead(301))], "INVALID CLOCK_SKEW"),
        row(
            "an empty field",
            vec![Request(PaymentRequested { merchant_id: "".into(), ..payment("p-1") })],
            "INVALID FIELD_MISSING",
        ),
        row(
            "a field too long",
            vec![Request(PaymentRequested {
                idempotency_key: "k".repeat(256).as_str().into(),
                ..payment("p-1")
            })],
            "INVALID FIELD_TOO_LONG",
        ),
        row(
            "a priority of ten",
            vec![Request(PaymentRequested { priority: 10, ..payment("p-1") })],
            "INVALID FIELD_INVALID",
        ),
        row(
            "no amount",
            vec![Request(PaymentRequested { amount_minor: 0, ..payment("p-1") })],
            "INVALID AMOUNT_NOT_POSITIVE",
        ),
        row(
            "no currency",
            vec![Request(PaymentRequested { currency: "ABC".into(), ..payment("p-1") })],
            "INVALID CURRENCY_UNKNOWN",
        ),
        row(
            "an unknown kind",
            vec![Request(PaymentRequested { event_type: Default::default(), ..payment("p-1") })],
            "INVALID EVENT_TYPE_UNKNOWN",
        ),
        row("its own original", vec![Request(refund("p-1", "p-1", 1))], "INVALID ORIGINAL_ID_INVALID"),
        row(
            "a card number as an account",
            vec![Request(PaymentRequested { debtor_account: "4111111111111111".into(), ..payment("p-1") })],
            "INVALID CARD_NUMBER_PRESENT",
        ),
    ]
}

/// In the wrong partition, where requests are sent to their right one.
pub(crate) fn misplaced() -> Vec<Row> {
    let elsewhere = |id| Elsewhere(payment(id));
    let rerouting_row = |name, steps, expected| Row { name, settings: rerouting(), steps, expected };
    let one_a_day = AuthorizeSettings { reroute_wrong_partition: true, ..with_rules(vec![daily_count(1)]) };
    let ahead = PaymentRequested {
        requested_at: noon().saturating_add(Duration::from_seconds(301)),
        ..payment("p-1")
    };
    let other_amount = PaymentRequested { amount_minor: 20_000, ..payment("p-1") };
    vec![
        rerouting_row("it is sent on", vec![elsewhere("p-1")], "REROUTED WRONG_PARTITION"),
        rerouting_row("and decided there", vec![elsewhere("p-1"), Rerouted], "APPROVED forwarded"),
        rerouting_row(
            "a retry is sent on as well",
            vec![elsewhere("p-1"), Rerouted, elsewhere("p-1")],
            "REROUTED WRONG_PARTITION",
        ),
        rerouting_row(
            "and is answered there",
            vec![elsewhere("p-1"), Rerouted, elsewhere("p-1"), Rerouted],
            "REPLAYED REPLAY",
        ),
        rerouting_row("after the right one", vec![p("p-1"), elsewhere("p-1"), Rerouted], "REPLAYED REPLAY"),
        rerouting_row("before the right one", vec![elsewhere("p-1"), Rerouted, p("p-1")], "REPLAYED REPLAY"),
        rerouting_row("on its way it uses no key", vec![elsewhere("p-1"), p("p-1")], "APPROVED forwarded"),
        rerouting_row(
            "nor a key for other content",
            vec![Elsewhere(other_amount), p("p-1"), Rerouted],
            "CONFLICT IDEMPOTENCY_KEY_REUSED",
        ),
        Row {
            name: "on its way it counts against no limit",
            settings: one_a_day.clone(),
            steps: vec![elsewhere("p-1"), elsewhere("p-2"), p("p-3")],
            expected: "APPROVED forwarded",
        },
        Row {
            name: "where it is decided it does",
            settings: one_a_day,
            steps: vec![elsewhere("p-1"), Rerouted, p("p-2")],
            expected: "DECLINED LIMIT_DAILY_COUNT",
        },
        rerouting_row(
            "what is malformed is not sent on",
            vec![Elsewhere(PaymentRequested { amount_minor: 0, ..payment("p-1") })],
            "INVALID AMOUNT_NOT_POSITIVE",
        ),
        rerouting_row(
            "nor is what cannot be read",
            vec![Undecodable(reason::UNDECODABLE)],
            "INVALID UNDECODABLE",
        ),
        rerouting_row(
            "the clock is that of the right partition",
            vec![Elsewhere(ahead.clone())],
            "REROUTED WRONG_PARTITION",
        ),
        rerouting_row("which may refuse it", vec![Elsewhere(ahead), Rerouted], "INVALID CLOCK_SKEW"),
        rerouting_row(
            "a follow-up is decided where its original was",
            vec![p("p-1"), Elsewhere(refund("r-1", "p-1", 10_000)), Rerouted],
            "APPROVED forwarded",
        ),
        rerouting_row("never twice", vec![ReroutedElsewhere(payment("p-1"))], "INVALID WRONG_PARTITION"),
        row(
            "what is on its way is decided, whatever the settings are by now",
            vec![
                Reconfigure(Box::new(rerouting())),
                elsewhere("p-1"),
                Reconfigure(Box::new(authorize_settings())),
                Rerouted,
            ],
            "APPROVED forwarded",
        ),
        row("never where it is off", vec![ReroutedElsewhere(payment("p-1"))], "INVALID WRONG_PARTITION"),
    ]
}

/// Keys and payment ids that were used before.
pub(crate) fn used_before() -> Vec<Row> {
    let other_amount = PaymentRequested { amount_minor: 20_000, ..payment("p-1") };
    let tokenised = |token: &str| PaymentRequested {
        card: Some(Card { token: token.into(), ..Card::default() }),
        ..payment("p-1")
    };
    let retry = PaymentRequested {
        requested_at: noon().saturating_add(Duration::from_seconds(9)),
        priority: 9,
        device_id: Some("another".into()),
        metadata: [("attempt".into(), "2".into())].into(),
        ..payment("p-1")
    };
    let declined_first = || vec![per_payment(5_000)];
    vec![
        row("the first", vec![p("p-1")], "APPROVED forwarded"),
        row("the same again", vec![p("p-1"), p("p-1")], "REPLAYED REPLAY"),
        row(
            "what differs between attempts does not count",
            vec![p("p-1"), Request(retry)],
            "REPLAYED REPLAY",
        ),
        row(
            "another amount",
            vec![p("p-1"), Request(other_amount.clone())],
            "CONFLICT IDEMPOTENCY_KEY_REUSED",
        ),
        row(
            "another card",
            vec![Request(tokenised("tok-1")), Request(tokenised("tok-2"))],
            "CONFLICT IDEMPOTENCY_KEY_REUSED",
        ),
        row(
            "another time of execution",
            vec![p("p-1"), Request(scheduled("p-1", 1))],
            "CONFLICT IDEMPOTENCY_KEY_REUSED",
        ),
        row(
            "the payment id is no part of the content, the key decides",
            vec![p("p-1"), under_key("key-p-1", payment("p-2"))],
            "REPLAYED REPLAY",
        ),
        row(
            "a conflict leaves the key as it was",
            vec![p("p-1"), Request(other_amount.clone()), p("p-1")],
            "REPLAYED REPLAY",
        ),
        row(
            "a malformed request leaves the key free",
            vec![Request(PaymentRequested { amount_minor: 0, ..payment("p-1") }), p("p-1")],
            "APPROVED forwarded",
        ),
        ruled("a decline is replayed", declined_first(), vec![p("p-1"), p("p-1")], "REPLAYED REPLAY"),
        ruled(
            "also when it would be approved by now",
            declined_first(),
            vec![p("p-1"), Reconfigure(Box::new(authorize_settings())), p("p-1")],
            "REPLAYED REPLAY",
        ),
        row(
            "a scheduled payment is replayed",
            vec![Request(scheduled("p-1", 2)), Request(scheduled("p-1", 2))],
            "REPLAYED REPLAY",
        ),
        row(
            "also after its execution",
            vec![Request(scheduled("p-1", 2)), days(3), Request(scheduled("p-1", 2))],
            "REPLAYED REPLAY",
        ),
        row(
            "the key of another merchant",
            vec![p("p-1"), Request(PaymentRequested { merchant_id: "m-2".into(), ..payment("p-1") })],
            "APPROVED forwarded",
        ),
        row(
            "the key of another debtor",
            vec![p("p-1"), Request(PaymentRequested { debtor_account: "d-2".into(), ..payment("p-1") })],
            "APPROVED forwarded",
        ),
        row(
            "a payment id under a new key",
            vec![p("p-1"), under_key("new", payment("p-1"))],
            "CONFLICT PAYMENT_ID_REUSED",
        ),
        row(
            "as the id of a follow-up",
            vec![p("p-1"), p("p-2"), under_key("new", refund("p-1", "p-2", 1))],
            "CONFLICT PAYMENT_ID_REUSED",
        ),
        row(
            "of a scheduled payment",
            vec![Request(scheduled("p-1", 2)), under_key("new", payment("p-1"))],
            "CONFLICT PAYMENT_ID_REUSED",
        ),
        row(
            "of a refused payment",
            vec![p("p-1"), Refuse("p-1", reason::NO_CONTRACT), under_key("new", payment("p-1"))],
            "CONFLICT PAYMENT_ID_REUSED",
        ),
        ruled(
            "unless it was declined",
            declined_first(),
            vec![p("p-1"), under_key("new", PaymentRequested { amount_minor: 5_000, ..payment("p-1") })],
            "APPROVED forwarded",
        ),
        ruled(
            "and then not a third time",
            declined_first(),
            vec![
                p("p-1"),
                under_key("new", PaymentRequested { amount_minor: 5_000, ..payment("p-1") }),
                under_key("newer", PaymentRequested { amount_minor: 5_000, ..payment("p-1") }),
            ],
            "CONFLICT PAYMENT_ID_REUSED",
        ),
        row(
            "a microsecond before the retention ends",
            vec![p("p-1"), Step::Wait(just_before(7)), p("p-1")],
            "REPLAYED REPLAY",
        ),
        row(
            "at its end the key is free, the payment id is not",
            vec![p("p-1"), days(7), p("p-1")],
            "CONFLICT PAYMENT_ID_REUSED",
        ),
        row(
            "at its end, another payment",
            vec![p("p-1"), days(7), under_key("key-p-1", payment("p-2"))],
            "APPROVED forwarded",
        ),
        row(
            "a payment id is kept for 550 days",
            vec![p("p-1"), Step::Wait(just_before(550)), p("p-1")],
            "CONFLICT PAYMENT_ID_REUSED",
        ),
        row("not longer", vec![p("p-1"), days(550), p("p-1")], "APPROVED forwarded"),
    ]
}
