"""Topics and records on a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

if TYPE_CHECKING:
    from aiokafka.structs import ConsumerRecord


async def make_topic(bootstrap: str, name: str, **settings: str) -> None:
    """Make a topic of three partitions as `topics create` would, with other settings if given."""
    own = {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str((1 << 20) + (64 << 10)),
        **{setting.replace("_", "."): value for setting, value in settings.items()},
    }
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 3, 1, topic_configs=own)])
    finally:
        await admin.close()


async def read_topic(bootstrap: str, name: str) -> list[ConsumerRecord]:
    """Return every record of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(name, number) for number in range(3)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[ConsumerRecord] = []
        while len(records) < sum(ends.values()):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records += batch
        return records
    finally:
        await consumer.stop()
