//! The schemas that a command reads and writes records with: those of the configured registry, or those built in.

use settle_config::Config;
use settle_config::registry::WeakerLevelSetting;
use settle_log::Record;
use settle_schema::{
    AvroRecord, BasicAuth, BuiltIn, DecodeError, PendingSchema, Registry, RegistryOptions, Schemas,
    WeakerLevel,
};

use crate::failure::usage;
use crate::settings;

/// The registry that is configured; none if none is.
pub(crate) fn registry(config: &Config) -> anyhow::Result<Option<Registry>> {
    let registry = &config.registry;
    let Some(url) = &registry.url else { return Ok(None) };
    let password = settings::secret(registry.password.as_ref(), registry.password_file.as_deref())?;
    let basic_auth = match (registry.username.clone(), password) {
        (Some(user), Some(secret)) => Some(BasicAuth { user, secret }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(usage(
                "registry.username is set, but no password",
                "set registry.password or registry.password_file",
            ));
        }
        (None, Some(_)) => {
            return Err(usage(
                "registry.password is set, but not registry.username",
                "set registry.username",
            ));
        }
    };
    let options = RegistryOptions {
        urls: url.split(',').map(|url| url.trim().to_owned()).collect(),
        basic_auth,
        ca_file: registry.ca_file.clone(),
        auto_register: registry.auto_register,
        weaker_level: match registry.weaker_level {
            WeakerLevelSetting::Fail => WeakerLevel::Fail,
            WeakerLevelSetting::Warn => WeakerLevel::Warn,
        },
        request_timeout_ms: registry.request_timeout_ms,
        ..RegistryOptions::default()
    };
    Ok(Some(Registry::connect(options)?))
}

/// Schemas to write with. A registry is told of them first, and refuses them here if it has others.
pub(crate) fn to_write(registry: Option<&Registry>, written: &[BuiltIn]) -> anyhow::Result<Schemas> {
    match registry {
        Some(registry) => Ok(registry.schemas(registry.publish(written)?)),
        None => Ok(Schemas::built_in()),
    }
}

/// Schemas to compare what was written with what should have been: the ids that a registry gave. Changes nothing there.
pub(crate) fn to_compare(config: &Config) -> anyhow::Result<Schemas> {
    let mut config = config.clone();
    config.registry.auto_register = false;
    to_write(registry(&config)?.as_ref(), &BuiltIn::ALL)
}

/// Reads records for a command, which may wait for the registry.
pub(crate) struct RecordReader {
    registry: Option<Registry>,
    schemas: Schemas,
}

impl RecordReader {
    /// With the registry that is configured, or the schemas built in.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Self> {
        let registry = registry(config)?;
        let schemas = registry.as_ref().map_or_else(Schemas::built_in, Registry::reader);
        Ok(Self { registry, schemas })
    }

    /// The record's value; an error says where it stands and what is wrong with it.
    pub(crate) fn value<T: AvroRecord>(&mut self, record: &Record) -> anyhow::Result<T> {
        let bytes = record.value.as_deref().unwrap_or_default();
        let decoded = self.wait_for(|schemas| schemas.decode(bytes))?;
        decoded.map_err(|error| {
            anyhow::anyhow!("{}/{}@{}: {error}", record.topic, record.partition, record.offset)
        })
    }

    /// A value as one line of JSON, or what is wrong with it.
    pub(crate) fn json(&mut self, bytes: &[u8]) -> anyhow::Result<Result<String, DecodeError>> {
        self.wait_for(|schemas| schemas.to_json_string(bytes))
    }

    fn wait_for<T>(
        &mut self,
        mut ask: impl FnMut(&mut Schemas) -> Result<T, PendingSchema>,
    ) -> anyhow::Result<T> {
        loop {
            match (ask(&mut self.schemas), &self.registry) {
                (Ok(answer), _) => return Ok(answer),
                // Whatever the answer is, it is known afterwards.
                (Err(PendingSchema { id }), Some(registry)) => drop(registry.fetch(id)?),
                (Err(pending), None) => return Err(pending.into()),
            }
        }
    }
}
