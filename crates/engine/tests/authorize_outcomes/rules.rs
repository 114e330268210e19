//! What rules say.

use settle_risk::{CheckKind, DenyField, Mode, Rule};
use settle_types::reason;
use settle_types::request::PaymentRequested;

use crate::rows::*;
use crate::support::build::*;
use crate::support::script::Step::{Reconfigure, Refuse, Request};
use crate::support::script::seconds;

/// Rules, and what counts against the limits of a day.
pub(crate) fn rules() -> Vec<Row> {
    let shadow = |rule: Rule| Rule { mode: Mode::Shadow, ..rule };
    let at_device = |id: &str| Request(PaymentRequested { device_id: Some("stolen".into()), ..payment(id) });
    let denied = || vec![deny("stolen", DenyField::DeviceId, "stolen")];
    let of = |id: &str, amount_minor| Request(PaymentRequested { amount_minor, ..payment(id) });
    vec![
        ruled("at the limit", vec![per_payment(10_000)], vec![p("p-1")], "APPROVED forwarded"),
        ruled("above the limit", vec![per_payment(9_999)], vec![p("p-1")], "DECLINED LIMIT_PER_PAYMENT"),
        ruled(
            "no row for the currency",
            vec![limit("l", CheckKind::LimitPerPayment, 1, &["USD"])],
            vec![p("p-1")],
            "DECLINED NO_LIMIT_FOR_CURRENCY",
        ),
        ruled("the sum of the day", vec![daily_sum(20_000)], vec![p("p-1"), p("p-2")], "APPROVED forwarded"),
        ruled(
            "above the sum",
            vec![daily_sum(20_000)],
            vec![p("p-1"), p("p-2"), of("p-3", 1)],
            "DECLINED LIMIT_DAILY_SUM",
        ),
        ruled(
            "the next day",
            vec![daily_sum(10_000)],
            vec![p("p-1"), seconds(43_200), p("p-2")],
            "APPROVED forwarded",
        ),
        ruled(
            "a second before",
            vec![daily_sum(10_000)],
            vec![p("p-1"), seconds(43_199), p("p-2")],
            "DECLINED LIMIT_DAILY_SUM",
        ),
        ruled(
            "above the count",
            vec![daily_count(1)],
            vec![p("p-1"), p("p-2")],
            "DECLINED LIMIT_DAILY_COUNT",
        ),
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
        ruled(
            "a scheduled payment counts",
            vec![daily_count(1)],
            vec![Request(scheduled("p-1", 5)), p("p-2")],
            "DECLINED LIMIT_DAILY_COUNT",
        ),
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
        ruled(
            "a sum beyond 64 bits",
            vec![daily_sum(i64::MAX)],
            vec![of("p-1", i64::MAX), of("p-2", i64::MAX)],
            "DECLINED RULE_FAILED",
        ),
        ruled("a deny list", denied(), vec![at_device("p-1")], "DECLINED DENY_LIST"),
        ruled("not on it", denied(), vec![p("p-1")], "APPROVED forwarded"),
        ruled(
            "refunds are held to deny lists",
            denied(),
            vec![
                p("p-1"),
                Request(PaymentRequested { device_id: Some("stolen".into()), ..refund("r-1", "p-1", 1) }),
            ],
            "DECLINED DENY_LIST",
        ),
        ruled(
            "chargebacks and reversals are facts",
            vec![deny("merchant", DenyField::MerchantId, "m-2"), per_payment(10_000)],
            vec![
                p("p-1"),
                Reconfigure(Box::new(with_rules(vec![
                    deny("merchant", DenyField::MerchantId, "m-1"),
                    per_payment(0),
                ]))),
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
