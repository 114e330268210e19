//! Random values of every record: any text, any number, every symbol, lists and options of both kinds.

use std::collections::BTreeMap;

use compact_str::CompactString;
use proptest::prelude::*;
use proptest::test_runner::TestRng;
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
    PayoutId, Timestamp,
};

/// A record of type `T` from a stream of chance.
pub(crate) fn any_record<T: Random + std::fmt::Debug>() -> impl Strategy<Value = T> {
    Just(()).prop_perturb(|(), random| T::random(&mut Chance(random)))
}

pub(crate) struct Chance(TestRng);

impl Chance {
    fn below(&mut self, bound: u32) -> u32 {
        self.0.next_u32() % bound
    }

    fn of<T: Random>(&mut self) -> T {
        T::random(self)
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 9] = ["a", "Z9", "-", "\"", "\\", "\u{0}", "ř", "漢字", "merchant:m-1:payable"];
        let pieces = self.below(5);
        (0..pieces).map(|_| PIECES[self.below(9) as usize]).collect()
    }
}

pub(crate) trait Random {
    fn random(chance: &mut Chance) -> Self;
}

impl Random for i64 {
    /// Of every encoded length, not mostly of the longest.
    #[allow(clippy::cast_possible_wrap, reason = "every bit pattern is a valid value")]
    fn random(chance: &mut Chance) -> Self {
        let bits = chance.0.next_u64() as i64;
        bits >> chance.below(64)
    }
}

impl Random for i32 {
    #[allow(clippy::cast_possible_wrap, reason = "every bit pattern is a valid value")]
    fn random(chance: &mut Chance) -> Self {
        let bits = chance.0.next_u32() as i32;
        bits >> chance.below(32)
    }
}

impl Random for bool {
    fn random(chance: &mut Chance) -> Self {
        chance.below(2) == 1
    }
}

impl Random for String {
    fn random(chance: &mut Chance) -> Self {
        chance.text()
    }
}

impl Random for CompactString {
    fn random(chance: &mut Chance) -> Self {
        chance.text().into()
    }
}

impl<T: Random> Random for Option<T> {
    fn random(chance: &mut Chance) -> Self {
        chance.of::<bool>().then(|| chance.of())
    }
}

impl<T: Random> Random for Vec<T> {
    fn random(chance: &mut Chance) -> Self {
        (0..chance.below(4)).map(|_| chance.of()).collect()
    }
}

impl<T: Random> Random for BTreeMap<CompactString, T> {
    fn random(chance: &mut Chance) -> Self {
        (0..chance.below(4)).map(|_| (chance.of(), chance.of())).collect()
    }
}

impl Random for Currency {
    fn random(chance: &mut Chance) -> Self {
        let codes = ["CZK", "EUR", "JPY", "AAA", "ZZZ"];
        Currency::new(codes[chance.below(5) as usize]).expect("three capital letters")
    }
}

impl Random for Digest {
    fn random(chance: &mut Chance) -> Self {
        let mut bytes = [0; 32];
        chance.0.fill_bytes(&mut bytes);
        Digest::from_bytes(bytes)
    }
}

macro_rules! random_wrappers {
    ($($name:ident from $inner:ident by $new:path),+ $(,)?) => {
        $(impl Random for $name {
            fn random(chance: &mut Chance) -> Self {
                $new(chance.of::<$inner>())
            }
        })+
    };
}

random_wrappers!(
    Timestamp from i64 by Timestamp::from_micros,
    Day from i32 by Day::from_days,
    Minor from i64 by Minor::new,
    PaymentId from String by PaymentId::new,
    IdempotencyKey from String by IdempotencyKey::new,
    DebtorAccount from String by DebtorAccount::new,
    MerchantId from String by MerchantId::new,
    DecisionId from String by DecisionId::new,
    BatchId from String by BatchId::new,
    PayoutId from String by PayoutId::new,
);

