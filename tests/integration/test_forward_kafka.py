"""The forwarder's consumer and its dead letters against a real broker."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ingest_service.adapters.kafka_dead_letters import DeadLetterProducer
from ingest_service.adapters.kafka_forwarder import ForwardConsumer
from ingest_service.errors import RecordRefusedError, SetupError
from ingest_service.settings import KafkaSettings
from waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.kafka


@asynccontextmanager
async def topic(bootstrap: str, name: str, **settings: str) -> AsyncIterator[KafkaSettings]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    named = {key.replace("_", "."): value for key, value in settings.items()}
    await admin.create_topics([NewTopic(name, 2, 1, topic_configs=named)])
    try:
        yield KafkaSettings(bootstrap_servers=bootstrap, topic=name, dead_letter_topic=name)
    finally:
        await admin.delete_topics([name])
        await admin.close()


async def put(kafka: KafkaSettings, *times: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        for kafka_ms in times:
            await producer.send_and_wait(kafka.topic, b"x", partition=0, timestamp_ms=kafka_ms)


async def read(consumer: ForwardConsumer, count: int) -> list[Any]:
    found: list[Any] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            found += (await consumer.fetch([0], 100, 0.2)).get(0, [])
    return found


async def test_group_stands_where_it_committed_and_begins_by_time(
    kafka_bootstrap: str, topic_name: str
) -> None:
    """No offset is None, not 0; a time finds its first record; what was committed is there."""
    async with topic(kafka_bootstrap, topic_name) as kafka:
        await put(kafka, 1_000, 2_000, 3_000)
        async with ForwardConsumer(kafka, topic_name) as consumer:
            await until(lambda: consumer.assigned == (0, 1))
            assert await consumer.committed([0, 1]) == {0: None, 1: None}
            assert await consumer.offsets_at([0, 1], 1_500) == {0: 1, 1: None}
            assert await consumer.commit({0: 2})
            consumer.seek(0, 1)
            consumer.resume([0])
            # On the publisher's clock, which the persister refuses: a sink gets the event.
            assert [record.offset for record in await read(consumer, 2)] == [1, 2]
        async with ForwardConsumer(kafka, topic_name) as consumer:
            await until(lambda: consumer.assigned == (0, 1))
            assert await consumer.committed([0, 1]) == {0: 2, 1: None}


async def test_dead_letter_keeps_what_it_was(kafka_bootstrap: str, topic_name: str) -> None:
    """Key, value and headers arrive as they were; a tombstone without a key does, too."""
    async with topic(kafka_bootstrap, topic_name, max_message_bytes="2097152") as kafka:
        async with DeadLetterProducer(kafka) as letters:
            await letters.send(6, b"k", b"v" * 1_048_576, [("h", b"1"), ("none", None)])
            await letters.send(6, None, None, [("h", b"2")])
        async with ForwardConsumer(kafka, topic_name) as consumer:
            await until(lambda: consumer.assigned == (0, 1))
            consumer.seek(0, 0)
            consumer.resume([0])
            first, second = await read(consumer, 2)
        assert (first.key, first.value) == (b"k", b"v" * 1_048_576)
        assert list(first.headers) == [("h", b"1"), ("none", None)]
        assert list(second.headers) == [("h", b"2")]


async def test_topic_that_is_too_small_is_named_and_a_later_letter_fits(
    kafka_bootstrap: str, topic_name: str
) -> None:
    """The refusal says what to change; the producer is not spent by it."""
    async with topic(kafka_bootstrap, topic_name) as kafka, DeadLetterProducer(kafka) as letters:
        with pytest.raises(RecordRefusedError, match=r"max\.message\.bytes must be at least"):
            await letters.send(0, b"k", b"v" * 1_600_000, [])
        await letters.send(0, b"k", b"v", [])


async def test_topic_that_does_not_exist_says_how_to_make_it(
    kafka_bootstrap: str, topic_name: str
) -> None:
    """Nothing is made by accident."""
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap, dead_letter_topic=topic_name)
    async with DeadLetterProducer(kafka) as letters:
        with pytest.raises(SetupError, match="topics create"):
            await letters.send(0, b"k", b"v", [])
