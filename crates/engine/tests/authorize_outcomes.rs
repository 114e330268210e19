//! AUTHORIZE: a row per outcome and reason. Each row is a script; what is compared is what its last step led to.

mod support;

use settle_engine::authorize::AuthorizeSettings;
use settle_risk::{CheckKind, DenyField, Mode, Rule};
use settle_types::authorize::Outcome;
use settle_types::request::{Card, PaymentRequested};
use settle_types::{Duration, Timestamp, reason};
use support::build::*;
use support::reasons;
use support::script::Step::{Elsewhere, Reconfigure, Refuse, Request, Undecodable};
use support::script::{Step, days, run, said, seconds};

struct Row {
    name: &'static str,
    settings: AuthorizeSettings,
    steps: Vec<Step>,
    expected: &'static str,
}

fn row(name: &'static str, steps: Vec<Step>, expected: &'static str) -> Row {
    Row { name, settings: authorize_settings(), steps, expected }
}

fn ruled(name: &'static str, rules: Vec<Rule>, steps: Vec<Step>, expected: &'static str) -> Row {
    Row { name, settings: with_rules(rules), steps, expected }
}

fn p(id: &str) -> Step {
    Request(payment(id))
}

/// The same request under another key.
fn under_key(key: &str, request: PaymentRequested) -> Step {
    Request(PaymentRequested { idempotency_key: key.into(), ..request })
}

fn scheduled(id: &str, days: u32) -> PaymentRequested {
    PaymentRequested { execute_at: Some(noon().saturating_add(Duration::from_days(days))), ..payment(id) }
}

fn one_day_later() -> Timestamp {
    noon().saturating_add(Duration::from_days(1))
}

fn per_payment(limit_minor: i64) -> Rule {
    limit("large", CheckKind::LimitPerPayment, limit_minor, &["EUR"])
}

fn daily_sum(limit_minor: i64) -> Rule {
    limit("sum", CheckKind::LimitDailySum, limit_minor, &["EUR"])
}

fn daily_count(payments: i64) -> Rule {
    limit("count", CheckKind::LimitDailyCount, payments, &["EUR"])
}

/// Malformed as a whole, misplaced, dated ahead of the clock.
fn malformed() -> Vec<Row> {
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
        row("an empty field", vec![Request(PaymentRequested { merchant_id: "".into(), ..payment("p-1") })], "INVALID FIELD_MISSING"),
        row(
            "a field too long",
            vec![Request(PaymentRequested { idempotency_key: "k".repeat(256).as_str().into(), ..payment("p-1") })],
            "INVALID FIELD_TOO_LONG",
        ),
        row("a priority of ten", vec![Request(PaymentRequested { priority: 10, ..payment("p-1") })], "INVALID FIELD_INVALID"),
        row("no amount", vec![Request(PaymentRequested { amount_minor: 0, ..payment("p-1") })], "INVALID AMOUNT_NOT_POSITIVE"),
        row("no currency", vec![Request(PaymentRequested { currency: "ABC".into(), ..payment("p-1") })], "INVALID CURRENCY_UNKNOWN"),
        row("an unknown kind", vec![Request(PaymentRequested { event_type: Default::default(), ..payment("p-1") })], "INVALID EVENT_TYPE_UNKNOWN"),
        row("its own original", vec![Request(refund("p-1", "p-1", 1))], "INVALID ORIGINAL_ID_INVALID"),
        row(
            "a card number as an account",
            vec![Request(PaymentRequested { debtor_account: "4111111111111111".into(), ..payment("p-1") })],
            "INVALID CARD_NUMBER_PRESENT",
        ),
    ]
}

