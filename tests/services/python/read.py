"""Reads what is committed in a topic, to its end, and prints each value as an object on a line of its own.

Usage: read.py BOOTSTRAP REGISTRY TOPIC
"""

import json
import sys
import time
from datetime import date, datetime, timedelta, timezone

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
PATIENCE_S = 60


def plain(value):
    """What JSON has no form for: times as microseconds, days as a count, bytes as hexadecimal digits."""
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(microseconds=1)
    if isinstance(value, date):
        return (value - EPOCH.date()).days
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"no JSON for {type(value)}")


def main():
    bootstrap, registry, topic = sys.argv[1:]
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry}))
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "unused",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    unread = set(partitions)
    deadline = time.monotonic() + PATIENCE_S
    while unread:
        if time.monotonic() > deadline:
            sys.exit(f"partitions {sorted(unread)} of {topic} were not read to their end in {PATIENCE_S} s")
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error() is None:
            value = deserialize(message.value(), SerializationContext(topic, MessageField.VALUE))
            print(json.dumps(value, default=plain))
        elif message.error().code() == KafkaError._PARTITION_EOF:
            unread.discard(message.partition())
        else:
            sys.exit(str(message.error()))
    consumer.close()


main()
