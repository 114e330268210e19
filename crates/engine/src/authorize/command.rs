//! What can be asked of AUTHORIZE.

use settle_risk::Subject;
use settle_types::authorize::{Fingerprint, Payment, PaymentResult, RiskAttributes};
use settle_types::event::{ConfigActivation, SourcePosition};
use settle_types::request::PaymentRequested;

use super::config::AuthorizeConfig;
use super::fingerprint::fingerprint;
use super::state::ScheduledRow;
use super::validate;
use crate::input::Malformed;

/// One thing to decide.
#[derive(Debug)]
pub enum Command {
    /// A record of `payments.requested`.
    Request(Box<Request>),
    /// A record of `payments.results`.
    Result(Box<ResultRecord>),
    /// A scheduled payment whose time has come.
    Due(Box<ScheduledRow>),
    /// A configuration to activate.
    Activate(ConfigActivation),
}

/// A record of `payments.requested`, judged as far as that needs no state.
#[derive(Debug)]
pub struct Request {
    /// Where it was read.
    pub position: SourcePosition,
    /// The request, or what is wrong with it.
    pub judged: Result<Valid, Malformed>,
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
    /// Judges a record of `payments.requested` as far as that needs no state. `right_partition` is the one that
    /// the debtor account belongs to.
    pub fn request(
        position: SourcePosition,
        decoded: Result<PaymentRequested, Malformed>,
        right_partition: impl FnOnce(&PaymentRequested) -> i32,
        config: &AuthorizeConfig,
    ) -> Self {
        let judged = decoded.and_then(|requested| {
            validate::partition(position.partition, right_partition(&requested))?;
            let payment = validate::payment(&requested, config)?;
            let card_token = requested.card.as_ref().map(|card| card.token.as_str());
            let fingerprint = fingerprint(&payment, card_token);
            Ok(Valid { payment, fingerprint, attributes: attributes(requested) })
        });
        Self::Request(Box::new(Request { position, judged }))
    }

    /// A record of `payments.results`.
    pub fn result(position: SourcePosition, decoded: Result<PaymentResult, Malformed>) -> Self {
        Self::Result(Box::new(ResultRecord { position, decoded }))
    }
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
