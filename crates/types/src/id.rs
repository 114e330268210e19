//! Identifiers as types of their own, so that a merchant is never passed where a debtor is meant.
//!
//! They hold short text inline (24 bytes), because the hot path copies them into keys and events. What an
//! identifier may contain is judged where requests are validated (`engine`), not here.

use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(CompactString);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(CompactString::new(text))
            }

            /// The text.
            #[inline]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// True for the empty text, which no valid request carries.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<CompactString> for $name {
            fn from(text: CompactString) -> Self {
                Self(text)
            }
        }
    };
}

text_id!(
    /// A payment or a follow-up of one. Unique per debtor and merchant in AUTHORIZE, per merchant in SETTLE.
    PaymentId
);
text_id!(
    /// The caller's key for one intent, 1 to 255 characters, within (merchant, debtor).
    IdempotencyKey
);
text_id!(
    /// The account that pays. The key of `payments.requested`.
    DebtorAccount
);
text_id!(
    /// The merchant that is paid. The key of `payments.approved`.
    MerchantId
);
text_id!(
    /// One decision, named after the input record it is about: `payments.requested-3-1042`.
    DecisionId
);
text_id!(
    /// One batch: `{merchant}:{currency}:{sales day}`.
    BatchId
);
text_id!(
    /// One payout: `payout:{batch}`. A batch is paid out at most once.
    PayoutId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_compare_as_their_text() {
        let first = PaymentId::new("order-1");
        assert_eq!(first.to_string(), "order-1");
        assert!(first < PaymentId::new("order-2"));
        assert!(PaymentId::default().is_empty());
    }
}
