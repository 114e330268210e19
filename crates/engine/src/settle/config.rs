//! Configuration of SETTLE: what is journaled, and its prepared form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use settle_settlement::{Calendars, CompiledContract, CompiledContracts, Contracts};
use settle_types::event::ConfigActivation;
use settle_types::{Currency, MerchantId};

use crate::clock::ClockConfig;
use crate::stage::{ActiveConfig, ConfigError};

/// Everything that decisions of SETTLE depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettleSettings {
    /// The clock.
    pub clock: ClockConfig,
    /// Decimals of currencies that ISO 4217 lacks or that are to differ from it.
    pub currency_exponents: BTreeMap<Currency, u8>,
    /// Contracts by merchant; `default` is for all others.
    pub contracts: Contracts,
    /// Calendars of business days by name.
    pub calendars: Calendars,
}

/// The configuration of SETTLE, prepared.
#[derive(Debug)]
pub struct SettleConfig {
    clock: ClockConfig,
    contracts: CompiledContracts,
    /// For money of a merchant whose contract was removed: no fee, no reserve, the calendar of UTC.
    plain: CompiledContract,
}

impl SettleConfig {
    /// Prepares settings; fails with every problem that they have.
    pub fn new(settings: SettleSettings) -> Result<Self, ConfigError> {
        let compiled = settings.contracts.compile(&settings.calendars);
        let contracts = compiled
            .map_err(|problems| ConfigError::Invalid(problems.iter().map(ToString::to_string).collect()))?;
        Ok(Self { clock: settings.clock, contracts, plain: CompiledContract::default() })
    }

    /// The clock.
    pub fn clock(&self) -> &ClockConfig {
        &self.clock
    }

    /// The contract of a merchant, or the default.
    pub fn contract(&self, merchant: &MerchantId) -> Option<&CompiledContract> {
        self.contracts.find(merchant)
    }

    /// As [`Self::contract`]; where it was removed, terms without fees, so that what waits can still be moved.
    pub fn contract_or_plain(&self, merchant: &MerchantId) -> &CompiledContract {
        self.contract(merchant).unwrap_or(&self.plain)
    }
}

impl ActiveConfig for SettleConfig {
    fn from_activation(activation: &ConfigActivation) -> Result<Self, ConfigError> {
        Self::new(serde_json::from_str(&activation.content)?)
    }
}
