//! Clients of Kafka that no one here wrote, with Avro through a registry: kcat, the Java console tools, Python.
//!
//! Owns how each is called. A test gives and gets plain JSON objects. It must not know what they mean.
//!
//! | client | writes with | reads with |
//! |---|---|---|
//! | kcat | bytes that the codec of Apache Avro made with the registry's schema and id | the same, by the id in each value |
//! | console tools | `kafka-console-producer`, Apicurio's serializer | `kafka-console-consumer`, Apicurio's deserializer |
//! | Python | `confluent-kafka` and its serializer, which is `fastavro` | its deserializer |
//!
//! Where a client is not installed, the error says what to install: nothing is skipped.

mod console;
mod kcat;
mod python;

use serde_json::Value;

use crate::Result;
use crate::kafka::Cluster;
use crate::registry::Registry;

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// kcat, by librdkafka.
    Kcat,
    /// Kafka's own console tools in Java.
    Console,
    /// `confluent-kafka` in Python.
    Python,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kcat, Self::Console, Self::Python];

    /// Writes objects as Avro, with the latest schema that the registry has for the topic, to the partitions of their
    /// keys as Kafka's own clients choose them. The key of each is its field `key_field`. Each object names every
    /// field, and its unions are null: their other forms differ between the clients.
    ///
    /// Returns when the brokers have all of them.
    pub fn write(
        self,
        cluster: &Cluster,
        registry: &Registry,
        topic: &str,
        key_field: &str,
        objects: &[Value],
    ) -> Result<()> {
        match self {
            Self::Kcat => kcat::write(cluster, registry, topic, key_field, objects),
            Self::Console => console::write(cluster, registry, topic, key_field, objects),
            Self::Python => python::write(cluster, registry, topic, key_field, objects),
        }
    }

    /// Reads what is committed in all partitions of a topic, each to its end, with the schemas that the values name.
    ///
    /// Unions have no wrappers; times are microseconds, days a count. Bytes look different in each client.
    pub fn read(self, cluster: &Cluster, registry: &Registry, topic: &str) -> Result<Vec<Value>> {
        match self {
            Self::Kcat => kcat::read(cluster, registry, topic),
            Self::Console => console::read(cluster, registry, topic),
            Self::Python => python::read(cluster, registry, topic),
        }
    }
}

/// Whether the registry has a schema for a topic's values.
pub fn has_schema(registry: &Registry, topic: &str) -> bool {
    kcat::latest_schema(registry, topic).is_ok()
}

fn lines_of(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("{object}\n")).collect()
}

/// One object a line.
fn objects_of(tool: &str, text: &str) -> Result<Vec<Value>> {
    let parse = |line: &str| {
        serde_json::from_str(line).map_err(|error| crate::Error::Tool {
            tool: tool.to_owned(),
            status: format!("a line that is no JSON: {error}"),
            stdout: line.to_owned(),
            stderr: String::new(),
        })
    };
    text.lines().filter(|line| !line.is_empty()).map(parse).collect()
}
