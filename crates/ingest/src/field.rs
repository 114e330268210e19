//! The fields of a request by name, and a draft of a request that is filled field by field.
//!
//! Owns what a request needs before it can be encoded. Must not know where values come from (`reader`,
//! `mapping`) nor whether they make sense: AUTHORIZE judges that.

use compact_str::CompactString;
use settle_types::request::{Card, EventType, PaymentRequested};
use settle_types::{DebtorAccount, IdempotencyKey, MerchantId, PaymentId, Timestamp};

use crate::nearest;

/// A field of `PaymentRequested`; metadata has names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    EventType,
    PaymentId,
    OriginalPaymentId,
    IdempotencyKey,
    DebtorAccount,
    MerchantId,
    AmountMinor,
    Currency,
    PaymentMethod,
    CardToken,
    CardBin,
    CardLast4,
    CardExpiry,
    Country,
    Mcc,
    Ip,
    DeviceId,
    RequestedAt,
    ExecuteAt,
    Priority,
}

/// Fields without which a request cannot be encoded.
pub(crate) const REQUIRED: [Field; 9] = [
    Field::EventType,
    Field::PaymentId,
    Field::IdempotencyKey,
    Field::DebtorAccount,
    Field::MerchantId,
    Field::AmountMinor,
    Field::Currency,
    Field::PaymentMethod,
    Field::RequestedAt,
];

const CARD_FIELDS: [Field; 4] = [Field::CardToken, Field::CardBin, Field::CardLast4, Field::CardExpiry];

/// Every field outside the card, in the order of the schema.
const TOP_FIELDS: [Field; 16] = [
    Field::EventType,
    Field::PaymentId,
    Field::OriginalPaymentId,
    Field::IdempotencyKey,
    Field::DebtorAccount,
    Field::MerchantId,
    Field::AmountMinor,
    Field::Currency,
    Field::PaymentMethod,
    Field::Country,
    Field::Mcc,
    Field::Ip,
    Field::DeviceId,
    Field::RequestedAt,
    Field::ExecuteAt,
    Field::Priority,
];

/// The names of event types that a file may use.
const EVENT_TYPES: [EventType; 6] = [
    EventType::Payment,
    EventType::Refund,
    EventType::Chargeback,
    EventType::ChargebackReversal,
    EventType::Cancellation,
    EventType::Unknown,
];

impl Field {
    /// The name in records; card fields with their prefix.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::EventType => "event_type",
            Self::PaymentId => "payment_id",
            Self::OriginalPaymentId => "original_payment_id",
            Self::IdempotencyKey => "idempotency_key",
            Self::DebtorAccount => "debtor_account",
            Self::MerchantId => "merchant_id",
            Self::AmountMinor => "amount_minor",
            Self::Currency => "currency",
            Self::PaymentMethod => "payment_method",
            Self::CardToken => "card.token",
            Self::CardBin => "card.bin",
            Self::CardLast4 => "card.last4",
            Self::CardExpiry => "card.expiry",
            Self::Country => "country",
            Self::Mcc => "mcc",
            Self::Ip => "ip",
            Self::DeviceId => "device_id",
            Self::RequestedAt => "requested_at",
            Self::ExecuteAt => "execute_at",
            Self::Priority => "priority",
        }
    }

    /// The field with this name outside the card.
    pub(crate) fn find(name: &str) -> Option<Self> {
        TOP_FIELDS.into_iter().find(|field| field.name() == name)
    }

    /// The field of the card with this name, without its prefix.
    pub(crate) fn find_in_card(name: &str) -> Option<Self> {
        CARD_FIELDS.into_iter().find(|field| field.name().strip_prefix("card.") == Some(name))
    }

    /// True where a request cannot be encoded without it.
    pub(crate) fn is_required(self) -> bool {
        REQUIRED.contains(&self)
    }
}

/// Names at the top of a record.
pub(crate) fn top_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = TOP_FIELDS.into_iter().map(Field::name).collect();
    names.extend(["card", "metadata"]);
    names
}

/// Names inside a card, without prefix.
pub(crate) fn card_names() -> Vec<&'static str> {
    CARD_FIELDS.into_iter().filter_map(|field| field.name().strip_prefix("card.")).collect()
}

/// Why a value was not taken: which field, what stood there, what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Column, field or none where the whole row is meant.
    pub(crate) column: Option<String>,
    /// As found, not masked.
    pub(crate) value: Option<String>,
    /// What was expected, and what to do.
    pub(crate) expected: String,
}

impl Problem {
    /// About a value of a column or field.
    pub(crate) fn of(
        column: impl Into<String>,
        value: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { column: Some(column.into()), value: Some(value.into()), expected: expected.into() }
    }

    /// About a column or field without a value.
    pub(crate) fn missing(column: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { column: Some(column.into()), value: None, expected: expected.into() }
    }

    /// About the whole row.
    pub(crate) fn of_row(expected: impl Into<String>) -> Self {
        Self { column: None, value: None, expected: expected.into() }
    }
}

/// The event type with this name.
pub(crate) fn event_type(text: &str) -> Result<EventType, String> {
    let known = EVENT_TYPES.into_iter().find(|event_type| event_type.as_str() == text);
    known.ok_or_else(|| {
        let names = EVENT_TYPES.map(EventType::as_str);
        format!("an event type; {}", nearest::hint(text, &names[..5]))
    })
}

