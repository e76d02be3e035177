"""The greatest event with the greatest headers fits the dead-letter topic that we make."""

from __future__ import annotations

import pytest

from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.adapters.kafka_dead_letters import DeadLetterProducer
from ingest_service.adapters.kafka_letters import open_letters
from ingest_service.adapters.kafka_producer import KafkaEventProducer
from ingest_service.events.record import StoredRecord
from ingest_service.forward.dead_letter import (
    MAX_ANSWER_BYTES,
    DeadLetter,
    Refusal,
    headers_of,
    read,
)
from ingest_service.preflight.topics import EVENT_MESSAGE_BYTES, dead_letter_topic, events_topic
from ingest_service.settings import KafkaSettings

pytestmark = pytest.mark.kafka

KEY_BYTES, FRAMING_BYTES = 512, 1024


async def test_record_at_the_limit_fits_with_the_headers_of_its_letter(
    kafka_bootstrap: str, topic_name: str
) -> None:
    """Whatever the topic of events lets in can be dead-lettered, and comes back as it was."""
    kafka = KafkaSettings(
        bootstrap_servers=kafka_bootstrap, dead_letter_topic=topic_name, group_prefix=topic_name
    )
    async with KafkaAdmin(kafka) as admin:
        await admin.create([dead_letter_topic(topic_name, 1, partitions=1)])
    # All that max.message.bytes of the topic of events leaves room for, uncompressible.
    value = bytes(range(256)) * ((EVENT_MESSAGE_BYTES - KEY_BYTES - FRAMING_BYTES) // 256)
    record = StoredRecord("e" * 249, 9_999, 2**62, 2**40, b"k" * KEY_BYTES, value)
    refusal = Refusal("datadog", "r" * 64, 400, b"a" * (2 * MAX_ANSWER_BYTES))
    async with DeadLetterProducer(kafka) as letters:
        await letters.send(0, record.key, record.value, headers_of(record, refusal))
    async with open_letters(kafka, f"{topic_name}-replay") as topic:
        [letter] = [read(each) async for each in topic.records()]
    kept = refusal._replace(answer=refusal.answer[:MAX_ANSWER_BYTES])
    assert letter == DeadLetter(record._replace(headers=letter.record.headers), kept)
    assert list(letter.record.headers) == []


async def test_limit_of_the_test_is_the_one_of_the_topic(
    kafka_bootstrap: str, topic_name: str
) -> None:
    """A record of that size is taken by a topic of events, so no greater one need be thought of."""
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic=topic_name)
    async with KafkaAdmin(kafka) as admin:
        await admin.create([events_topic(topic_name, 1, partitions=1)])
    producer = await KafkaEventProducer.open(kafka, linger_ms=0, compression=None)
    settled: list[Exception | None] = []
    value = bytes(EVENT_MESSAGE_BYTES - KEY_BYTES - FRAMING_BYTES)
    await producer.send(0, b"k" * KEY_BYTES, value, settled.append)
    await producer.close(20)
    assert settled == [None]
