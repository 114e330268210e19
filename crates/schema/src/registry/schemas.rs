//! What a worker reads and writes records with: the schemas built in, or those of a registry.
//!
//! Owns the look-up of each record's schema: the worker's own ids by one comparison, others from a small table
//! that no other thread touches, and only new ones from what the process shares.

use std::sync::Arc;

use super::Registry;
use super::registered::RegisteredSchema;
use super::shared::Lookup;
use crate::wire::{read_own, schema_id};
use crate::{AvroRecord, DecodeError, WireIds, decode, encode_with, to_json_string, to_json_string_with};

/// Schemas in a worker's own table, at most; then it is filled anew from what the process shares.
const MAX_NEAR: usize = 256;

/// The registry has not said yet what a schema id is: no decision about the record can be made. Keep it, leave
/// the later records of its partition where they are, and try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("schema id {id} is not known yet: the registry is being asked")]
pub struct PendingSchema {
    /// The id that the value names.
    pub id: u32,
}

/// The schemas of one worker. Each has its own; a clone shares nothing that is written to for each record.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    /// Ids that are written with.
    ids: WireIds,
    remote: Option<Remote>,
}

#[derive(Clone, Debug)]
struct Remote {
    registry: Registry,
    /// By id, sorted.
    near: Vec<(u32, Arc<RegisteredSchema>)>,
}

impl Schemas {
    /// The schemas that are built in, under the ids that are built in. Nothing is ever pending.
    pub fn built_in() -> Self {
        Self::default()
    }

    pub(super) fn of_registry(ids: WireIds, registry: Registry) -> Self {
        Self { ids, remote: Some(Remote { registry, near: Vec::new() }) }
    }

    /// The ids that records are written with.
    pub fn ids(&self) -> &WireIds {
        &self.ids
    }

    /// Appends a record in the wire format.
    ///
    /// # Panics
    /// As [`encode_with`].
    pub fn encode<T: AvroRecord>(&self, record: &T, output: &mut Vec<u8>) {
        encode_with(&self.ids, record, output);
    }

    /// Reads a record. What is wrong with the value is in the inner result, and can be decided upon.
    ///
    /// # Errors
    /// [`PendingSchema`] if it cannot be said yet. Asks for the schema in the background; never waits.
    pub fn decode<T: AvroRecord>(&mut self, bytes: &[u8]) -> Result<Result<T, DecodeError>, PendingSchema> {
        if self.remote.is_none() {
            return Ok(decode(bytes));
        }
        let id = match schema_id(bytes) {
            Ok(id) => id,
            Err(error) => return Ok(Err(error)),
        };
        if self.ids.of(T::SCHEMA) == Some(id) {
            return Ok(read_own(bytes));
        }
        match self.find(id) {
            Found::Known(schema) => Ok(schema.decode(bytes)),
            Found::Unknown => Ok(Err(DecodeError::UnknownSchema { id })),
            Found::Pending => Err(PendingSchema { id }),
        }
    }

    /// Whether [`Self::decode`] can say what the value is. Asks for its schema if not, so that the schemas of a
    /// batch are fetched together when this is called for each of its values before the first is decoded.
    pub fn is_ready(&mut self, bytes: &[u8]) -> bool {
        match schema_id(bytes) {
            Ok(id) => !matches!(self.find(id), Found::Pending),
            Err(_) => true,
        }
    }

    /// A value as one line of JSON, as [`to_json_string`].
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn to_json_string(&mut self, bytes: &[u8]) -> Result<Result<String, DecodeError>, PendingSchema> {
        if self.remote.is_none() {
            return Ok(to_json_string(bytes));
        }
        let id = match schema_id(bytes) {
            Ok(id) => id,
            Err(error) => return Ok(Err(error)),
        };
        match self.find(id) {
            Found::Known(schema) => Ok(match schema.defect() {
                Some(what) => Err(DecodeError::UnusableSchema { id, what: what.to_owned() }),
                None => to_json_string_with(&**schema, bytes),
            }),
            Found::Unknown => Ok(Err(DecodeError::UnknownSchema { id })),
            Found::Pending => Err(PendingSchema { id }),
        }
    }

    /// What is known of a schema id of the registry. Without a registry every id is unknown here: the ids that
    /// are built in belong to no [`RegisteredSchema`].
    pub fn resolve(&mut self, id: u32) -> Lookup {
        match self.find(id) {
            Found::Known(schema) => Lookup::Known(Arc::clone(schema)),
            Found::Pending => Lookup::Pending,
            Found::Unknown => Lookup::Unknown,
        }
    }

    fn find(&mut self, id: u32) -> Found<'_> {
        let Some(Remote { registry, near }) = &mut self.remote else { return Found::Unknown };
        let place = match near.binary_search_by_key(&id, |(known, _)| *known) {
            Ok(index) => return Found::Known(&near[index].1),
            Err(place) => place,
        };
        let schema = match registry.lookup(id) {
            Lookup::Known(schema) => schema,
            Lookup::Pending => return Found::Pending,
            Lookup::Unknown => return Found::Unknown,
        };
        let place = if near.len() < MAX_NEAR {
            place
        } else {
            near.clear();
            0
        };
        near.insert(place, (id, schema));
        Found::Known(&near[place].1)
    }
}

/// As [`Lookup`], without counting the uses of what is known.
enum Found<'a> {
    Known(&'a Arc<RegisteredSchema>),
    Pending,
    Unknown,
}
