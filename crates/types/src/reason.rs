//! Reason codes: part of the public contract. A code is never reused for another meaning.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $($(#[$doc])* pub const $name: &str = stringify!($name);)+
        /// Every code, in the order of this page.
        pub const ALL: &[&str] = &[$($name),+];
    };
}

codes! {
    /// The bytes are not a record of the schema they name.
    UNDECODABLE,
    /// The schema id is not known.
    UNKNOWN_SCHEMA,
    /// A required field is empty.
    FIELD_MISSING,
    /// A field is longer than allowed.
    FIELD_TOO_LONG,
    /// A field holds characters or a value that is not allowed.
    FIELD_INVALID,
    /// The amount is zero or below.
    AMOUNT_NOT_POSITIVE,
    /// The currency is not in the table.
    CURRENCY_UNKNOWN,
    /// The event type is not known.
    EVENT_TYPE_UNKNOWN,
    /// A follow-up without `original_payment_id`, or a PAYMENT with one.
    ORIGINAL_ID_INVALID,
    /// A card number stands in a field.
    CARD_NUMBER_PRESENT,
    /// `requested_at` is too far ahead of the clock.
    CLOCK_SKEW,
    /// The record is in another partition than its debtor account belongs to.
    WRONG_PARTITION,
    /// The idempotency key was used for other content.
    IDEMPOTENCY_KEY_REUSED,
    /// The payment id was used under another key, or by another debtor of the merchant.
    PAYMENT_ID_REUSED,
    /// A retry of a decided request.
    REPLAY,
    /// The original is not known.
    ORIGINAL_UNKNOWN,
    /// The original is of another kind than the follow-up needs.
    ORIGINAL_WRONG_TYPE,
    /// The original is not approved, or no longer.
    ORIGINAL_NOT_APPROVED,
    /// The follow-up has another currency than its original.
    CURRENCY_MISMATCH,
    /// The amount is above what is left of the original.
    AMOUNT_ABOVE_REMAINDER,
    /// A cancellation of another amount than its original's.
    AMOUNT_MISMATCH,
    /// A payment with refunds or disputes cannot be cancelled.
    ORIGINAL_HAS_FOLLOW_UPS,
    /// A rule declined.
    RULE_DECLINED,
    /// A rule could not be evaluated.
    RULE_FAILED,
    /// A limit table has no row for the currency.
    NO_LIMIT_FOR_CURRENCY,
    /// The amount is above the limit per payment.
    LIMIT_PER_PAYMENT,
    /// The debtor's daily sum would be above the limit.
    LIMIT_DAILY_SUM,
    /// The debtor's daily count would be above the limit.
    LIMIT_DAILY_COUNT,
    /// On a deny list.
    DENY_LIST,
    /// A sum would leave the range of 64-bit minor units.
    AMOUNT_OVERFLOW,
    /// Neither the merchant nor the default has a contract.
    NO_CONTRACT,
    /// The merchant is blocked.
    MERCHANT_BLOCKED,
    /// The contract has no fee for the payment method.
    NO_FEE_FOR_METHOD,
    /// The original is not booked with this merchant.
    ORIGINAL_NOT_BOOKED,
    /// The batch of the payment is closed.
    BATCH_CLOSED,
    /// The merchant's debt would be above the cap.
    NET_DEBIT_CAP,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique() {
        assert_eq!(super::ALL.iter().collect::<BTreeSet<_>>().len(), super::ALL.len());
    }
}