macro_rules! random_enums {
    ($($name:ident: $($variant:ident)+;)+) => {
        $(impl Random for $name {
            fn random(chance: &mut Chance) -> Self {
                let variants = [$($name::$variant),+];
                variants[chance.0.next_u32() as usize % variants.len()]
            }
        })+
        /// The symbols of every enum, by its name in the schemas, as serde writes them.
        pub(crate) fn enum_symbols() -> BTreeMap<&'static str, Vec<String>> {
            let symbol = |value: serde_json::Value| value.as_str().expect("a symbol").to_owned();
            BTreeMap::from([$((
                stringify!($name),
                vec![$(symbol(serde_json::to_value($name::$variant).expect("a symbol"))),+],
            )),+])
        }
    };
}

random_enums! {
    EventType: Unknown Payment Refund Chargeback ChargebackReversal Cancellation;
    Outcome: Unknown Approved Declined Review Scheduled Cancelled Expired Refused Replayed Conflict Rerouted Invalid;
    TransitionCause: Unknown ExecutionDue Cancellation SettlementRefusal;
    EventKind: Unknown Decision Transition Tick Config;
    SettlementOutcome: Unknown Booked Refused Invalid;
    BatchStatus: Unknown Open Closed AwaitingSettlement Settled Failed Carried;
    CloseCause: Unknown CutOff Finish;
    Direction: Unknown Debit Credit;
}

macro_rules! random_records {
    ($($name:ident { $($field:ident)+ })+) => {
        $(impl Random for $name {
            fn random(chance: &mut Chance) -> Self {
                $name { $($field: chance.of()),+ }
            }
        })+
    };
}

random_records! {
    Card { token bin last4 expiry }
    PaymentRequested {
        event_type payment_id original_payment_id idempotency_key debtor_account merchant_id amount_minor currency
        payment_method card country mcc ip device_id requested_at execute_at priority metadata
    }
    SourcePosition { topic partition offset }
    ConfigActivation { hash content }
    Reason { code detail rule_id rule_version }
    Payment {
        event_type payment_id original_payment_id idempotency_key debtor_account merchant_id amount_minor currency
        payment_method requested_at execute_at
    }
    Fingerprint { version hash }
    FirstDecision { decision_id outcome }
    RiskAssessment { score features shadow }
    RiskAttributes { country mcc ip device_id card_bin }
    Decision { decision_id outcome payment fingerprint first reasons risk key_expires_at forwarded attributes }
    Transition { decision_id from to cause payment reasons risk forwarded }
    DecisionEvent { sequence kind now logic_version min_fold_version input decision transition config }
    PaymentApproved {
        event_type payment_id original_payment_id debtor_account merchant_id amount_minor currency payment_method
        requested_at decision_id decided_at
    }
    PaymentResult { approved outcome reasons refused_at }
    Booking { batch_id sales_day late_for fee_minor }
    SettlementDecision { outcome approved reasons booking }
    BatchOpened { batch_id merchant_id currency sales_day cut_off_at carried_in_minor }
    BatchTotals {
        sales_count sales_minor fees_minor refunds_count refunds_minor chargebacks_count chargebacks_minor
        reversals_count reversals_minor reserve_released_minor carried_in_minor
    }
    Payout { payout_id batch_id merchant_id amount_minor currency value_date created_at }
    BatchClosed {
        batch_id merchant_id currency sales_day cause status totals reserve_minor reserve_release_at
        carried_out_minor payout
    }
    ReserveReleased { from_batch_id into_batch_id merchant_id currency amount_minor due_at }
    Entry { account direction amount_minor currency }
    LedgerTransaction {
        transaction_id sequence encoding_version posting effective_at recorded_at batch_id decision_id entries
        prev_hash hash
    }
    SettlementEvent {
        sequence kind now logic_version min_fold_version input decision batch_opened batch_closed reserve_released
        ledger config
    }
}