/// A request that is being filled.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    request: PaymentRequested,
    card: Card,
    has_card: bool,
    present: Vec<Field>,
}

impl Draft {
    /// Sets a field from text; the error says what was expected. Not for the amount and instants.
    pub(crate) fn set_text(&mut self, field: Field, text: &str) -> Result<(), String> {
        let request = &mut self.request;
        let card = &mut self.card;
        let owned = || Some(CompactString::from(text));
        match field {
            Field::EventType => request.event_type = event_type(text)?,
            Field::PaymentId => request.payment_id = PaymentId::new(text),
            Field::OriginalPaymentId => request.original_payment_id = Some(PaymentId::new(text)),
            Field::IdempotencyKey => request.idempotency_key = IdempotencyKey::new(text),
            Field::DebtorAccount => request.debtor_account = DebtorAccount::new(text),
            Field::MerchantId => request.merchant_id = MerchantId::new(text),
            Field::Currency => request.currency = CompactString::from(text),
            Field::PaymentMethod => request.payment_method = CompactString::from(text),
            Field::CardToken => card.token = CompactString::from(text),
            Field::CardBin => card.bin = owned(),
            Field::CardLast4 => card.last4 = owned(),
            Field::CardExpiry => card.expiry = owned(),
            Field::Country => request.country = owned(),
            Field::Mcc => request.mcc = owned(),
            Field::Ip => request.ip = owned(),
            Field::DeviceId => request.device_id = owned(),
            Field::Priority => {
                request.priority = text.trim().parse().map_err(|_| PRIORITY_EXPECTED.to_owned())?;
            }
            Field::AmountMinor | Field::RequestedAt | Field::ExecuteAt => {
                unreachable!("amounts and instants are set by their own methods")
            }
        }
        self.has_card |= CARD_FIELDS.contains(&field);
        self.present.push(field);
        Ok(())
    }

    /// Sets the amount in minor units.
    pub(crate) fn set_amount(&mut self, minor_units: i64) {
        self.request.amount_minor = minor_units;
        self.present.push(Field::AmountMinor);
    }

    /// Sets the priority; the error says what was expected.
    pub(crate) fn set_priority(&mut self, priority: i64) -> Result<(), String> {
        self.request.priority = i32::try_from(priority).map_err(|_| PRIORITY_EXPECTED.to_owned())?;
        self.present.push(Field::Priority);
        Ok(())
    }

    /// Sets `requested_at` or `execute_at`.
    pub(crate) fn set_instant(&mut self, field: Field, instant: Timestamp) {
        match field {
            Field::ExecuteAt => self.request.execute_at = Some(instant),
            _ => self.request.requested_at = instant,
        }
        self.present.push(field);
    }

    /// Says that there is a card, though none of its fields may be set.
    pub(crate) fn set_card_present(&mut self) {
        self.has_card = true;
    }

    /// Adds a pair of metadata; false if the name is there already.
    pub(crate) fn set_metadata(&mut self, name: &str, value: &str) -> bool {
        self.request.metadata.insert(CompactString::from(name), CompactString::from(value)).is_none()
    }

    /// True if the field has been set.
    pub(crate) fn has(&self, field: Field) -> bool {
        self.present.contains(&field)
    }

    /// The currency as sent; empty before it is set.
    pub(crate) fn currency(&self) -> &str {
        &self.request.currency
    }

    /// The request, or the first required field that is missing.
    pub(crate) fn finish(mut self) -> Result<PaymentRequested, Field> {
        for field in REQUIRED {
            if !self.has(field) {
                return Err(field);
            }
        }
        if self.has_card {
            if !self.has(Field::CardToken) {
                return Err(Field::CardToken);
            }
            self.request.card = Some(self.card);
        }
        Ok(self.request)
    }
}

/// What a priority must look like.
pub(crate) const PRIORITY_EXPECTED: &str = "an integer: 0 (normal) to 9";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_names_what_it_lacks() {
        let mut draft = Draft::default();
        let mut lacking = Vec::new();
        for field in REQUIRED {
            let mut next = Draft::default();
            std::mem::swap(&mut draft, &mut next);
            lacking.push(
                Draft { request: next.request.clone(), present: next.present.clone(), ..Draft::default() }
                    .finish(),
            );
            draft = next;
            match field {
                Field::AmountMinor => draft.set_amount(1),
                Field::RequestedAt => draft.set_instant(field, Timestamp::from_micros(1)),
                Field::EventType => draft.set_text(field, "PAYMENT").expect("a type"),
                _ => draft.set_text(field, "x").expect("text"),
            }
        }
        let expected: Vec<_> = REQUIRED.into_iter().map(Err).collect();
        assert_eq!(lacking, expected);
        draft.set_text(Field::CardBin, "411111").expect("text");
        assert_eq!(draft.finish(), Err(Field::CardToken));
    }

    #[test]
    fn names_lead_to_their_fields() {
        for field in TOP_FIELDS {
            assert_eq!(Field::find(field.name()), Some(field));
        }
        for name in card_names() {
            assert!(Field::find_in_card(name).is_some(), "{name}");
            assert!(Field::find(name).is_none(), "{name}");
        }
        assert_eq!(event_type("REFUN"), Err("an event type; did you mean \"REFUND\"?".to_owned()));
    }
}
