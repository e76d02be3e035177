"""The consumer: one member of the persister's group, and the records of its partitions.

`docs/design.md` says which bug each of the unusual choices here prevents.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka import errors as kafka_errors
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.structs import TopicPartition

from ingest_service.adapters.kafka_assignment import Assignment
from ingest_service.adapters.kafka_options import client_options
from ingest_service.adapters.kafka_reach import why_unreachable
from ingest_service.adapters.kafka_reader import RecordReader
from ingest_service.errors import BrokerUnavailableError, SetupError
from ingest_service.settings import KafkaSettings
from ingest_service.shapes import Bounds

_START_SECONDS = 30
_ASK_SECONDS = 10
_COMMIT_SECONDS = 5
_STOP_SECONDS = 10
_SESSION_MS = 10_000
_MAX_POLL_MS = 300_000

_NO_ANSWER = (kafka_errors.KafkaError, OSError, TimeoutError)

_log = structlog.get_logger(__name__)


class AuditConsumer(RecordReader):
    """Implements `persist.ports.Source` for the length of an `async with` block.

    Entering raises `BrokerUnavailableError` or `SetupError`, which say per server what is wrong.
    """

    def __init__(self, kafka: KafkaSettings, group: str) -> None:
        self._options = client_options(kafka)
        super().__init__(_member(self._options, group), kafka.topic)
        self._assignment = Assignment(self)

    @property
    def epoch(self) -> int:
        """A number that grows with each assignment: work from an older one is void."""
        return self._assignment.epoch

    @property
    def assigned(self) -> tuple[int, ...]:
        """The partitions of this epoch, in order."""
        return self._assignment.partitions

    @property
    def partition_count(self) -> int:
        """How many partitions the topic has, whoever has them, as of the last 5 s."""
        return len(self._consumer.partitions_for_topic(self.topic) or ())

    @property
    def joined(self) -> bool:
        """Whether the group has answered once: with partitions, or to stand by."""
        return self._assignment.joined

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._consumer.start()
                topics = await self._consumer.topics()
        except (kafka_errors.KafkaError, OSError, TimeoutError) as exc:
            await self._stop()
            raise await why_unreachable(self._options) from exc
        if self.topic not in topics:
            await self._stop()
            raise SetupError(
                f"the topic {self.topic} does not exist: run `ingest-service topics create`"
            )
        self._consumer.subscribe([self.topic], listener=self._assignment)
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

    async def stand_by(self, seconds: float) -> None:
        """Keep the membership while a writer has nothing to fetch.

        A member that never polls is put out of the group; `getmany()` of nothing is safe only
        while nobody has a partition, and only without waiting.
        """
        if not self.assigned:
            with suppress(kafka_errors.KafkaError):
                await self._consumer.getmany(timeout_ms=0)
        await asyncio.sleep(seconds)

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

    async def ends(self) -> dict[int, int | None]:
        """Ask where each partition of the topic ends; None where nobody answers for it.

        Asked together, one partition without a leader would hide the ends of all.
        """
        every = sorted(self._consumer.partitions_for_topic(self.topic) or ())
        answers = await asyncio.gather(*map(self._end, every), return_exceptions=True)
        found: dict[int, int | None] = {}
        for partition, answer in zip(every, answers, strict=True):
            if isinstance(answer, BaseException) and not isinstance(answer, _NO_ANSWER):
                raise answer
            found[partition] = None if isinstance(answer, BaseException) else answer
        if every and all(end is None for end in found.values()):
            raise BrokerUnavailableError(f"asking for offsets failed ({_named(answers)})")
        return found

    async def _end(self, partition: int) -> int:
        position = TopicPartition(self.topic, partition)
        async with asyncio.timeout(_ASK_SECONDS):
            ends: dict[TopicPartition, int] = await self._consumer.end_offsets([position])
        return ends[position]

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


def _named(answers: Sequence[object]) -> str:
    return ", ".join(sorted({type(answer).__name__ for answer in answers}))


def _member(options: Mapping[str, Any], group: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **options,
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
        # Bounds memory with many partitions; a larger batch comes all the same, alone.
        max_partition_fetch_bytes=512 * 1024,
        metadata_max_age_ms=5_000,
    )
