//! What can be asked of AUTHORIZE.

use std::borrow::Cow;

use settle_risk::Subject;
use settle_types::authorize::{Fingerprint, Payment, PaymentResult, RiskAttributes};
use settle_types::event::{ConfigActivation, SourcePosition};
use settle_types::request::PaymentRequested;
use settle_types::{Day, topic};

use super::config::AuthorizeConfig;
use super::fingerprint::fingerprint;
use super::state::{self, ScheduledRow};
use super::validate;
use crate::input::Malformed;
use crate::state_key::StateKey;

/// One thing to decide.
#[derive(Debug)]
pub enum Command {
    /// A record of `payments.requested` or `payments.rerouted`.
    Request(Box<Request>),
    /// A record of `payments.results`.
    Result(Box<ResultRecord>),
    /// A scheduled payment whose time has come.
    Due(Box<ScheduledRow>),
    /// A configuration to activate.
    Activate(ConfigActivation),
}

/// A record of `payments.requested` or `payments.rerouted`, judged as far as that needs no state.
#[derive(Debug)]
pub struct Request {
    /// Where it was read.
    pub position: SourcePosition,
    /// The request, or what is wrong with it.
    pub judged: Judged,
}

/// What a request is found to be by itself.
#[derive(Debug)]
pub enum Judged {
    /// It can be decided here.
    Valid(Valid),
    /// It could be decided, but in the partition of its debtor account: it is sent there. With why it is not here.
    Misplaced(Valid, Malformed),
    /// It can be decided nowhere.
    Malformed(Malformed),
}

impl Judged {
    /// What can be decided here.
    pub fn valid(&self) -> Option<&Valid> {
        match self {
            Self::Valid(valid) => Some(valid),
            Self::Misplaced(..) | Self::Malformed(_) => None,
        }
    }
}

/// A request that can be decided.
#[derive(Debug)]
pub struct Valid {
    /// What later decisions need of it.
    pub payment: Payment,
    /// Identity of its content.
    pub fingerprint: Fingerprint,
    /// What only rules look at.
    pub attributes: RiskAttributes,
    /// Key of the row of its idempotency key, which is asked for again and again.
    pub(super) idempotency_row: StateKey,
    /// Key of its own row.
    pub(super) own_row: StateKey,
    /// Key of the debtor's day on which it was requested: nearly always that on which it is decided.
    requested_day: (Day, StateKey),
}

impl Valid {
    /// Key of the debtor's day.
    pub(super) fn day_row(&self, day: Day) -> Cow<'_, StateKey> {
        match &self.requested_day {
            (requested, key) if *requested == day => Cow::Borrowed(key),
            _ => Cow::Owned(state::day_key(&self.payment, day)),
        }
    }
}

/// A record of `payments.results`.
#[derive(Debug)]
pub struct ResultRecord {
    /// Where it was read.
    pub position: SourcePosition,
    /// The result, or what is wrong with the bytes.
    pub decoded: Result<PaymentResult, Malformed>,
}

impl Command {
    /// Judges a record of `payments.requested` or `payments.rerouted` as far as that needs no state.
    /// `right_partition` is the one that the debtor account belongs to.
    pub fn request(
        position: SourcePosition,
        decoded: Result<PaymentRequested, Malformed>,
        right_partition: impl FnOnce(&PaymentRequested) -> i32,
        config: &AuthorizeConfig,
    ) -> Self {
        let judged = decoded.and_then(|requested| {
            let right_partition = right_partition(&requested);
            judge(&position, requested, right_partition, config)
        });
        let judged = judged.unwrap_or_else(Judged::Malformed);
        Self::Request(Box::new(Request { position, judged }))
    }

    /// A record of `payments.results`.
    pub fn result(position: SourcePosition, decoded: Result<PaymentResult, Malformed>) -> Self {
        Self::Result(Box::new(ResultRecord { position, decoded }))
    }
}

/// What is malformed is not sent on: its right partition would say no more about it.
fn judge(
    position: &SourcePosition,
    requested: PaymentRequested,
    right_partition: i32,
    config: &AuthorizeConfig,
) -> Result<Judged, Malformed> {
    // What was sent on once stands where it belongs, unless somebody else wrote it: it must not go round in circles.
    let may_be_sent_on = config.reroutes_wrong_partition() && position.topic != topic::REROUTED;
    let misplaced = match validate::partition(position.partition, right_partition) {
        Err(misplaced) if !may_be_sent_on => return Err(misplaced),
        checked => checked.err(),
    };
    let payment = validate::payment(&requested, config)?;
    let card_token = requested.card.as_ref().map(|card| card.token.as_str());
    let fingerprint = fingerprint(&payment, card_token);
    let requested_on = payment.requested_at.day();
    let valid = Valid {
        idempotency_row: state::idempotency_key(
            &payment.merchant_id,
            &payment.debtor_account,
            &payment.idempotency_key,
        ),
        own_row: state::own_key(&payment),
        requested_day: (requested_on, state::day_key(&payment, requested_on)),
        payment,
        fingerprint,
        attributes: attributes(requested),
    };
    Ok(match misplaced {
        Some(misplaced) => Judged::Misplaced(valid, misplaced),
        None => Judged::Valid(valid),
    })
}

fn attributes(requested: PaymentRequested) -> RiskAttributes {
    RiskAttributes {
        country: requested.country,
        mcc: requested.mcc,
        ip: requested.ip,
        device_id: requested.device_id,
        card_bin: requested.card.and_then(|card| card.bin),
    }
}

/// What the rules see of a payment with these attributes.
pub fn subject<'a>(payment: &'a Payment, attributes: &'a RiskAttributes) -> Subject<'a> {
    Subject {
        amount: payment.amount_minor,
        currency: payment.currency,
        payment_method: &payment.payment_method,
        debtor_account: payment.debtor_account.as_str(),
        merchant_id: payment.merchant_id.as_str(),
        country: attributes.country.as_deref(),
        mcc: attributes.mcc.as_deref(),
        ip: attributes.ip.as_deref(),
        device_id: attributes.device_id.as_deref(),
        card_bin: attributes.card_bin.as_deref(),
    }
}
