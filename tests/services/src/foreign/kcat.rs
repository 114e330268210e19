//! kcat: moves bytes, and leaves Avro to others.
//!
//! The kcat of most distributions is built without Avro, so that the values are made and read here with the codec of
//! Apache Avro, by the schemas and ids of the registry.

use std::collections::BTreeMap;
use std::process::Command;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::Value;

use crate::folder::Folder;
use crate::kafka::Cluster;
use crate::registry::Registry;
use crate::{Error, Result, command, http};

/// Bytes before the Avro body: a zero, and the schema's id in four bytes.
const HEADER_BYTES: usize = 5;

pub(super) fn write(
    cluster: &Cluster,
    registry: &Registry,
    topic: &str,
    key_field: &str,
    objects: &[Value],
) -> Result<()> {
    let (id, text) = latest_schema(registry, topic)?;
    let schema = parse(&text)?;
    let writer = GenericDatumWriter::builder(&schema).build().map_err(avro_error)?;
    let folder = Folder::create("kcat")?;
    let file = folder.path().join("value");
    for object in objects {
        let record = avro_of(object).resolve(&schema).map_err(avro_error)?;
        let mut value = vec![0];
        value.extend(id.to_be_bytes());
        writer.write_value(&mut value, record).map_err(avro_error)?;
        std::fs::write(&file, value).map_err(Error::io(format!("write {}", file.display())))?;
        let key = object[key_field].as_str().ok_or_else(|| Error::Options {
            detail: format!("the key {key_field} of {object} is no text"),
        })?;
        let bootstrap = cluster.bootstrap();
        let mut kcat = program();
        kcat.args(["-P", "-b", &bootstrap, "-t", topic, "-k", key, "-X", "partitioner=murmur2_random"]);
        kcat.args(["-X", "message.timeout.ms=60000"]).arg(&file);
        run(kcat)?;
    }
    Ok(())
}

pub(super) fn read(cluster: &Cluster, registry: &Registry, topic: &str) -> Result<Vec<Value>> {
    let bootstrap = cluster.bootstrap();
    let mut kcat = program();
    // Each value behind its length in four bytes; the end is where all partitions end.
    kcat.args(["-C", "-b", &bootstrap, "-t", topic, "-o", "beginning", "-e", "-f", "%R%s"]);
    kcat.args(["-X", "isolation.level=read_committed"]);
    let bytes = run(kcat)?;
    let mut schemas = BTreeMap::new();
    let mut objects = Vec::new();
    for value in framed(&bytes)? {
        let Some((header, mut body)) = value.split_at_checked(HEADER_BYTES) else {
            return Err(unreadable(format!("a value of {} bytes", value.len())));
        };
        let id = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        if header[0] != 0 {
            return Err(unreadable(format!("a value that begins with {}", header[0])));
        }
        if let std::collections::btree_map::Entry::Vacant(unknown) = schemas.entry(id) {
            let answer = get(&format!("{}/schemas/ids/{id}", registry.url()))?;
            unknown.insert(parse(answer["schema"].as_str().unwrap_or_default())?);
        }
        let reader = GenericDatumReader::builder(&schemas[&id]).build().map_err(avro_error)?;
        let record = reader.read_value(&mut body).map_err(avro_error)?;
        if !body.is_empty() {
            return Err(unreadable(format!("{} bytes behind a record", body.len())));
        }
        objects.push(Value::try_from(record).map_err(avro_error)?);
    }
    Ok(objects)
}

/// The id and text of the latest schema of a topic's values.
pub(super) fn latest_schema(registry: &Registry, topic: &str) -> Result<(u32, String)> {
    let answer = get(&format!("{}/subjects/{topic}-value/versions/latest", registry.url()))?;
    let id = answer["id"].as_u64().and_then(|id| u32::try_from(id).ok());
    let text = answer["schema"].as_str();
    id.zip(text)
        .map(|(id, text)| (id, text.to_owned()))
        .ok_or_else(|| unreadable(format!("the registry's answer {answer}")))
}

fn get(url: &str) -> Result<Value> {
    let body = http::body_of(url).map_err(Error::io(format!("ask the registry for {url}")))?;
    serde_json::from_str(&body).map_err(|error| unreadable(format!("the registry's answer: {error}: {body}")))
}

/// The nearest form in Avro; the schema makes records, enums and times of it.
fn avro_of(value: &Value) -> Avro {
    match value {
        Value::Null => Avro::Null,
        Value::Bool(value) => Avro::Boolean(*value),
        // No schema of ours has floats: a number that is no integer becomes what nothing fits.
        Value::Number(number) => number.as_i64().map_or(Avro::Null, Avro::Long),
        Value::String(text) => Avro::String(text.clone()),
        Value::Array(items) => Avro::Array(items.iter().map(avro_of).collect()),
        Value::Object(fields) => {
            Avro::Map(fields.iter().map(|(name, value)| (name.clone(), avro_of(value))).collect())
        }
    }
}

fn parse(schema: &str) -> Result<Schema> {
    Schema::parse_str(schema).map_err(avro_error)
}

fn program() -> Command {
    let mut command = Command::new("setpriv");
    // -E: no configuration of the user's.
    command.args(["--pdeathsig", "KILL", "--", "kcat", "-E", "-q"]);
    command
}

fn run(kcat: Command) -> Result<Vec<u8>> {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("kcat").is_file()));
    if !found {
        return Err(Error::Install {
            script: "setup.sh",
            output: "kcat is not installed: install the package kcat, or run scripts/setup.sh".to_owned(),
        });
    }
    Ok(command::run(kcat, "kcat", Vec::new())?.stdout)
}

/// Cuts what kcat printed into values.
fn framed(mut bytes: &[u8]) -> Result<Vec<&[u8]>> {
    let mut values = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (value, rest) = rest
            .split_at_checked(length)
            .ok_or_else(|| unreadable(format!("{} bytes where {length} were promised", rest.len())))?;
        values.push(value);
        bytes = rest;
    }
    Ok(values)
}

fn avro_error(error: impl std::fmt::Display) -> Error {
    unreadable(error.to_string())
}

fn unreadable(what: String) -> Error {
    Error::Tool { tool: "kcat".to_owned(), status: what, stdout: String::new(), stderr: String::new() }
}
