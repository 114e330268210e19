//! What becomes of a payment later: its time comes, or SETTLE refuses it.

use settle_engine::authorize::AuthorizeSettings;
use settle_risk::DenyField;
use settle_types::reason;
use settle_types::request::{Card, PaymentRequested};

use crate::rows::*;
use crate::support::build::*;
use crate::support::script::Step::{Reconfigure, Refuse, Request};
use crate::support::script::{Step, days, seconds};

/// Payments for a later time.
pub(crate) fn schedules() -> Vec<Row> {
    let until_large_is_denied = || Reconfigure(Box::new(with_rules(vec![per_payment(1)])));
    let until_denied = |field, value: &str| {
        let rules = Reconfigure(Box::new(with_rules(vec![deny("list", field, value)])));
        let request = PaymentRequested {
            country: Some("CZ".into()),
            mcc: Some("5411".into()),
            ip: Some("192.0.2.7".into()),
            device_id: Some("device-1".into()),
            card: Some(Card { token: "tok".into(), bin: Some("411111".into()), ..Card::default() }),
            ..scheduled("p-1", 2)
        };
        vec![Request(request), rules, days(2)]
    };
    let denied = "p-1 SCHEDULED>DECLINED DENY_LIST";
    vec![
        row("a country denied while it waits", until_denied(DenyField::Country, "CZ"), denied),
        row("a category denied while it waits", until_denied(DenyField::Mcc, "5411"), denied),
        row("an address denied while it waits", until_denied(DenyField::Ip, "192.0.2.7"), denied),
        row("a device denied while it waits", until_denied(DenyField::DeviceId, "device-1"), denied),
        row("a card denied while it waits", until_denied(DenyField::CardBin, "411111"), denied),
        row(
            "another country denied while it waits",
            until_denied(DenyField::Country, "KP"),
            "p-1 SCHEDULED>APPROVED forwarded",
        ),
        row("for later", vec![Request(scheduled("p-1", 2))], "SCHEDULED"),
        row(
            "for now",
            vec![Request(PaymentRequested { execute_at: Some(noon()), ..payment("p-1") })],
            "APPROVED forwarded",
        ),
        ruled(
            "not within the limits",
            vec![per_payment(1)],
            vec![Request(scheduled("p-1", 2))],
            "DECLINED LIMIT_PER_PAYMENT",
        ),
        row(
            "a microsecond before its time",
            vec![Request(scheduled("p-1", 2)), Step::Wait(just_before(2))],
            "",
        ),
        row("its time", vec![Request(scheduled("p-1", 2)), days(2)], "p-1 SCHEDULED>APPROVED forwarded"),
        Row {
            name: "before the request of that time",
            settings: AuthorizeSettings { clock: event_clock(2 * 86_400), ..authorize_settings() },
            steps: vec![
                Request(scheduled("p-2", 1)),
                Request(scheduled("p-1", 1)),
                Request(PaymentRequested { requested_at: one_day_later(), ..refund("r-1", "p-1", 10_000) }),
            ],
            expected: "p-1 SCHEDULED>APPROVED forwarded; p-2 SCHEDULED>APPROVED forwarded; APPROVED forwarded",
        },
        row(
            "declined by the rules of its time",
            vec![Request(scheduled("p-1", 2)), until_large_is_denied(), days(2)],
            "p-1 SCHEDULED>DECLINED LIMIT_PER_PAYMENT",
        ),
        row(
            "a decline at its time frees the payment id",
            vec![
                Request(scheduled("p-1", 2)),
                until_large_is_denied(),
                days(2),
                Reconfigure(Box::new(authorize_settings())),
                under_key("new", payment("p-1")),
            ],
            "APPROVED forwarded",
        ),
        ruled(
            "it does not count against itself on its own day",
            vec![daily_count(1), daily_sum(10_000)],
            vec![
                Request(PaymentRequested { execute_at: Some(at(0, 18, 0)), ..payment("p-1") }),
                seconds(6 * 3_600),
            ],
            "p-1 SCHEDULED>APPROVED forwarded",
        ),
        ruled(
            "it counts on the day of its execution",
            vec![daily_count(1)],
            vec![Request(scheduled("p-1", 1)), days(1), p("p-2")],
            "DECLINED LIMIT_DAILY_COUNT",
        ),
        ruled(
            "and is held to the limits of that day",
            vec![daily_count(1)],
            vec![Request(scheduled("p-1", 1)), Step::Wait(just_before(1)), p("p-2"), seconds(1)],
            "p-1 SCHEDULED>DECLINED LIMIT_DAILY_COUNT",
        ),
        row(
            "years ahead",
            vec![Request(scheduled("p-1", 1_500)), days(1_500)],
            "p-1 SCHEDULED>APPROVED forwarded",
        ),
        row(
            "its id is taken until then",
            vec![Request(scheduled("p-1", 1_500)), days(1_000), p("p-1")],
            "CONFLICT PAYMENT_ID_REUSED",
        ),
        row(
            "and 550 days longer",
            vec![
                Request(scheduled("p-1", 1_500)),
                days(1_500),
                days(549),
                Request(refund("r-1", "p-1", 10_000)),
            ],
            "APPROVED forwarded",
        ),
    ]
}

