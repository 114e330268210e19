//! What is checked and set at a registry before the first record: a subject for each schema.
//!
//! Owns the rules of the start: the subject's level is FULL_TRANSITIVE, our schema fits every registered version
//! by the registry's judgement and by our own stricter one, and it has an id.

use super::api::{self, FULL_TRANSITIVE, Version};
use super::error::Error;
use super::options::WeakerLevel;
use super::registered::RegisteredSchema;
use super::shared::{Shared, compile};
use crate::{BuiltIn, check_full_compatibility};

/// HTTP status of a change that does not fit what is there.
const CONFLICT: u16 = 409;

/// Words of the registry on an incompatible version that are worth passing on.
const MAX_MESSAGE_CHARS: usize = 600;

/// Checks a subject and returns the id that our schema has there.
///
/// Processes that start together find the same empty registry. Who comes second may be told of a conflict, and
/// then finds what the first has made.
pub(super) fn register(shared: &Shared, subject: &str, schema: BuiltIn) -> Result<u32, Error> {
    let options = shared.http.options();
    let mut round = 1;
    loop {
        match try_to_register(shared, subject, schema) {
            Err(Error::Refused { status: CONFLICT, detail, .. }) => {
                if round == options.attempts {
                    let version = "the registered versions".to_owned();
                    return Err(Error::Incompatible { subject: subject.to_owned(), version, what: detail });
                }
                std::thread::sleep(options.backoff(round));
                round += 1;
            }
            result => return result,
        }
    }
}

fn try_to_register(shared: &Shared, subject: &str, schema: BuiltIn) -> Result<u32, Error> {
    let numbers = api::versions(&shared.http, subject)?;
    let id = if numbers.is_empty() {
        create(shared, subject, schema)?
    } else {
        check_level(shared, subject)?;
        let versions = check_versions(shared, subject, schema, &numbers)?;
        id_among(shared, subject, schema, &versions)?
    };
    shared.pin(RegisteredSchema::new(id, schema.text()));
    tracing::info!(subject, id, versions = numbers.len(), "the schema registry knows our schema");
    Ok(id)
}

/// Checks a subject that exists against our schema; one that does not is compatible with everything.
pub(super) fn check_compatibility(shared: &Shared, subject: &str, schema: BuiltIn) -> Result<(), Error> {
    let numbers = api::versions(&shared.http, subject)?;
    if numbers.is_empty() {
        return Ok(());
    }
    check_level(shared, subject)?;
    check_versions(shared, subject, schema, &numbers).map(|_| ())
}

/// A new subject, which is ours to set up.
fn create(shared: &Shared, subject: &str, schema: BuiltIn) -> Result<u32, Error> {
    if !shared.http.options().auto_register {
        return Err(not_registered(subject, schema));
    }
    // Before the first version where that can be done, so that no other can slip in under a weaker level.
    let is_set = api::set_level(&shared.http, subject)?;
    let id = api::register(&shared.http, subject, schema.text())?;
    if !is_set && !api::set_level(&shared.http, subject)? {
        let level = api::level(&shared.http, subject)?;
        return Err(Error::WeakerLevel { subject: subject.to_owned(), level });
    }
    Ok(id)
}

fn check_level(shared: &Shared, subject: &str) -> Result<(), Error> {
    let level = api::level(&shared.http, subject)?;
    if level == FULL_TRANSITIVE {
        return Ok(());
    }
    let error = Error::WeakerLevel { subject: subject.to_owned(), level };
    match shared.http.options().weaker_level {
        WeakerLevel::Fail => Err(error),
        WeakerLevel::Warn => {
            tracing::warn!(code = error.code(), %error, hint = error.hint(), "a subject is not protected");
            Ok(())
        }
    }
}

/// All versions, each checked both ways, and kept: these are the schemas that records will name.
fn check_versions(
    shared: &Shared,
    subject: &str,
    schema: BuiltIn,
    numbers: &[u32],
) -> Result<Vec<Version>, Error> {
    let mut versions = Vec::with_capacity(numbers.len());
    for number in numbers {
        // One that was deleted meanwhile is no longer to be compatible with.
        let Some(version) = api::version(&shared.http, subject, *number)? else { continue };
        let incompatible = |what: String| Error::Incompatible {
            subject: subject.to_owned(),
            version: format!("version {number}"),
            what,
        };
        if let Some(defect) = version.schema.defect() {
            return Err(incompatible(defect));
        }
        check_full_compatibility(&version.schema.schema, schema.text())
            .map_err(|error| incompatible(error.to_string()))?;
        let theirs = api::check(&shared.http, subject, *number, schema.text())?;
        if let Some(theirs) = theirs.filter(|theirs| !theirs.is_compatible) {
            let words: String = theirs.words().chars().take(MAX_MESSAGE_CHARS).collect();
            return Err(incompatible(format!("the registry says: {words}")));
        }
        let _ = shared.keep(compile(version.id, &version.schema));
        versions.push(version);
    }
    Ok(versions)
}

/// The id of our text; where it is not there and may not be registered, that of a version with other words only.
fn id_among(shared: &Shared, subject: &str, schema: BuiltIn, versions: &[Version]) -> Result<u32, Error> {
    if let Some(id) = api::lookup(&shared.http, subject, schema.text())? {
        return Ok(id);
    }
    if shared.http.options().auto_register {
        return api::register(&shared.http, subject, schema.text());
    }
    // Compatible, so that types and logical types are ours; and the same fields and symbols in the same order.
    let has_our_bytes = |version: &&Version| compile(version.id, &version.schema).is_same_as(schema);
    match versions.iter().rev().find(has_our_bytes) {
        Some(version) => Ok(version.id),
        None => Err(not_registered(subject, schema)),
    }
}

fn not_registered(subject: &str, schema: BuiltIn) -> Error {
    Error::NotRegistered { subject: subject.to_owned(), schema: schema.full_name().to_owned() }
}
