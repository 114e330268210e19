//! Damaged rules: they are refused with a place and a hint, or they judge; never a panic.

use proptest::prelude::*;
use settle_fuzz::{Meter, config, damaged};
use settle_risk::{RiskConfig, Scope, Severity, Subject, Today};
use settle_types::{Currency, Minor};

#[global_allocator]
static METER: Meter = Meter;

const RULES: &str = r#"{"rules":[
{"id":"large","version":1,"check":"LIMIT_PER_PAYMENT","limits_minor":{"EUR":1000000,"CZK":25000000}},
{"id":"sum","version":2,"mode":"SHADOW","score":-5,"check":"LIMIT_DAILY_SUM","limits_minor":{"EUR":9223372036854775807}},
{"id":"count","version":3,"check":"LIMIT_DAILY_COUNT","limits":{"EUR":40}},
{"id":"lost","version":4,"mode":"DISABLED","check":"DENY_LIST","field":"CARD_BIN","values":["411111","40"]},
{"id":"places","version":5,"check":"DENY_LIST","field":"COUNTRY","values":["KP","cz"]}]}"#;

const EXTREME: &str = r#"{"rules":[{"id":"x","version":2147483647,"score":2147483647,"check":"LIMIT_DAILY_COUNT","limits":{"EUR":-1}}]}"#;

fn inputs() -> Vec<Vec<u8>> {
    vec![RULES.as_bytes().to_vec(), EXTREME.as_bytes().to_vec()]
}

fn subject(currency: Currency) -> Subject<'static> {
    Subject {
        amount: Minor::new(i64::MAX),
        currency,
        payment_method: "CARD",
        debtor_account: "d",
        merchant_id: "m",
        country: Some("CZ"),
        mcc: None,
        ip: Some(""),
        device_id: None,
        card_bin: Some("411111"),
    }
}

/// Judges with rules of this text; none if they are refused.
fn verdicts(text: &str) -> Option<Vec<Severity>> {
    let parsed: RiskConfig = serde_json::from_str(text).ok()?;
    let problems = parsed.check();
    for problem in &problems {
        assert!(!problem.path.is_empty() && !problem.message.is_empty() && !problem.hint.is_empty());
    }
    let compiled = parsed.compile();
    assert_eq!(compiled.is_ok(), problems.is_empty(), "the check says what compiling says");
    let rules = compiled.ok()?;
    let eur = Currency::new("EUR").expect("a code");
    let today = [Today::default(), Today { sum_minor: i128::MAX, count: i64::MAX }];
    let severities = today.iter().flat_map(|today| {
        [Scope::Payment, Scope::FollowUp].map(|scope| rules.evaluate(scope, &subject(eur), *today).severity)
    });
    Some(severities.collect())
}

#[test]
fn the_rules_that_are_damaged_are_valid() {
    assert_eq!(verdicts(RULES).expect("they are valid"), [Severity::Decline; 4]);
}

proptest! {
    #![proptest_config(config(10_000))]

    #[test]
    fn damaged_rules(text in damaged(inputs())) {
        let text = String::from_utf8_lossy(&text).into_owned();
        let (_, peak) = METER.peak(|| verdicts(&text));
        prop_assert!(peak <= (64 << 10) + 200 * text.len(), "{peak} bytes for {}", text.len());
    }
}
