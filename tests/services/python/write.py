"""Writes the objects of standard input, one a line, as Avro through a registry, as an upstream team would.

Usage: write.py BOOTSTRAP REGISTRY TOPIC KEY_FIELD
"""

import json
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext


def main():
    bootstrap, registry, topic, key_field = sys.argv[1:]
    # Without a schema of its own: the latest one that the registry has for the topic.
    settings = {"auto.register.schemas": False, "use.latest.version": True}
    serialize = AvroSerializer(SchemaRegistryClient({"url": registry}), conf=settings)
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "acks": "all"})
    failures = []

    def delivered(error, _message):
        if error is not None:
            failures.append(str(error))

    for line in sys.stdin:
        value = json.loads(line)
        data = serialize(value, SerializationContext(topic, MessageField.VALUE))
        producer.produce(topic, key=value[key_field], value=data, on_delivery=delivered)
    undelivered = producer.flush(60)
    if undelivered or failures:
        sys.exit(f"{undelivered} records were not delivered in time, failures: {failures}")


main()