/// Keys and payment ids that were used before.
fn used_before() -> Vec<Row> {
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
        row("what differs between attempts does not count", vec![p("p-1"), Request(retry)], "REPLAYED REPLAY"),
        row("another amount", vec![p("p-1"), Request(other_amount.clone())], "CONFLICT IDEMPOTENCY_KEY_REUSED"),
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
        row("a conflict leaves the key as it was", vec![p("p-1"), Request(other_amount.clone()), p("p-1")], "REPLAYED REPLAY"),
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
        row("a payment id under a new key", vec![p("p-1"), under_key("new", payment("p-1"))], "CONFLICT PAYMENT_ID_REUSED"),
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
        row("a microsecond before the retention ends", vec![p("p-1"), Step::Wait(just_before(7)), p("p-1")], "REPLAYED REPLAY"),
        row(
            "at its end the key is free, the payment id is not",
            vec![p("p-1"), days(7), p("p-1")],
            "CONFLICT PAYMENT_ID_REUSED",
        ),
        row("at its end, another payment", vec![p("p-1"), days(7), under_key("key-p-1", payment("p-2"))], "APPROVED forwarded"),
        row("a payment id is kept for 550 days", vec![p("p-1"), Step::Wait(just_before(550)), p("p-1")], "CONFLICT PAYMENT_ID_REUSED"),
        row("not longer", vec![p("p-1"), days(550), p("p-1")], "APPROVED forwarded"),
    ]
}

/// A microsecond less than so many days.
fn just_before(days: u32) -> Duration {
    let micros = Duration::from_days(days).as_micros() - 1;
    serde_json::from_str(&micros.to_string()).expect("a duration is a number of microseconds")
}

/// What a follow-up needs of its original.
fn follow_ups() -> Vec<Row> {
    let in_usd = |request: PaymentRequested| Request(PaymentRequested { currency: "USD".into(), ..request });
    let refunded = |amount| Request(refund("r-1", "p-1", amount));
    let disputed = |amount| Request(chargeback("c-1", "p-1", amount));
    vec![
        row("a refund", vec![p("p-1"), refunded(10_000)], "APPROVED forwarded"),
        row("of an unknown payment", vec![refunded(1)], "DECLINED ORIGINAL_UNKNOWN"),
        row(
            "of another debtor's payment",
            vec![p("p-1"), Request(PaymentRequested { debtor_account: "d-2".into(), ..refund("r-1", "p-1", 1) })],
            "DECLINED ORIGINAL_UNKNOWN",
        ),
        row(
            "of another merchant's payment",
            vec![p("p-1"), Request(PaymentRequested { merchant_id: "m-2".into(), ..refund("r-1", "p-1", 1) })],
            "DECLINED ORIGINAL_UNKNOWN",
        ),
        row("of a forgotten payment", vec![p("p-1"), days(550), refunded(1)], "DECLINED ORIGINAL_UNKNOWN"),
        row("a decline is kept", vec![refunded(1), p("p-1"), refunded(1)], "REPLAYED REPLAY"),
        row("a refund of a refund", vec![p("p-1"), refunded(1), Request(refund("r-2", "r-1", 1))], "DECLINED ORIGINAL_WRONG_TYPE"),
        row("a reversal of a payment", vec![p("p-1"), Request(reversal("v-1", "p-1", 1))], "DECLINED ORIGINAL_WRONG_TYPE"),
        row("a chargeback of a chargeback", vec![p("p-1"), disputed(1), Request(chargeback("c-2", "c-1", 1))], "DECLINED ORIGINAL_WRONG_TYPE"),
        row("a cancellation of a refund", vec![p("p-1"), refunded(1), Request(cancellation("x-1", "r-1", 1))], "DECLINED ORIGINAL_WRONG_TYPE"),
        row("a refund in another currency", vec![p("p-1"), in_usd(refund("r-1", "p-1", 1))], "DECLINED CURRENCY_MISMATCH"),
        row("a cancellation in another currency", vec![p("p-1"), in_usd(cancellation("x-1", "p-1", 10_000))], "DECLINED CURRENCY_MISMATCH"),
        ruled("of a declined payment", vec![per_payment(1)], vec![p("p-1"), refunded(1)], "DECLINED ORIGINAL_NOT_APPROVED"),
        row("of a scheduled payment", vec![Request(scheduled("p-1", 1)), refunded(1)], "DECLINED ORIGINAL_NOT_APPROVED"),
        row("of one that was executed", vec![Request(scheduled("p-1", 1)), days(1), refunded(1)], "APPROVED forwarded"),
        row("of a cancelled payment", vec![p("p-1"), Request(cancellation("x-1", "p-1", 10_000)), refunded(1)], "DECLINED ORIGINAL_NOT_APPROVED"),
        row("of a refused payment", vec![p("p-1"), Refuse("p-1", reason::NO_CONTRACT), disputed(1)], "DECLINED ORIGINAL_NOT_APPROVED"),
        row("above the amount", vec![p("p-1"), refunded(10_001)], "DECLINED AMOUNT_ABOVE_REMAINDER"),
        row("above the rest", vec![p("p-1"), refunded(6_000), Request(refund("r-2", "p-1", 4_001))], "DECLINED AMOUNT_ABOVE_REMAINDER"),
        row("the rest", vec![p("p-1"), refunded(6_000), Request(refund("r-2", "p-1", 4_000))], "APPROVED forwarded"),
        row("a declined refund takes nothing", vec![p("p-1"), refunded(10_001), Request(refund("r-2", "p-1", 10_000))], "APPROVED forwarded"),
        row("what is disputed cannot be refunded", vec![p("p-1"), disputed(6_000), refunded(4_001)], "DECLINED AMOUNT_ABOVE_REMAINDER"),
        row("what is not can be", vec![p("p-1"), disputed(6_000), refunded(4_000)], "APPROVED forwarded"),
        row("what is refunded can be disputed", vec![p("p-1"), refunded(10_000), disputed(10_000)], "APPROVED forwarded"),
        row(
            "then nothing can be refunded",
            vec![p("p-1"), refunded(10_000), disputed(10_000), Request(refund("r-2", "p-1", 1))],
            "DECLINED AMOUNT_ABOVE_REMAINDER",
        ),
        row("a dispute above the rest", vec![p("p-1"), disputed(9_000), Request(chargeback("c-2", "p-1", 1_001))], "DECLINED AMOUNT_ABOVE_REMAINDER"),
        row("a reversal", vec![p("p-1"), disputed(9_000), Request(reversal("v-1", "c-1", 9_000))], "APPROVED forwarded"),
        row("above its chargeback", vec![p("p-1"), disputed(9_000), Request(reversal("v-1", "c-1", 9_001))], "DECLINED AMOUNT_ABOVE_REMAINDER"),
        row(
            "above the rest of it",
            vec![p("p-1"), disputed(9_000), Request(reversal("v-1", "c-1", 5_000)), Request(reversal("v-2", "c-1", 4_001))],
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
            vec![p("p-1"), disputed(10_000), Request(reversal("v-1", "c-1", 10_000)), Request(chargeback("c-2", "p-1", 10_000))],
            "APPROVED forwarded",
        ),
    ]
}

