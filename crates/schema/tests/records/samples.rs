//! One realistic value of each record, with every optional part present. Changing one changes golden bytes.

use std::collections::BTreeMap;

use compact_str::CompactString;
use settle_types::authorize::{
    Decision, DecisionEvent, Fingerprint, FirstDecision, Outcome, Payment, PaymentApproved, PaymentResult,
    Reason, RiskAssessment, RiskAttributes, Transition, TransitionCause,
};
use settle_types::event::{ConfigActivation, EventKind, SourcePosition};
use settle_types::request::{Card, EventType, PaymentRequested};
use settle_types::settle::{
    BatchClosed, BatchOpened, BatchStatus, BatchTotals, Booking, CloseCause, Direction, Entry,
    LedgerTransaction, Payout, ReserveReleased, SettlementDecision, SettlementEvent, SettlementOutcome,
};
use settle_types::{
    BatchId, Currency, Day, DebtorAccount, DecisionId, Digest, IdempotencyKey, MerchantId, Minor, PaymentId,
    PayoutId, Timestamp, reason, topic,
};

/// 2026-03-02T09:15:00.123456Z
const NOW: Timestamp = Timestamp::from_micros(1_772_442_900_123_456);
const SALES_DAY: Day = Day::from_days(20_514);

fn currency() -> Currency {
    Currency::new("CZK").expect("three capital letters")
}

