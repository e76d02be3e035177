"""The consumer: the persister's side of aiokafka.

`docs/design.md` says which bug each of the unusual choices here prevents.
"""

import asyncio
import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

import aiokafka
import cramjam
import structlog
from aiokafka import errors as kafka_errors
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.structs import TopicPartition

from ingest_service.adapters import kafka_codecs
from ingest_service.adapters.kafka_codecs import BatchTooLargeError
from ingest_service.adapters.kafka_faults import LOG_APPEND_TIME, batch_fault, clock_fault
from ingest_service.adapters.kafka_options import client_options
from ingest_service.adapters.kafka_tolerant import end_of_batch, fetch_tolerantly
from ingest_service.errors import (
    BrokerUnavailableError,
    PartitionFault,
    PositionLostError,
    SetupError,
)
from ingest_service.events.record import Record
from ingest_service.settings import KafkaSettings
from ingest_service.shapes import Bounds

_START_SECONDS = 30
_ASK_SECONDS = 10
_COMMIT_SECONDS = 5
_STOP_SECONDS = 10
_APART_SECONDS = 0.5
_SESSION_MS = 10_000
_MAX_POLL_MS = 300_000

_DAMAGED = (
    kafka_errors.CorruptRecordException,
    cramjam.DecompressionError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    BatchTooLargeError,
)
"""A batch that fails its checksum, or cannot be decompressed, or not within bounds."""

_log = structlog.get_logger(__name__)


class AuditConsumer:
    """Implements `persist.ports.Source` on one member of the consumer group."""

    def __init__(self, kafka: KafkaSettings, group: str) -> None:
        self.topic = kafka.topic
        self.epoch = 0
        self.assigned: tuple[int, ...] = ()
        self.joined = False
        self._next: dict[int, int] = {}
        self._damaged: Counter[int] = Counter()
        self._too_large: set[int] = set()
        kafka_codecs.install()
        self._listener = _Listener(self)
        self._consumer = aiokafka.AIOKafkaConsumer(
            **client_options(kafka),
            group_id=group,
            enable_auto_commit=False,
            # Never reset by itself: `latest` and `earliest` both lose or repeat in silence.
            auto_offset_reset="none",
            # Exactly one: members with different lists could not agree.
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=2_000,
            max_poll_interval_ms=_MAX_POLL_MS,
            rebalance_timeout_ms=_SESSION_MS,
            # Must outlast the rebalance: with less the join looped for ever.
            request_timeout_ms=40_000,
            # A busy partition waits beside an idle one for this long.
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=2 * 1024 * 1024,
            metadata_max_age_ms=5_000,
        )

    async def __aenter__(self) -> Self:
        servers = self._consumer._client._bootstrap_servers  # noqa: SLF001 - for the message only
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._consumer.start()
                topics = await self._consumer.topics()
        except (kafka_errors.KafkaError, OSError, TimeoutError) as exc:
            await self._stop()
            raise BrokerUnavailableError(
                f"no Kafka broker answers at {servers} ({type(exc).__name__}): "
                "check INGEST_KAFKA__BOOTSTRAP_SERVERS and that the broker runs"
            ) from exc
        if self.topic not in topics:
            await self._stop()
            raise SetupError(
                f"the topic {self.topic} does not exist: run `ingest-service topics create`"
            )
        self._consumer.subscribe([self.topic], listener=self._listener)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        """Leave the group. With a dead broker aiokafka's stop hangs, or claims to be cancelled."""
        task = asyncio.current_task()
        cancelling = task.cancelling() if task else 0
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._consumer.stop()
        except asyncio.CancelledError:
            if task is not None and task.cancelling() > cancelling:
                raise
        except (kafka_errors.KafkaError, OSError, TimeoutError) as exc:
            _log.warning("left the group without saying so", error=type(exc).__name__)

    async def fetch(
        self, partitions: Sequence[int], max_records: int, seconds: float
    ) -> Mapping[int, Sequence[Record]]:
        """Return records by partition. After any exception: seek these partitions."""
        # `getmany()` of nothing would drain everybody's partitions.
        assert partitions
        await self._refuse_damaged(partitions)
        wanted = [TopicPartition(self.topic, partition) for partition in partitions]
        try:
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
        for position in wanted:
            if position.partition not in self._next or position in self._consumer.paused():
                continue
            self.seek(position.partition, self._next[position.partition])
            try:
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
        with suppress(UnicodeDecodeError, *_DAMAGED):
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
                end = await end_of_batch(self._consumer._client, position, self._next[partition])  # noqa: SLF001 - as below
        too_large = partition in self._too_large
        return batch_fault(position, self._next[partition], end, too_large=too_large)

    async def _fetch_tolerantly(self, position: TopicPartition) -> list[Any]:
        offset = self._next[position.partition]
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                records = await fetch_tolerantly(self._consumer._client, position, offset)  # noqa: SLF001 - aiokafka has no raw fetch
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

    async def stand_by(self, seconds: float) -> None:
        """Keep the membership while a writer has nothing to fetch.

        A member that never polls is put out of the group; `getmany()` of nothing is safe only
        while nobody has a partition, and only without waiting.
        """
        if not self.assigned:
            with suppress(kafka_errors.KafkaError):
                await self._consumer.getmany(timeout_ms=0)
        await asyncio.sleep(seconds)

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

    async def bounds(self, partitions: Sequence[int]) -> dict[int, Bounds]:
        """Ask the broker what each log holds."""
        wanted = [TopicPartition(self.topic, partition) for partition in partitions]
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                starts = await self._consumer.beginning_offsets(wanted)
                ends = await self._consumer.end_offsets(wanted)
        except (kafka_errors.KafkaError, OSError, TimeoutError) as exc:
            raise BrokerUnavailableError(
                f"asking for offsets failed ({type(exc).__name__})"
            ) from exc
        return {each.partition: Bounds(starts[each], ends[each]) for each in wanted}

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        """Tell Kafka how far we are. Only lag tools read it, so a failure is no reason to stop."""
        if not offsets:
            return True
        try:
            # aiokafka retries a commit for ever when the broker is gone.
            async with asyncio.timeout(_COMMIT_SECONDS):
                await self._consumer.commit(
                    {TopicPartition(self.topic, part): offset for part, offset in offsets.items()}
                )
        except (kafka_errors.KafkaError, OSError, TimeoutError) as exc:
            _log.debug("kafka commit failed", error=type(exc).__name__)
            return False
        return True


class _Listener(aiokafka.ConsumerRebalanceListener):
    """Only counts: whoever holds work of an older epoch drops it. No lock, so no deadlock."""

    def __init__(self, consumer: AuditConsumer) -> None:
        self._owner = consumer

    async def on_partitions_revoked(self, revoked: Any) -> None:
        del revoked
        self._owner.epoch += 1
        self._owner.assigned = ()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        partitions = tuple(sorted(each.partition for each in assigned))
        # Nothing is read before the durable offset was looked up.
        self._owner.pause(partitions)
        for partition in partitions:
            # Any position: without one each fetch raises that there is none, and a partition that
            # is stopped before its first seek would hold its neighbours up.
            self._owner.seek(partition, 0)
        self._owner.epoch += 1
        self._owner.assigned = partitions
        self._owner.joined = True
        _log.info("partitions assigned", topic=self._owner.topic, partitions=list(partitions))