/// Cancellations: final while the payment waits, then SETTLE's to say.
fn cancellations() -> Vec<Row> {
    let cancelled = || Request(cancellation("x-1", "p-1", 10_000));
    vec![
        row("of an approved payment", vec![p("p-1"), cancelled()], "APPROVED forwarded; p-1 APPROVED>CANCELLED"),
        row("of a scheduled payment", vec![Request(scheduled("p-1", 1)), cancelled()], "APPROVED; p-1 SCHEDULED>CANCELLED"),
        row("then nothing is executed", vec![Request(scheduled("p-1", 1)), cancelled(), days(2)], ""),
        row("twice", vec![p("p-1"), cancelled(), Request(cancellation("x-2", "p-1", 10_000))], "DECLINED ORIGINAL_NOT_APPROVED"),
        row("of a part", vec![p("p-1"), Request(cancellation("x-1", "p-1", 9_999))], "DECLINED AMOUNT_MISMATCH"),
        row("of more than all", vec![p("p-1"), Request(cancellation("x-1", "p-1", 10_001))], "DECLINED AMOUNT_MISMATCH"),
        row("after a refund", vec![p("p-1"), Request(refund("r-1", "p-1", 1)), cancelled()], "DECLINED ORIGINAL_HAS_FOLLOW_UPS"),
        row("after a chargeback", vec![p("p-1"), Request(chargeback("c-1", "p-1", 1)), cancelled()], "DECLINED ORIGINAL_HAS_FOLLOW_UPS"),
        row(
            "after a chargeback that was reversed",
            vec![p("p-1"), Request(chargeback("c-1", "p-1", 1)), Request(reversal("v-1", "c-1", 1)), cancelled()],
            "APPROVED forwarded; p-1 APPROVED>CANCELLED",
        ),
    ]
}

