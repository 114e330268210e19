//! Which reason codes the tests of each stage produce. Each test file compares its list with what its tables
//! gave; here the lists are held against the contract, so that a new code needs a test.

use settle_types::reason;

/// Produced by the tables of AUTHORIZE.
pub const OF_AUTHORIZE: &[&str] = &[
    reason::UNDECODABLE,
    reason::UNKNOWN_SCHEMA,
    reason::FIELD_MISSING,
    reason::FIELD_TOO_LONG,
    reason::FIELD_INVALID,
    reason::AMOUNT_NOT_POSITIVE,
    reason::CURRENCY_UNKNOWN,
    reason::EVENT_TYPE_UNKNOWN,
    reason::ORIGINAL_ID_INVALID,
    reason::CARD_NUMBER_PRESENT,
    reason::CLOCK_SKEW,
    reason::WRONG_PARTITION,
    reason::IDEMPOTENCY_KEY_REUSED,
    reason::PAYMENT_ID_REUSED,
    reason::REPLAY,
    reason::ORIGINAL_UNKNOWN,
    reason::ORIGINAL_WRONG_TYPE,
    reason::ORIGINAL_NOT_APPROVED,
    reason::CURRENCY_MISMATCH,
    reason::AMOUNT_ABOVE_REMAINDER,
    reason::AMOUNT_MISMATCH,
    reason::ORIGINAL_HAS_FOLLOW_UPS,
    reason::RULE_FAILED,
    reason::NO_LIMIT_FOR_CURRENCY,
    reason::LIMIT_PER_PAYMENT,
    reason::LIMIT_DAILY_SUM,
    reason::LIMIT_DAILY_COUNT,
    reason::DENY_LIST,
];

/// Produced by the tables of SETTLE.
pub const OF_SETTLE: &[&str] = &[
    reason::UNDECODABLE,
    reason::UNKNOWN_SCHEMA,
    reason::EVENT_TYPE_UNKNOWN,
    reason::PAYMENT_ID_REUSED,
    reason::AMOUNT_OVERFLOW,
    reason::NO_CONTRACT,
    reason::MERCHANT_BLOCKED,
    reason::NO_FEE_FOR_METHOD,
    reason::ORIGINAL_NOT_BOOKED,
    reason::BATCH_CLOSED,
    reason::NET_DEBIT_CAP,
];

/// Codes that no input reaches, and why.
pub const UNREACHABLE: &[(&str, &str)] = &[(
    reason::RULE_DECLINED,
    "for rules with a condition of their own: each check of this version has a code that says more",
)];

/// Every code is produced, or stands among the unreachable ones; none is both.
pub fn assert_complete() {
    for code in reason::ALL {
        let is_produced = OF_AUTHORIZE.contains(code) || OF_SETTLE.contains(code);
        let is_unreachable = UNREACHABLE.iter().any(|(unreachable, _)| unreachable == code);
        assert!(
            is_produced != is_unreachable,
            "{code}: produced {is_produced}, unreachable {is_unreachable}"
        );
    }
}

/// What the tables of a file produced is what is listed for it.
pub fn assert_produced(listed: &[&str], produced: impl Iterator<Item = String>) {
    let produced: std::collections::BTreeSet<String> = produced.collect();
    let listed: std::collections::BTreeSet<String> = listed.iter().map(ToString::to_string).collect();
    assert_eq!(
        produced, listed,
        "codes produced by the tables (left) and listed in support/reasons.rs (right)"
    );
}
