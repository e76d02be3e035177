"""A look into one topic: single records and short ranges, for a command that joins no group."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from ingest_service.adapters.kafka_options import client_options
from ingest_service.adapters.kafka_reach import why_unreachable
from ingest_service.adapters.kafka_reader import RecordReader
from ingest_service.errors import BrokerUnavailableError, PartitionFault
from ingest_service.events.record import Record
from ingest_service.settings import KafkaSettings
from ingest_service.shapes import Bounds

_ASK_SECONDS = 10
_STOP_SECONDS = 3
_FETCH_SECONDS = 1.0
_FETCH_RECORDS = 2_000


class Search(NamedTuple):
    """What a search came to; not `complete`: the time was over, or the log cannot be read."""

    found: Sequence[Record]
    complete: bool


class KafkaLook(RecordReader):
    """Reads where it is told to. `RecordReader`'s care for odd records is the same here."""

    async def bounds(self, partition: int) -> Bounds:
        """Return what a partition's log holds."""
        place = TopicPartition(self.topic, partition)
        starts = await _ask(self._consumer.beginning_offsets([place]))
        ends = await _ask(self._consumer.end_offsets([place]))
        return Bounds(starts[place], ends[place])

    async def first_since(self, partition: int, time_ms: int) -> int | None:
        """Return the offset of the first record that is not older than this."""
        place = TopicPartition(self.topic, partition)
        found = (await _ask(self._consumer.offsets_for_times({place: time_ms})))[place]
        return None if found is None else int(found.offset)

    async def record(self, partition: int, offset: int) -> Record | None:
        """Return the record at an offset that the log holds; None: it cannot be read."""
        found = await self.search(
            partition, Bounds(offset, offset + 1), lambda record: record.offset == offset, 2
        )
        return found.found[0] if found.found else None

    async def search(
        self, partition: int, within: Bounds, wanted: Callable[[Record], bool], seconds: float
    ) -> Search:
        """Return the wanted records of a range of offsets, as far as the time allows."""
        found, position = list[Record](), within.start
        deadline = time.monotonic() + seconds
        self.seek(partition, position)
        self.resume([partition])
        while position < within.end and time.monotonic() < deadline:
            try:
                fetched = await self.fetch([partition], _FETCH_RECORDS, _FETCH_SECONDS)
            except PartitionFault:
                break
            for record in fetched.get(partition, ()):
                position = record.offset + 1
                if record.offset < within.end and wanted(record):
                    found.append(record)
        self.pause([partition])
        return Search(found, position >= within.end)

    def _of_the_brokers_clock(self, _: TopicPartition, records: Sequence[Any]) -> Sequence[Any]:
        """Look at records on any clock."""
        return records


@asynccontextmanager
async def open_look(kafka: KafkaSettings, topic: str, partitions: int) -> AsyncIterator[KafkaLook]:
    """Yield a look into a topic that has so many partitions.

    Raises `BrokerUnavailableError` or `SetupError`.
    """
    options = client_options(kafka)
    consumer = AIOKafkaConsumer(
        **options,
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=2 << 20,
    )
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            await consumer.start()
    except (KafkaError, OSError, TimeoutError) as exc:
        await _stop(consumer)
        raise await why_unreachable(options) from exc
    try:
        yield _assigned(consumer, topic, range(partitions))
    finally:
        await _stop(consumer)


def _assigned(consumer: AIOKafkaConsumer, topic: str, partitions: range) -> KafkaLook:
    """Assign everything once: after a second assignment aiokafka's `stop` never came back.

    Each partition gets a position, or the consumer would look for one, and is paused.
    """
    look = KafkaLook(consumer, topic)
    consumer.assign([TopicPartition(topic, partition) for partition in partitions])
    for partition in partitions:
        look.seek(partition, 0)
    look.pause(partitions)
    return look


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """Close the connections; no answer of a broker is worth waiting for."""
    stopping = asyncio.create_task(consumer.stop(), name="stop-looking")
    done, late = await asyncio.wait({stopping}, timeout=_STOP_SECONDS)
    for task in late:
        task.cancel()
    for task in done:
        task.exception()  # asked for, so that nobody complains of it


async def _ask(question: Any) -> Any:
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            return await question
    except (KafkaError, OSError, TimeoutError) as exc:
        raise BrokerUnavailableError(f"the broker did not answer ({type(exc).__name__})") from exc