/// Rules, and what counts against the limits of a day.
fn rules() -> Vec<Row> {
    let shadow = |rule: Rule| Rule { mode: Mode::Shadow, ..rule };
    let at_device = |id: &str| Request(PaymentRequested { device_id: Some("stolen".into()), ..payment(id) });
    let denied = || vec![deny("stolen", DenyField::DeviceId, "stolen")];
    let of = |id: &str, amount_minor| Request(PaymentRequested { amount_minor, ..payment(id) });
    vec![
        ruled("at the limit", vec![per_payment(10_000)], vec![p("p-1")], "APPROVED forwarded"),
        ruled("above the limit", vec![per_payment(9_999)], vec![p("p-1")], "DECLINED LIMIT_PER_PAYMENT"),
        ruled("no row for the currency", vec![limit("l", CheckKind::LimitPerPayment, 1, &["USD"])], vec![p("p-1")], "DECLINED NO_LIMIT_FOR_CURRENCY"),
        ruled("the sum of the day", vec![daily_sum(20_000)], vec![p("p-1"), p("p-2")], "APPROVED forwarded"),
        ruled("above the sum", vec![daily_sum(20_000)], vec![p("p-1"), p("p-2"), of("p-3", 1)], "DECLINED LIMIT_DAILY_SUM"),
        ruled("the next day", vec![daily_sum(10_000)], vec![p("p-1"), seconds(43_200), p("p-2")], "APPROVED forwarded"),
        ruled("a second before", vec![daily_sum(10_000)], vec![p("p-1"), seconds(43_199), p("p-2")], "DECLINED LIMIT_DAILY_SUM"),
        ruled("above the count", vec![daily_count(1)], vec![p("p-1"), p("p-2")], "DECLINED LIMIT_DAILY_COUNT"),
        ruled(
            "a decline does not count",
            vec![daily_count(1), per_payment(10_000)],
            vec![of("p-1", 10_001), p("p-2")],
            "APPROVED forwarded",
        ),
        ruled(
            "another debtor's payments do not count",
            vec![daily_count(1)],
            vec![p("p-1"), Request(PaymentRequested { debtor_account: "d-2".into(), ..payment("p-2") })],
            "APPROVED forwarded",
        ),
        ruled("a scheduled payment counts", vec![daily_count(1)], vec![Request(scheduled("p-1", 5)), p("p-2")], "DECLINED LIMIT_DAILY_COUNT"),
        ruled(
            "a cancelled one does not",
            vec![daily_count(1)],
            vec![p("p-1"), Request(cancellation("x-1", "p-1", 10_000)), p("p-2")],
            "APPROVED forwarded",
        ),
        ruled(
            "nor a refused one",
            vec![daily_count(1), daily_sum(10_000)],
            vec![p("p-1"), Refuse("p-1", reason::NO_CONTRACT), p("p-2")],
            "APPROVED forwarded",
        ),
        ruled(
            "a refund neither counts nor is limited",
            vec![daily_count(1), per_payment(10_000), limit("l", CheckKind::LimitDailySum, 10_000, &["EUR"])],
            vec![p("p-1"), Request(refund("r-1", "p-1", 5_000)), Request(refund("r-2", "p-1", 5_000))],
            "APPROVED forwarded",
        ),
        ruled("a sum beyond 64 bits", vec![daily_sum(i64::MAX)], vec![of("p-1", i64::MAX), of("p-2", i64::MAX)], "DECLINED RULE_FAILED"),
        ruled("a deny list", denied(), vec![at_device("p-1")], "DECLINED DENY_LIST"),
        ruled("not on it", denied(), vec![p("p-1")], "APPROVED forwarded"),
        ruled(
            "refunds are held to deny lists",
            denied(),
            vec![p("p-1"), Request(PaymentRequested { device_id: Some("stolen".into()), ..refund("r-1", "p-1", 1) })],
            "DECLINED DENY_LIST",
        ),
        ruled(
            "chargebacks and reversals are facts",
            vec![deny("merchant", DenyField::MerchantId, "m-2"), per_payment(10_000)],
            vec![
                p("p-1"),
                Reconfigure(Box::new(with_rules(vec![deny("merchant", DenyField::MerchantId, "m-1"), per_payment(0)]))),
                Request(chargeback("c-1", "p-1", 10_000)),
            ],
            "APPROVED forwarded",
        ),
        ruled("a shadow rule", vec![shadow(per_payment(1))], vec![p("p-1")], "APPROVED forwarded"),
        ruled(
            "every rule that matched is named",
            vec![per_payment(1), daily_count(0), daily_sum(1)],
            vec![p("p-1")],
            "DECLINED LIMIT_PER_PAYMENT LIMIT_DAILY_COUNT LIMIT_DAILY_SUM",
        ),
    ]
}

