//! A schema registry (Confluent's interface, as Confluent, Apicurio and others speak it) in place of built-in ids.
//!
//! Owns the client and its thread: our schemas are registered and checked at the start ([`Registry::publish`]);
//! the schemas of other writers are fetched as records name them. A worker has its own [`Schemas`] and never
//! waits: an id that is not known yet is [`Lookup::Pending`], and a registry that is down stops only records
//! that name such an id. Must not know topics beyond the names of subjects, nor what a record means.
//!
//! Blocking, on plain threads; not to be called from within an asynchronous runtime.

mod api;
mod branches;
mod cost;
mod error;
mod http;
mod options;
mod registered;
mod resolution;
mod schemas;
mod shared;
mod subjects;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use error::Error as RegistryError;
pub use options::{BasicAuth, RegistryOptions, WeakerLevel};
pub use registered::RegisteredSchema;
pub use schemas::{PendingSchema, Schemas};
pub use shared::{Lookup, RegistryStatus};

use crate::{BuiltIn, WireIds};
use http::Http;
use shared::Shared;

/// A client of a schema registry. Clones are the same client; its thread ends after the last of them.
#[derive(Clone, Debug)]
pub struct Registry {
    alive: Arc<Alive>,
}

/// Ends the thread when the last handle goes. The thread itself holds what is shared, not this.
#[derive(Debug)]
struct Alive {
    shared: Arc<Shared>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Registry {
    /// Sets up the client. Whether the registry answers shows with the first request, not here.
    ///
    /// # Errors
    /// [`RegistryError::InvalidOptions`], also for certificates that cannot be read.
    pub fn connect(options: RegistryOptions) -> Result<Self, RegistryError> {
        let shared = Arc::new(Shared::new(Http::new(options)?));
        let fetcher = Arc::clone(&shared);
        std::thread::Builder::new().name("settle-registry".to_owned()).spawn(move || fetcher.run()).map_err(
            |error| RegistryError::InvalidOptions {
                what: format!("the schema registry's thread cannot be started: {error}"),
            },
        )?;
        Ok(Self { alive: Arc::new(Alive { shared }) })
    }

    /// Registers schemas under the subjects of their topics, each checked as by [`Self::register`], and gives
    /// the ids to write with.
    ///
    /// # Errors
    /// As [`Self::register`].
    pub fn publish(&self, schemas: &[BuiltIn]) -> Result<WireIds, RegistryError> {
        let mut ids = Vec::with_capacity(schemas.len());
        for schema in schemas {
            ids.push((*schema, self.register(&schema.subject(), *schema)?));
        }
        Ok(WireIds::of_registry(ids))
    }

    /// The id of our schema in a subject; registers it if it is not there. Doing it again gives the same id.
    ///
    /// A subject that does not exist is created with the level FULL_TRANSITIVE. For one that does, the level
    /// and every registered version are checked first.
    ///
    /// # Errors
    /// Every [`RegistryError`]. Waits for a registry that cannot be reached as long as the options say.
    pub fn register(&self, subject: &str, schema: BuiltIn) -> Result<u32, RegistryError> {
        subjects::register(self.shared(), subject, schema)
    }

    /// Checks the level of a subject, and our schema against all its versions. Changes nothing.
    ///
    /// # Errors
    /// [`RegistryError::WeakerLevel`], [`RegistryError::Incompatible`], and what any request can meet.
    pub fn check_compatibility(&self, subject: &str, schema: BuiltIn) -> Result<(), RegistryError> {
        subjects::check_compatibility(self.shared(), subject, schema)
    }

    /// The schema with an id; none if the registry says that there is none. Waits for the answer: for commands,
    /// not for workers.
    ///
    /// # Errors
    /// What any request can meet.
    pub fn fetch(&self, id: u32) -> Result<Option<Arc<RegisteredSchema>>, RegistryError> {
        self.shared().fetch(id)
    }

    /// What is known of an id, without waiting. Workers ask through their own [`Schemas`].
    pub fn lookup(&self, id: u32) -> Lookup {
        self.shared().lookup(id)
    }

    /// The schemas of one worker, which writes with these ids.
    pub fn schemas(&self, ids: WireIds) -> Schemas {
        Schemas::of_registry(ids, self.clone())
    }

    /// Schemas for reading only.
    pub fn reader(&self) -> Schemas {
        self.schemas(WireIds::of_registry([]))
    }

    /// How the client does.
    pub fn status(&self) -> RegistryStatus {
        self.shared().status()
    }

    fn shared(&self) -> &Shared {
        &self.alive.shared
    }
}
