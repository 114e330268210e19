//! What the audit asks of each stage beside what the worker asks of it.

use settle_codec::StageCodec;
use settle_engine::authorize::Authorize;
use settle_engine::authorize::state::idempotency_key;
use settle_engine::settle::state::{PAYMENT_RETENTION, booked_key};
use settle_engine::settle::{self, Settle};
use settle_types::authorize::{DecisionEvent, TransitionCause};
use settle_types::event::SourcePosition;
use settle_types::settle::{CloseCause, SettlementEvent};

use crate::expected::StageId;
use crate::finding::Place;
use crate::run::{Run, Use};
use crate::sorted::first_half;
use crate::{Error, batches};

/// A stage that can be audited.
pub(crate) trait Audited: StageCodec {
    /// Which one.
    const ID: StageId;

    /// Version of the decision logic that decided the event.
    fn logic_version(event: &Self::Event) -> i32;

    /// True if an operator caused it by finishing a run.
    fn is_of_finish(event: &Self::Event) -> bool;

    /// True if it stands behind another event of the same command: without an input, and no timer.
    fn is_further(event: &Self::Event) -> bool;

    /// The command as the event itself has kept it, and the input record's value; for inputs that are gone or damaged.
    fn kept_command(event: &Self::Event, position: &SourcePosition) -> Option<(Self::Command, Vec<u8>)>;

    /// Notes what is looked at once the whole journal was read.
    fn note(run: &mut Run<'_>, event: &Self::Event, place: &Place, is_checked: bool) -> Result<(), Error>;
}

impl Audited for Authorize {
    const ID: StageId = StageId::Authorize;

    fn logic_version(event: &DecisionEvent) -> i32 {
        event.logic_version
    }

    fn is_of_finish(_event: &DecisionEvent) -> bool {
        false
    }

    fn is_further(event: &DecisionEvent) -> bool {
        let transition = event.transition.as_ref().filter(|_| event.input.is_none());
        transition.is_some_and(|transition| transition.cause != TransitionCause::ExecutionDue)
    }

    /// The journal keeps what later decisions need of a request, which is less than rules look at.
    fn kept_command(_: &DecisionEvent, _: &SourcePosition) -> Option<(Self::Command, Vec<u8>)> {
        None
    }

    fn note(run: &mut Run<'_>, event: &DecisionEvent, place: &Place, is_checked: bool) -> Result<(), Error> {
        let Some(decision) = &event.decision else { return Ok(()) };
        let (Some(payment), Some(until)) = (&decision.payment, decision.key_expires_at) else {
            return Ok(());
        };
        let key = idempotency_key(&payment.merchant_id, &payment.debtor_account, &payment.idempotency_key);
        let used = Use {
            from: event.now.as_micros(),
            is_authorize: true,
            partition: place.partition,
            offset: place.offset,
            until: until.as_micros(),
            is_checked,
        };
        run.uses.add(first_half(&blake3::hash(key.as_bytes())), &used)
    }
}

impl Audited for Settle {
    const ID: StageId = StageId::Settle;

    fn logic_version(event: &SettlementEvent) -> i32 {
        event.logic_version
    }

    fn is_of_finish(event: &SettlementEvent) -> bool {
        event.batch_closed.as_ref().is_some_and(|closed| closed.cause == CloseCause::Finish)
    }

    fn is_further(_event: &SettlementEvent) -> bool {
        false
    }

    fn kept_command(event: &SettlementEvent, position: &SourcePosition) -> Option<(Self::Command, Vec<u8>)> {
        let approved = event.decision.as_ref()?.approved.as_ref()?;
        let mut value = Vec::new();
        crate::codec::encode(approved, &mut value);
        Some((settle::Command::approved(position.clone(), Ok(approved.clone())), value))
    }

    fn note(
        run: &mut Run<'_>,
        event: &SettlementEvent,
        place: &Place,
        is_checked: bool,
    ) -> Result<(), Error> {
        let is_late = run.late_journals.contains(&(StageId::Settle, place.partition));
        batches::note(&mut run.batches, event, place, is_checked, is_late)?;
        let Some(decision) = &event.decision else { return Ok(()) };
        let (Some(approved), Some(_)) = (&decision.approved, &decision.booking) else { return Ok(()) };
        let key = booked_key(&approved.merchant_id, &approved.payment_id);
        let used = Use {
            from: event.now.as_micros(),
            is_authorize: false,
            partition: place.partition,
            offset: place.offset,
            until: event.now.saturating_add(PAYMENT_RETENTION).as_micros(),
            is_checked,
        };
        run.uses.add(first_half(&blake3::hash(key.as_bytes())), &used)
    }
}