/// Payments for a later time.
fn schedules() -> Vec<Row> {
    let until_large_is_denied = || Reconfigure(Box::new(with_rules(vec![per_payment(1)])));
    vec![
        row("for later", vec![Request(scheduled("p-1", 2))], "SCHEDULED"),
        row(
            "for now",
            vec![Request(PaymentRequested { execute_at: Some(noon()), ..payment("p-1") })],
            "APPROVED forwarded",
        ),
        ruled("not within the limits", vec![per_payment(1)], vec![Request(scheduled("p-1", 2))], "DECLINED LIMIT_PER_PAYMENT"),
        row("a microsecond before its time", vec![Request(scheduled("p-1", 2)), Step::Wait(just_before(2))], ""),
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
            vec![Request(PaymentRequested { execute_at: Some(at(0, 18, 0)), ..payment("p-1") }), seconds(6 * 3_600)],
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
        row("years ahead", vec![Request(scheduled("p-1", 1_500)), days(1_500)], "p-1 SCHEDULED>APPROVED forwarded"),
        row(
            "its id is taken until then",
            vec![Request(scheduled("p-1", 1_500)), days(1_000), p("p-1")],
            "CONFLICT PAYMENT_ID_REUSED",
        ),
        row(
            "and 550 days longer",
            vec![Request(scheduled("p-1", 1_500)), days(1_500), days(549), Request(refund("r-1", "p-1", 10_000))],
            "APPROVED forwarded",
        ),
    ]
}

/// What SETTLE refuses gives back what it took.
fn refusals() -> Vec<Row> {
    let cap = reason::NET_DEBIT_CAP;
    let gone = reason::ORIGINAL_NOT_BOOKED;
    let refunded = |id: &str| Request(refund(id, "p-1", 10_000));
    let disputed = |id: &str| Request(chargeback(id, "p-1", 10_000));
    let reversed = |id: &str| Request(reversal(id, "c-1", 10_000));
    let cancelled = |id: &str| Request(cancellation(id, "p-1", 10_000));
    vec![
        row("a payment", vec![p("p-1"), Refuse("p-1", reason::NO_CONTRACT)], "p-1 APPROVED>REFUSED NO_CONTRACT"),
        row("a retry gets the first answer", vec![p("p-1"), Refuse("p-1", reason::NO_CONTRACT), p("p-1")], "REPLAYED REPLAY"),
        row("a refund", vec![p("p-1"), refunded("r-1"), Refuse("r-1", cap)], "r-1 APPROVED>REFUSED NET_DEBIT_CAP"),
        row("its amount can be refunded again", vec![p("p-1"), refunded("r-1"), Refuse("r-1", cap), refunded("r-2")], "APPROVED forwarded"),
        row("once", vec![p("p-1"), refunded("r-1"), Refuse("r-1", cap), refunded("r-2"), refunded("r-3")], "DECLINED AMOUNT_ABOVE_REMAINDER"),
        row("a chargeback", vec![p("p-1"), disputed("c-1"), Refuse("c-1", gone), disputed("c-2")], "APPROVED forwarded"),
        row("what it took can be refunded", vec![p("p-1"), disputed("c-1"), Refuse("c-1", gone), refunded("r-1")], "APPROVED forwarded"),
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
            vec![p("p-1"), disputed("c-1"), reversed("v-1"), Refuse("c-1", gone), Refuse("v-1", gone), refunded("r-1")],
            "APPROVED forwarded",
        ),
        row(
            "a cancellation: its original stands again",
            vec![p("p-1"), cancelled("x-1"), Refuse("x-1", reason::BATCH_CLOSED)],
            "x-1 APPROVED>REFUSED BATCH_CLOSED; p-1 CANCELLED>APPROVED BATCH_CLOSED",
        ),
        row("and can be refunded", vec![p("p-1"), cancelled("x-1"), Refuse("x-1", reason::BATCH_CLOSED), refunded("r-1")], "APPROVED forwarded"),
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
            "a forgotten payment",
            vec![p("p-1"), days(550), Refuse("p-1", reason::NO_CONTRACT)],
            "nothing",
        ),
    ]
}

