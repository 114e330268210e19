//! Kafka's console tools, with the serializers of Apicurio.

use serde_json::Value;

use crate::folder::Folder;
use crate::kafka::{Cluster, tool, tool_with_input};
use crate::registry::Registry;
use crate::{Error, Result};

use super::kcat::latest_schema;

const SERDE: &str = "io.apicurio.registry.serde.avro";
/// Silence after which the consumer has read to the end. It counts from its start, so that it has to join in that time.
const SILENCE_MS: &str = "10000";

pub(super) fn write(
    cluster: &Cluster,
    registry: &Registry,
    topic: &str,
    key_field: &str,
    objects: &[Value],
) -> Result<()> {
    let folder = Folder::create("console-producer")?;
    let schema_file = folder.path().join("schema.avsc");
    let (_, schema) = latest_schema(registry, topic)?;
    std::fs::write(&schema_file, schema).map_err(Error::io(format!("write {}", schema_file.display())))?;
    let settings = [
        format!("schema.file={}", schema_file.display()),
        format!("key.field={key_field}"),
        format!("apicurio.registry.url={}", registry.own_url()),
        "apicurio.registry.as-confluent=true".to_owned(),
        "apicurio.registry.use-id=contentId".to_owned(),
        "apicurio.registry.find-latest=true".to_owned(),
        "apicurio.registry.artifact-resolver-strategy=io.apicurio.registry.serde.strategy.TopicIdStrategy"
            .to_owned(),
    ];
    let bootstrap = cluster.bootstrap();
    let mut arguments =
        vec!["--bootstrap-server", &*bootstrap, "--topic", topic, "--line-reader", "AvroLines", "--sync"];
    for setting in &settings {
        arguments.extend(["--reader-property", setting]);
    }
    let output = tool_with_input(
        cluster.installed(),
        "kafka-console-producer",
        &arguments,
        &super::lines_of(objects),
    )?;
    // The tool logs a record that was refused, and ends well.
    if output.stderr.contains("ERROR") || output.stdout.contains("ERROR") {
        return Err(Error::Tool {
            tool: "kafka-console-producer".to_owned(),
            status: "errors".to_owned(),
            stdout: output.stdout,
            stderr: output.stderr,
        });
    }
    Ok(())
}

pub(super) fn read(cluster: &Cluster, registry: &Registry, topic: &str) -> Result<Vec<Value>> {
    let settings = [
        format!("value.deserializer={SERDE}.AvroKafkaDeserializer"),
        format!("value.deserializer.apicurio.registry.url={}", registry.own_url()),
        "value.deserializer.apicurio.registry.as-confluent=true".to_owned(),
        "value.deserializer.apicurio.registry.use-id=contentId".to_owned(),
    ];
    let bootstrap = cluster.bootstrap();
    let mut arguments = vec!["--bootstrap-server", &*bootstrap, "--topic", topic, "--from-beginning"];
    arguments.extend(["--isolation-level", "read_committed", "--timeout-ms", SILENCE_MS]);
    for setting in &settings {
        arguments.extend(["--formatter-property", setting]);
    }
    let output = tool(cluster.installed(), "kafka-console-consumer", &arguments)?;
    super::objects_of("kafka-console-consumer", &output.stdout)
}
