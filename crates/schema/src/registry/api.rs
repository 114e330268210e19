//! The registry's interface: the requests of Confluent's Schema Registry that Settle uses, and their answers.
//!
//! Owns paths, bodies and the codes of "not found". Apicurio answers the same under /apis/ccompat/v7.
//! (Confluent Platform documentation, "Schema Registry API Reference".)

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Error;
use super::http::{Answer, Http, Request};

/// The level that every subject of Settle has: new and old readers read all records, of every version.
pub(super) const FULL_TRANSITIVE: &str = "FULL_TRANSITIVE";

/// The registry's codes of "not found".
const SUBJECT_NOT_FOUND: u32 = 40401;
const VERSION_NOT_FOUND: u32 = 40402;
const SCHEMA_NOT_FOUND: u32 = 40403;
const LEVEL_NOT_FOUND: u32 = 40408;

/// A schema as a registry has it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Schema {
    /// Its text.
    pub(super) schema: String,
    /// `AVRO` if absent.
    #[serde(rename = "schemaType", default)]
    kind: Option<String>,
    /// Types that it takes from other subjects.
    #[serde(default)]
    references: Option<Vec<Value>>,
}

impl Schema {
    /// Why the text alone is not an Avro schema; none if it may be one.
    pub(super) fn defect(&self) -> Option<String> {
        if let Some(kind) = self.kind.as_ref().filter(|kind| *kind != "AVRO") {
            return Some(format!("it is a schema of the type {kind}, expected AVRO"));
        }
        let has_references = self.references.as_ref().is_some_and(|references| !references.is_empty());
        has_references
            .then(|| "it takes types from other subjects, expected one that is complete in itself".to_owned())
    }
}

/// A version of a subject.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Version {
    /// The id of its schema.
    pub(super) id: u32,
    /// Its schema.
    #[serde(flatten)]
    pub(super) schema: Schema,
}

/// Outcome of the registry's own check.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Compatibility {
    /// What it says.
    pub(super) is_compatible: bool,
    /// Why not, in the words of Confluent's registry.
    #[serde(default)]
    messages: Option<Vec<String>>,
    /// Why not, in Apicurio's.
    #[serde(default)]
    reason: Option<String>,
}

impl Compatibility {
    /// Why not, as the registry says it.
    pub(super) fn words(&self) -> String {
        let messages = self.messages.iter().flatten().chain(&self.reason);
        messages.map(String::as_str).collect::<Vec<_>>().join("; ")
    }
}

#[derive(Deserialize)]
struct Id {
    id: u32,
}

#[derive(Deserialize)]
struct Level {
    #[serde(rename = "compatibilityLevel")]
    level: String,
}

/// How patiently to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounds {
    /// One round over all addresses.
    One,
    /// As many as the options say.
    All,
}

/// The schema with an id; none if the registry says that there is none.
pub(super) fn schema_by_id(http: &Http, id: u32, rounds: Rounds) -> Result<Option<Schema>, Error> {
    let id = id.to_string();
    let path = ["schemas", "ids", id.as_str()];
    let request = Request::get(&path);
    let answer = match rounds {
        Rounds::One => http.ask_once(&request)?,
        Rounds::All => http.ask(&request)?,
    };
    found(&answer, &[SCHEMA_NOT_FOUND], "a schema")
}

/// Numbers of a subject's versions; none if there is no such subject.
pub(super) fn versions(http: &Http, subject: &str) -> Result<Vec<u32>, Error> {
    let answer = http.ask(&Request::get(&["subjects", subject, "versions"]))?;
    let versions: Option<Vec<u32>> = found(&answer, &[SUBJECT_NOT_FOUND], "numbers of versions")?;
    Ok(versions.unwrap_or_default())
}

/// A version of a subject; none if it was deleted meanwhile.
pub(super) fn version(http: &Http, subject: &str, number: u32) -> Result<Option<Version>, Error> {
    let number = number.to_string();
    let answer = http.ask(&Request::get(&["subjects", subject, "versions", number.as_str()]))?;
    found(&answer, &[SUBJECT_NOT_FOUND, VERSION_NOT_FOUND], "a version of a subject")
}

/// The id that a subject has for a schema; none if it does not have it.
pub(super) fn lookup(http: &Http, subject: &str, text: &str) -> Result<Option<u32>, Error> {
    let body = schema_body(text);
    let answer = http.ask(&Request::with_body(Method::POST, &["subjects", subject], &body))?;
    let found: Option<Id> = found(&answer, &[SUBJECT_NOT_FOUND, SCHEMA_NOT_FOUND], "the id of a schema")?;
    Ok(found.map(|found| found.id))
}

/// Registers a schema as the next version of a subject. Doing it again gives the same id. A registry refuses an
/// incompatible one with 409; some also one that another process registers at the same moment.
pub(super) fn register(http: &Http, subject: &str, text: &str) -> Result<u32, Error> {
    let body = schema_body(text);
    let path = ["subjects", subject, "versions"];
    let answer = http.ask(&Request::with_body(Method::POST, &path, &body))?;
    answer.read::<Id>("the id of a schema").map(|registered| registered.id)
}

/// The compatibility level that holds for a subject: its own, or the registry's.
pub(super) fn level(http: &Http, subject: &str) -> Result<String, Error> {
    let path = ["config", subject];
    let own = Request { query: Some(("defaultToGlobal", "true")), ..Request::get(&path) };
    let codes = [SUBJECT_NOT_FOUND, LEVEL_NOT_FOUND];
    let level: Option<Level> = found(&http.ask(&own)?, &codes, "a compatibility level")?;
    if let Some(level) = level {
        return Ok(level.level);
    }
    let answer = http.ask(&Request::get(&["config"]))?;
    answer.read::<Level>("a compatibility level").map(|global| global.level)
}

/// Sets a subject's level to FULL_TRANSITIVE. False if the registry only does so once the subject is there.
pub(super) fn set_level(http: &Http, subject: &str) -> Result<bool, Error> {
    let body = json!({ "compatibility": FULL_TRANSITIVE });
    let answer = http.ask(&Request::with_body(Method::PUT, &["config", subject], &body))?;
    let set: Option<Value> = found(&answer, &[SUBJECT_NOT_FOUND], "the level that was set")?;
    Ok(set.is_some())
}

/// The registry's check of a schema against one version; none if the version was deleted meanwhile.
pub(super) fn check(
    http: &Http,
    subject: &str,
    number: u32,
    text: &str,
) -> Result<Option<Compatibility>, Error> {
    let body = schema_body(text);
    let number = number.to_string();
    let path = ["compatibility", "subjects", subject, "versions", number.as_str()];
    let request =
        Request { query: Some(("verbose", "true")), ..Request::with_body(Method::POST, &path, &body) };
    let codes = [SUBJECT_NOT_FOUND, VERSION_NOT_FOUND];
    found(&http.ask(&request)?, &codes, "whether schemas are compatible")
}

fn schema_body(text: &str) -> Value {
    json!({ "schema": text, "schemaType": "AVRO" })
}

/// The body of a success; none for a "not found" with one of the registry's codes.
fn found<T: serde::de::DeserializeOwned>(
    answer: &Answer,
    codes: &[u32],
    expected: &'static str,
) -> Result<Option<T>, Error> {
    if answer.status == 404 && answer.error_code().is_some_and(|code| codes.contains(&code)) {
        return Ok(None);
    }
    answer.read(expected).map(Some)
}