/// What SETTLE refuses gives back what it took.
pub(crate) fn refusals() -> Vec<Row> {
    let cap = reason::NET_DEBIT_CAP;
    let gone = reason::ORIGINAL_NOT_BOOKED;
    let refunded = |id: &str| Request(refund(id, "p-1", 10_000));
    let disputed = |id: &str| Request(chargeback(id, "p-1", 10_000));
    let reversed = |id: &str| Request(reversal(id, "c-1", 10_000));
    let cancelled = |id: &str| Request(cancellation(id, "p-1", 10_000));
    vec![
        row(
            "a payment",
            vec![p("p-1"), Refuse("p-1", reason::NO_CONTRACT)],
            "p-1 APPROVED>REFUSED NO_CONTRACT",
        ),
        row(
            "a retry gets the first answer",
            vec![p("p-1"), Refuse("p-1", reason::NO_CONTRACT), p("p-1")],
            "REPLAYED REPLAY",
        ),
        row(
            "a refund",
            vec![p("p-1"), refunded("r-1"), Refuse("r-1", cap)],
            "r-1 APPROVED>REFUSED NET_DEBIT_CAP",
        ),
        row(
            "its amount can be refunded again",
            vec![p("p-1"), refunded("r-1"), Refuse("r-1", cap), refunded("r-2")],
            "APPROVED forwarded",
        ),
        row(
            "once",
            vec![p("p-1"), refunded("r-1"), Refuse("r-1", cap), refunded("r-2"), refunded("r-3")],
            "DECLINED AMOUNT_ABOVE_REMAINDER",
        ),
        row(
            "a chargeback",
            vec![p("p-1"), disputed("c-1"), Refuse("c-1", gone), disputed("c-2")],
            "APPROVED forwarded",
        ),
        row(
            "what it took can be refunded",
            vec![p("p-1"), disputed("c-1"), Refuse("c-1", gone), refunded("r-1")],
            "APPROVED forwarded",
        ),
        row(
            "a reversal: disputed again",
            vec![p("p-1"), disputed("c-1"), reversed("v-1"), Refuse("v-1", gone), refunded("r-1")],
            "DECLINED AMOUNT_ABOVE_REMAINDER",
        ),
        row(
            "a reversal: it can be made again",
            vec![p("p-1"), disputed("c-1"), reversed("v-1"), Refuse("v-1", gone), reversed("v-2")],
            "APPROVED forwarded",
        ),
        row(
            "a chargeback whose reversal is on its way",
            vec![p("p-1"), disputed("c-1"), reversed("v-1"), Refuse("c-1", gone), refunded("r-1")],
            "APPROVED forwarded",
        ),
        row(
            "and then that reversal",
            vec![
                p("p-1"),
                disputed("c-1"),
                reversed("v-1"),
                Refuse("c-1", gone),
                Refuse("v-1", gone),
                refunded("r-1"),
            ],
            "APPROVED forwarded",
        ),
        row(
            "a cancellation: its original stands again",
            vec![p("p-1"), cancelled("x-1"), Refuse("x-1", reason::BATCH_CLOSED)],
            "x-1 APPROVED>REFUSED BATCH_CLOSED; p-1 CANCELLED>APPROVED BATCH_CLOSED",
        ),
        row(
            "and can be refunded",
            vec![p("p-1"), cancelled("x-1"), Refuse("x-1", reason::BATCH_CLOSED), refunded("r-1")],
            "APPROVED forwarded",
        ),
        ruled(
            "and counts again",
            vec![daily_count(1)],
            vec![p("p-1"), cancelled("x-1"), Refuse("x-1", reason::BATCH_CLOSED), p("p-2")],
            "DECLINED LIMIT_DAILY_COUNT",
        ),
        row(
            "a payment whose cancellation is on its way",
            vec![p("p-1"), cancelled("x-1"), Refuse("p-1", reason::NO_CONTRACT)],
            "p-1 CANCELLED>REFUSED NO_CONTRACT",
        ),
        row(
            "then the cancellation restores nothing",
            vec![p("p-1"), cancelled("x-1"), Refuse("p-1", reason::NO_CONTRACT), Refuse("x-1", gone)],
            "x-1 APPROVED>REFUSED ORIGINAL_NOT_BOOKED",
        ),
        row(
            "a forgotten payment's follow-ups leave a later one with its id alone",
            vec![
                p("p-1"),
                days(500),
                disputed("c-1"),
                days(50),
                p("p-1"),
                reversed("v-1"),
                Refuse("v-1", gone),
                disputed("c-2"),
            ],
            "APPROVED forwarded",
        ),
        row("a forgotten payment", vec![p("p-1"), days(550), Refuse("p-1", reason::NO_CONTRACT)], "nothing"),
    ]
}