fn batch_id() -> BatchId {
    BatchId::new("m-1042:CZK:2026-03-02")
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn some_text(text: &str) -> Option<CompactString> {
    Some(CompactString::from(text))
}

pub(crate) fn payment_requested() -> PaymentRequested {
    PaymentRequested {
        event_type: EventType::Payment,
        payment_id: PaymentId::new("pay-7f3a90c2"),
        original_payment_id: None,
        idempotency_key: IdempotencyKey::new("b2c1f0d4-5a0e-4b7e-9d53-0d3f5a6e1c11"),
        debtor_account: DebtorAccount::new("CZ6508000000192000145399"),
        merchant_id: MerchantId::new("m-1042"),
        amount_minor: 129_900,
        currency: "CZK".into(),
        payment_method: "CARD".into(),
        card: Some(Card {
            token: "tok_1MqXc82eZvKYlo2C".into(),
            bin: some_text("411111"),
            last4: some_text("1111"),
            expiry: some_text("11/28"),
        }),
        country: some_text("CZ"),
        mcc: some_text("5411"),
        ip: some_text("203.0.113.7"),
        device_id: some_text("dev-55f0"),
        requested_at: NOW,
        execute_at: None,
        priority: 0,
        metadata: BTreeMap::from([("channel".into(), "web".into()), ("order".into(), "2026-000123".into())]),
    }
}

fn reason_of_rule() -> Reason {
    Reason {
        code: reason::RULE_DECLINED.into(),
        detail: "amount 129900 is above 100000".to_owned(),
        rule_id: some_text("large-card-payment"),
        rule_version: Some(3),
    }
}

fn payment() -> Payment {
    Payment {
        event_type: EventType::Payment,
        payment_id: PaymentId::new("pay-7f3a90c2"),
        original_payment_id: Some(PaymentId::new("pay-0")),
        idempotency_key: IdempotencyKey::new("b2c1f0d4-5a0e-4b7e-9d53-0d3f5a6e1c11"),
        debtor_account: DebtorAccount::new("CZ6508000000192000145399"),
        merchant_id: MerchantId::new("m-1042"),
        amount_minor: Minor::new(129_900),
        currency: currency(),
        payment_method: "CARD".into(),
        requested_at: NOW,
        execute_at: Some(NOW),
    }
}

fn decision() -> Decision {
    Decision {
        decision_id: DecisionId::new("payments.requested-3-1042"),
        outcome: Outcome::Approved,
        payment: Some(payment()),
        fingerprint: Some(Fingerprint { version: 1, hash: digest(0xA5) }),
        first: Some(FirstDecision {
            decision_id: DecisionId::new("payments.requested-3-17"),
            outcome: Outcome::Declined,
        }),
        reasons: vec![reason_of_rule()],
        risk: Some(RiskAssessment {
            score: 35,
            features: BTreeMap::from([
                ("amount_minor".into(), 129_900),
                ("debtor_count_1d".into(), 4),
                ("debtor_sum_1d".into(), 410_500),
                ("merchant_age_days".into(), 811),
            ]),
            shadow: vec![Reason::new(reason::LIMIT_DAILY_SUM, "410500 is above 400000")],
        }),
        key_expires_at: Some(NOW),
        forwarded: true,
        attributes: Some(RiskAttributes {
            country: Some("CZ".into()),
            mcc: Some("5411".into()),
            ip: Some("192.0.2.7".into()),
            device_id: Some("device-1".into()),
            card_bin: Some("411111".into()),
        }),
    }
}

/// Kind, transition and config together are no valid event, but show every field.
pub(crate) fn decision_event() -> DecisionEvent {
    DecisionEvent {
        sequence: 90_210,
        kind: EventKind::Decision,
        now: NOW,
        logic_version: 1,
        min_fold_version: 1,
        input: Some(SourcePosition { topic: topic::REQUESTED.into(), partition: 3, offset: 1_042 }),
        decision: Some(decision()),
        transition: Some(Transition {
            decision_id: DecisionId::new("payments.requested-3-1042"),
            from: Outcome::Approved,
            to: Outcome::Refused,
            cause: TransitionCause::SettlementRefusal,
            payment: payment(),
            reasons: vec![Reason::new(reason::NO_CONTRACT, "merchant m-1042 has no contract")],
            risk: Some(RiskAssessment::default()),
            forwarded: false,
        }),
        config: Some(ConfigActivation { hash: "c0".repeat(32).into(), content: "[]".to_owned() }),
    }
}

/// What is journaled for most requests: an approval, with the values that the rules saw.
pub(crate) fn typical_decision_event() -> DecisionEvent {
    let mut event = decision_event();
    event.transition = None;
    event.config = None;
    if let Some(decision) = &mut event.decision {
        decision.first = None;
        decision.reasons.clear();
    }
    event
}

pub(crate) fn payment_approved() -> PaymentApproved {
    PaymentApproved {
        event_type: EventType::Refund,
        payment_id: PaymentId::new("ref-7f3a90c2"),
        original_payment_id: Some(PaymentId::new("pay-7f3a90c2")),
        debtor_account: DebtorAccount::new("CZ6508000000192000145399"),
        merchant_id: MerchantId::new("m-1042"),
        amount_minor: Minor::new(129_900),
        currency: currency(),
        payment_method: "CARD".into(),
        requested_at: NOW,
        decision_id: DecisionId::new("payments.requested-3-1042"),
        decided_at: NOW,
    }
}

pub(crate) fn payment_result() -> PaymentResult {
    PaymentResult {
        approved: payment_approved(),
        outcome: Outcome::Refused,
        reasons: vec![Reason::new(reason::NET_DEBIT_CAP, "debt 900 would be above 500")],
        refused_at: NOW,
    }
}

pub(crate) fn ledger_transaction() -> LedgerTransaction {
    let entry = |account: &str, direction, amount| Entry {
        account: account.into(),
        direction,
        amount_minor: Minor::new(amount),
        currency: currency(),
    };
    LedgerTransaction {
        transaction_id: "3-17".into(),
        sequence: 17,
        encoding_version: 1,
        posting: "SALE".into(),
        effective_at: NOW,
        recorded_at: NOW,
        batch_id: batch_id(),
        decision_id: Some(DecisionId::new("payments.requested-3-1042")),
        entries: vec![
            entry("scheme:CARD:receivable", Direction::Debit, 129_900),
            entry("merchant:m-1042:payable", Direction::Credit, 127_300),
            entry("revenue:fees", Direction::Credit, 2_600),
        ],
        prev_hash: digest(0x11),
        hash: digest(0x22),
    }
}

pub(crate) fn payout() -> Payout {
    Payout {
        payout_id: PayoutId::new("payout:m-1042:CZK:2026-03-02"),
        batch_id: batch_id(),
        merchant_id: MerchantId::new("m-1042"),
        amount_minor: Minor::new(114_570),
        currency: currency(),
        value_date: SALES_DAY.next(),
        created_at: NOW,
    }
}

fn batch_closed() -> BatchClosed {
    BatchClosed {
        batch_id: batch_id(),
        merchant_id: MerchantId::new("m-1042"),
        currency: currency(),
        sales_day: SALES_DAY,
        cause: CloseCause::CutOff,
        status: BatchStatus::AwaitingSettlement,
        totals: BatchTotals {
            sales_count: 1,
            sales_minor: Minor::new(129_900),
            fees_minor: Minor::new(2_600),
            refunds_count: 2,
            refunds_minor: Minor::new(3),
            chargebacks_count: 4,
            chargebacks_minor: Minor::new(5),
            reversals_count: 6,
            reversals_minor: Minor::new(7),
            reserve_released_minor: Minor::new(8),
            carried_in_minor: Minor::new(-9),
        },
        reserve_minor: Minor::new(12_730),
        reserve_release_at: Some(NOW),
        carried_out_minor: Minor::ZERO,
        payout: Some(payout()),
    }
}

/// Decision and closed batch together are no valid event, but show every field.
pub(crate) fn settlement_event() -> SettlementEvent {
    SettlementEvent {
        sequence: 17,
        kind: EventKind::Tick,
        now: NOW,
        logic_version: 1,
        min_fold_version: 1,
        input: Some(SourcePosition { topic: topic::APPROVED.into(), partition: 3, offset: 5 }),
        decision: Some(SettlementDecision {
            outcome: SettlementOutcome::Booked,
            approved: Some(payment_approved()),
            reasons: vec![reason_of_rule()],
            booking: Some(Booking {
                batch_id: batch_id(),
                sales_day: SALES_DAY,
                late_for: Some(BatchId::new("m-1042:CZK:2026-03-01")),
                fee_minor: Minor::new(-2_600),
            }),
        }),
        batch_opened: Some(BatchOpened {
            batch_id: batch_id(),
            merchant_id: MerchantId::new("m-1042"),
            currency: currency(),
            sales_day: SALES_DAY,
            cut_off_at: NOW,
            carried_in_minor: Minor::new(-9),
        }),
        batch_closed: Some(batch_closed()),
        reserve_released: Some(ReserveReleased {
            from_batch_id: BatchId::new("m-1042:CZK:2025-12-02"),
            into_batch_id: batch_id(),
            merchant_id: MerchantId::new("m-1042"),
            currency: currency(),
            amount_minor: Minor::new(8),
            due_at: NOW,
        }),
        ledger: Some(ledger_transaction()),
        config: Some(ConfigActivation { hash: "c0".repeat(32).into(), content: "[]".to_owned() }),
    }
}
