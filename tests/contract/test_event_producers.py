"""What the outbox relies on, asked of the hand-written producer and of aiokafka's owner alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ingest_service.adapters.kafka_producer import KafkaEventProducer
from ingest_service.errors import IngestError, RecordRefusedError
from ingest_service.settings import KafkaSettings
from publishing.kafka import make_topic, read_topic
from publishing.producers import FakeBroker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

LARGE = 5000


class Case(NamedTuple):
    """One kind of producer on a topic that takes records of less than `LARGE` bytes."""

    producer: Any
    stored: Callable[[], Awaitable[list[tuple[bytes, bytes]]]]


@pytest.fixture(params=["fake", pytest.param("kafka", marks=pytest.mark.kafka)])
async def case(request: pytest.FixtureRequest, topic_name: str) -> AsyncIterator[Case]:
    if request.param == "fake":
        broker = FakeBroker()
        broker.max_record_bytes = LARGE - 1

        async def stored() -> list[tuple[bytes, bytes]]:
            return broker.records

        producer: Any = await broker.open()
    else:
        bootstrap = request.getfixturevalue("kafka_bootstrap")
        await make_topic(bootstrap, topic_name, max_message_bytes=str(LARGE))
        kafka = KafkaSettings(bootstrap_servers=bootstrap, topic=topic_name)

        async def stored() -> list[tuple[bytes, bytes]]:
            return [(one.key, one.value) for one in await read_topic(bootstrap, topic_name)]

        producer = await KafkaEventProducer.open(kafka, linger_ms=0, compression=None)
    yield Case(producer, stored)
    await producer.close(5)


async def outcome(producer: Any, key: bytes, value: bytes) -> Exception | None:
    done = asyncio.get_running_loop().create_future()
    await producer.send(producer.partition_of(key), key, value, done.set_result)
    async with asyncio.timeout(20):
        return await done


async def test_a_settled_record_is_stored(case: Case) -> None:
    """None means: it is there, with its key."""
    assert await outcome(case.producer, b"key", b"value") is None
    assert await case.stored() == [(b"key", b"value")]


async def test_equal_keys_share_a_partition_that_exists(case: Case) -> None:
    """A key's partition is one of the topic's, and always the same."""
    for number in range(50):
        key = b"%d" % number
        partition = case.producer.partition_of(key)
        assert partition in case.producer.partitions
        assert case.producer.partition_of(key) == partition


async def test_a_record_that_is_too_large_is_refused_for_good(case: Case) -> None:
    """The refusal is told apart from trouble that passes."""
    failure = await outcome(case.producer, b"key", b"x" * LARGE)
    assert isinstance(failure, RecordRefusedError)
    assert await case.stored() == []


async def test_a_producer_that_failed_once_is_spent(case: Case) -> None:
    """After a refusal the same partition takes nothing more from this producer: open another."""
    await outcome(case.producer, b"key", b"first")
    await outcome(case.producer, b"key", b"x" * LARGE)
    try:
        failure = await outcome(case.producer, b"key", b"small")
    except IngestError as exc:
        failure = exc
    assert isinstance(failure, IngestError)
    assert not isinstance(failure, RecordRefusedError)
    assert await case.stored() == [(b"key", b"first")]


async def test_a_closed_producer_takes_nothing(case: Case) -> None:
    """What is sent after the end fails instead of vanishing."""
    await case.producer.close(5)
    with pytest.raises(IngestError):
        await outcome(case.producer, b"key", b"value")
    assert await case.stored() == []


async def test_closing_lets_records_on_their_way_arrive(case: Case) -> None:
    """A close with time to spare settles what was handed over."""
    settled: list[Exception | None] = []
    for number in range(20):
        key = b"%d" % number
        await case.producer.send(case.producer.partition_of(key), key, b"v", settled.append)
    await case.producer.close(10)
    await asyncio.sleep(0)
    assert settled == [None] * 20
    assert len(await case.stored()) == 20