fn all_rows() -> Vec<Row> {
    [malformed(), used_before(), follow_ups(), cancellations(), rules(), schedules(), refusals()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn every_outcome() {
    let mut produced = Vec::new();
    let mut wrong = Vec::new();
    for Row { name, settings, steps, expected } in all_rows() {
        let (_, events) = run(&settings, &steps);
        let found = said(&events);
        if found != expected {
            wrong.push(format!("{name}: expected `{expected}`, found `{found}`"));
        }
        for decision in events.iter().filter_map(|event| event.decision.as_ref()) {
            produced.extend(decision.reasons.iter().map(|reason| reason.code.to_string()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    reasons::assert_produced(reasons::OF_AUTHORIZE, produced.into_iter());
    reasons::assert_complete();
}

#[test]
fn a_replay_names_the_first_decision_and_its_outcome_of_then() {
    let steps = [Request(scheduled("p-1", 2)), days(3), Request(scheduled("p-1", 2))];
    let (pipeline, events) = run(&authorize_settings(), &steps);
    let first = pipeline.authorize[0].journal[1].decision.clone().expect("the first decision");
    let replay = events[0].decision.clone().expect("a decision");
    let named = replay.first.expect("the first decision is named");
    assert_eq!(named.decision_id, first.decision_id);
    assert_eq!(named.outcome, Outcome::Scheduled, "a used key never changes its answer");
    assert_eq!(replay.fingerprint, first.fingerprint);
    assert_eq!((replay.key_expires_at, replay.forwarded), (None, false));
}

#[test]
fn a_date_far_ahead_expires_no_key_whatever_the_clock() {
    let event = AuthorizeSettings { clock: event_clock(6 * 86_400), ..authorize_settings() };
    for settings in [authorize_settings(), event] {
        let far = PaymentRequested { requested_at: at(400, 0, 0), ..payment("p-far") };
        let steps = [p("p-1"), Request(far), p("p-1")];
        let (pipeline, events) = run(&settings, &steps);
        assert_eq!(said(&events), "REPLAYED REPLAY");
        let journal = &pipeline.authorize[0].journal;
        assert_eq!(said(&journal[2..3]), "INVALID CLOCK_SKEW");
        assert_eq!(pipeline.authorize[0].meta.now, noon(), "it did not move the clock");
    }
}

#[test]
fn the_event_clock_starts_with_the_first_request_whatever_came_before_it() {
    let settings = AuthorizeSettings { clock: event_clock(3_600), ..authorize_settings() };
    for before in [vec![], vec![Undecodable(reason::UNDECODABLE)]] {
        let steps: Vec<Step> = before.into_iter().chain([p("p-1")]).collect();
        let (pipeline, events) = run(&settings, &steps);
        assert_eq!(said(&events), "APPROVED forwarded");
        assert_eq!(pipeline.authorize[0].meta.now, noon());
    }
}

#[test]
fn settings_that_would_let_one_date_expire_keys_are_refused() {
    let one_day = AuthorizeSettings { key_retention_days: 1, ..authorize_settings() };
    let problem = settle_engine::authorize::AuthorizeConfig::new(one_day).expect_err("3 days of jump");
    assert!(problem.to_string().contains("clock.max_event_jump_seconds"), "{problem}");
}
