"""Records by partition, whatever state a partition's log is in: aiokafka's fetching, made safe.

`docs/design.md` says which bug each of the unusual choices here prevents.
"""

import asyncio
import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import cramjam
from aiokafka import AIOKafkaConsumer
from aiokafka import errors as kafka_errors
from aiokafka.structs import TopicPartition

from ingest_service.adapters import kafka_codecs, kafka_records
from ingest_service.adapters.kafka_codecs import FETCH_BYTES, BatchTooLargeError, one_fetch
from ingest_service.adapters.kafka_faults import LOG_APPEND_TIME, batch_fault, clock_fault
from ingest_service.adapters.kafka_tolerant import end_of_batch, fetch_tolerantly
from ingest_service.errors import BrokerUnavailableError, PartitionFault, PositionLostError
from ingest_service.events.record import Record

_ASK_SECONDS = 10
_APART_SECONDS = 0.5

_DAMAGED = (
    kafka_errors.CorruptRecordException,
    cramjam.DecompressionError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    BatchTooLargeError,
)
"""A batch that fails its checksum, or cannot be decompressed, or not within bounds."""


class RecordReader:
    """Reads one topic from where it is told to: `seek` first, then `fetch`.

    A partition that cannot be read on raises its fault when it is asked for; until then its
    neighbours' records come, and its own before the fault.
    """

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self.topic = topic
        self._consumer = consumer
        self._next: dict[int, int] = {}
        self._damaged: Counter[int] = Counter()
        self._too_large: set[int] = set()
        self._turn = 0
        kafka_codecs.install()
        kafka_records.install()

    def seek(self, partition: int, offset: int) -> None:
        """Read on from this offset, if the partition is still ours."""
        self._next[partition] = offset
        with suppress(kafka_errors.IllegalStateError):
            self._consumer.seek(TopicPartition(self.topic, partition), offset)

    def pause(self, partitions: Iterable[int]) -> None:
        """Stop fetching these; what was fetched of them is dropped."""
        self._each(self._consumer.pause, partitions)

    def resume(self, partitions: Iterable[int]) -> None:
        """Fetch these again."""
        self._each(self._consumer.resume, partitions)

    def _each(self, act: Any, partitions: Iterable[int]) -> None:
        for partition in partitions:
            with suppress(kafka_errors.IllegalStateError):
                act(TopicPartition(self.topic, partition))

    async def fetch(
        self, partitions: Sequence[int], max_records: int, seconds: float
    ) -> Mapping[int, Sequence[Record]]:
        """Return records by partition. After any exception: seek these partitions."""
        # `getmany()` of nothing would drain everybody's partitions.
        assert partitions
        await self._refuse_damaged(partitions)
        wanted = [TopicPartition(self.topic, partition) for partition in partitions]
        try:
            with one_fetch():
                fetched = await self._getmany(wanted, max_records, seconds)
        except (UnicodeDecodeError, *_DAMAGED):
            # What was drained of the others before is lost to us: each is read again, alone.
            fetched = await self._fetch_apart(wanted, max_records)
        trusted = {
            position.partition: self._of_the_brokers_clock(position, records)
            for position, records in fetched.items()
        }
        for partition, records in trusted.items():
            if records:
                self._next[partition] = records[-1].offset + 1
        return trusted

    async def _getmany(
        self, wanted: Sequence[TopicPartition], max_records: int, seconds: float
    ) -> dict[TopicPartition, Any]:
        try:
            return dict(
                await self._consumer.getmany(
                    *wanted, timeout_ms=int(seconds * 1000), max_records=max_records
                )
            )
        except kafka_errors.OffsetOutOfRangeError as exc:
            raise PositionLostError(
                self.topic,
                min(position.partition for position in exc.args[0]),
                "its next offset is outside of what the log holds",
            ) from exc
        except _DAMAGED:
            raise
        except kafka_errors.KafkaError as exc:
            raise BrokerUnavailableError(f"fetching failed ({type(exc).__name__})") from exc

    async def _fetch_apart(
        self, wanted: Sequence[TopicPartition], max_records: int
    ) -> dict[TopicPartition, Any]:
        """Find the partition that cannot be read, and read it tolerantly; the others go on."""
        fetched: dict[TopicPartition, Any] = {}
        paused = self._consumer.paused()
        own = [each for each in wanted if each.partition in self._next and each not in paused]
        for position in own:
            self.seek(position.partition, self._next[position.partition])
        self._turn += 1
        first = self._turn % max(len(own), 1)
        for position in own[first:] + own[:first]:
            # Large batches may fill a fetch; who comes later today is the first tomorrow.
            if sum(map(_size, fetched.values())) > FETCH_BYTES:
                break
            try:
                with one_fetch():
                    fetched |= await self._getmany([position], max_records, _APART_SECONDS)
            except UnicodeDecodeError:
                fetched[position] = await self._fetch_tolerantly(position)
            except _DAMAGED as exc:
                fetched[position] = await self._fetch_up_to(exc, position, max_records)
            else:
                self._damaged.pop(position.partition, None)
        return fetched

    async def _fetch_up_to(
        self, damage: Exception, position: TopicPartition, max_records: int
    ) -> list[Any]:
        """Return the good records before a damaged batch, one by one; none: count the damage."""
        partition, good = position.partition, list[Any]()
        self.seek(partition, self._next[partition])
        with suppress(UnicodeDecodeError, *_DAMAGED), one_fetch():
            while len(good) < max_records and (
                more := await self._getmany([position], 1, _APART_SECONDS)
            ):
                good += more[position]
        if good:
            self._damaged.pop(partition, None)
            self.seek(partition, good[-1].offset + 1)
        else:
            self._damaged[partition] += 1
            self._too_large.discard(partition)
            if isinstance(damage, BatchTooLargeError):
                self._too_large.add(partition)
            self.seek(partition, self._next[partition])
        return good

    async def _refuse_damaged(self, partitions: Sequence[int]) -> None:
        """Stop a partition whose next batch came damaged twice: once may be the network's doing.

        Only one of these: the fault of another writer's partition is not this caller's to stop.
        """
        for partition in partitions:
            if self._damaged[partition] > 1:
                del self._damaged[partition]
                raise await self._batch_fault(partition)

    async def _batch_fault(self, partition: int) -> PartitionFault:
        position, end = TopicPartition(self.topic, partition), None
        with suppress(kafka_errors.KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(_ASK_SECONDS):
                end = await end_of_batch(self._client, position, self._next[partition])
        too_large = partition in self._too_large
        offset, way_past = self._next[partition], self._way_past(partition, end)
        return batch_fault(position, offset, end, too_large=too_large, way_past=way_past)

    def _way_past(self, partition: int, end: int | None) -> str | None:
        """Return the command that goes on past a batch that cannot be read; None: the ledger's."""
        del partition, end
        return None

    async def _fetch_tolerantly(self, position: TopicPartition) -> list[Any]:
        offset = self._next[position.partition]
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                records = await fetch_tolerantly(self._client, position, offset)
        except (kafka_errors.KafkaError, OSError, TimeoutError) as exc:
            raise BrokerUnavailableError(f"fetching failed ({type(exc).__name__})") from exc
        self.seek(position.partition, records[-1].offset + 1 if records else offset)
        return records

    def _of_the_brokers_clock(
        self, position: TopicPartition, records: Sequence[Any]
    ) -> Sequence[Any]:
        """Return the records up to the first whose time is its publisher's; that one is a fault."""
        for at, record in enumerate(records):
            if record.timestamp_type != LOG_APPEND_TIME:
                if at == 0:
                    raise clock_fault(position, records)
                self.seek(position.partition, record.offset)
                return records[:at]
        return records

    @property
    def _client(self) -> Any:
        return self._consumer._client  # noqa: SLF001 - aiokafka has no public raw fetch


def _size(records: Sequence[Any]) -> int:
    return sum(len(record.value or b"") for record in records)
