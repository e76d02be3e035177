"""The partitions that one writer pulls for: opened at the durable offset, stopped one by one."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import structlog

from ingest_service.errors import (
    BrokerUnavailableError,
    DatabaseUnavailableError,
    OwnershipLostError,
    PartitionFault,
    SetupError,
    Stop,
    StopReason,
)
from ingest_service.events.decode import Decode
from ingest_service.ledger import Head, Rules, Stream, start_entry
from ingest_service.persist.batching import BatchLimits
from ingest_service.persist.delivery import MAY_NOT_APPEND
from ingest_service.persist.partition import Partition, where_to_begin
from ingest_service.persist.ports import Database, Observer, Source
from ingest_service.persist.retry import backoff_seconds
from ingest_service.persist.segment import Segment, rejected_in_a_row
from ingest_service.shapes import Bounds

_FAULT_RETRY_SECONDS = 10.0
_CHECK_SECONDS = 30.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Duty:
    """What all writers of a worker share: what they read, how they judge, whom they tell."""

    source: Source
    observer: Observer
    decode: Decode
    rules: Rules
    limits: BatchLimits
    garbage_limit: int
    stopping: asyncio.Event
    rng: Random = field(default_factory=Random)


class Assignment:
    """Every n-th of the worker's partitions, as of one epoch of the consumer group.

    A partition that cannot go on stops alone and is looked at again later, so that an operator's
    ledger entry is noticed without a restart.
    """

    def __init__(self, index: int, writers: int, database: Database, duty: Duty) -> None:
        self.partitions: dict[int, Partition] = {}
        self._share = slice(index, None, writers)
        self._database = database
        self._duty = duty
        self._source = duty.source
        self._epoch = -1
        self._failures = 0
        self._check_at = 0.0

    @property
    def is_current(self) -> bool:
        """Whether no rebalance has happened since `follow`: else all that was gathered is void."""
        return self._epoch == self._source.epoch

    @property
    def share(self) -> Sequence[int]:
        """This writer's partitions of what is assigned now, whether or not it follows yet."""
        return self._source.assigned[self._share]

    @property
    def has_due(self) -> bool:
        """Whether a partition waits to be opened now, or the heads to be looked at."""
        now = _now()
        return self._check_at <= now or any(
            not each.is_open and each.retry_at <= now for each in self.partitions.values()
        )

    def follow(self) -> None:
        """Take over this writer's share of what is assigned now; nothing of it is open yet."""
        self._epoch = self._source.epoch
        mine = self.share
        for number in self.partitions.keys() - set(mine):
            self._duty.observer.forget_partition(self._source.topic, number)
        self.partitions = {number: Partition(self._source.topic, number) for number in mine}

    async def open_due(self, beat: Callable[[], None]) -> None:
        """Open what waits for it; when the database or the broker is away, try again later.

        Nothing of these partitions may be on its way to the ledger. `beat` is called before each:
        thirty partitions on a slow database are minutes of progress, and no loop that hangs.
        """
        now = _now()
        due = [p for p in self.partitions.values() if not p.is_open and p.retry_at <= now]
        try:
            if self._check_at <= now:
                await self._check_heads()
            for partition in due:
                beat()
                await self._open(partition)
            self._failures = 0
        except PartitionFault as fault:
            self.stop(self.partitions[fault.partition], fault.stop)
        except (DatabaseUnavailableError, BrokerUnavailableError) as exc:
            self._failures += 1
            retry_at = _now() + backoff_seconds(self._failures, self._duty.rng)
            for partition in due:
                partition.retry_at = max(partition.retry_at, retry_at)
            if isinstance(exc, DatabaseUnavailableError):
                self._check_at = retry_at
                self._duty.observer.database_unavailable(str(exc))

    async def _check_heads(self) -> None:
        """Go back to the head of each partition that does not stand there any more.

        A failover to a replica that lost the last transactions does that. A write finds it out by
        itself, but on a quiet partition the next one may be days away, and Kafka forgets.
        """
        began = _now()
        # An empty segment is false: ask whether there is one.
        opened = {p: p.segment for p in self.partitions.values() if p.segment is not None}
        if opened:
            heads = await self._database.heads([each.stream.id for each in opened.values()])
            self._duty.observer.database_available(_now() - began)
        for partition, segment in opened.items():
            if not segment.continues(heads.get(segment.stream.id)):
                _log.warning(
                    "ledger head is elsewhere",
                    topic=partition.topic,
                    partition=partition.number,
                )
                self.reopen(partition.number)
        self._check_at = _now() + _CHECK_SECONDS

    async def _open(self, partition: Partition) -> None:
        """Seek to the durable offset, which is the ledger's and not Kafka's."""
        stream = await self._database.stream(partition.topic, partition.number)
        bounds = (await self._source.bounds([partition.number]))[partition.number]
        head = await self._head(stream, bounds)
        last_frame = await self._database.last_frame(stream, head)
        partition.rejected_in_a_row = await self._database.rejected_in_a_row(stream.id)
        beginning = where_to_begin(head, bounds, last_frame, partition.number)
        if isinstance(beginning, Stop):
            self.stop(partition, beginning)
        elif not self._stop_at_garbage(partition) and self.is_current:
            partition.open(stream, head, beginning, self._duty.rules)
            self._source.seek(partition.number, partition.position)
            self._source.resume([partition.number])
            self._duty.observer.durable_offset(partition.topic, partition.number, head.next_offset)

    async def _head(self, stream: Stream, bounds: Bounds) -> Head:
        head = (await self._database.heads([stream.id])).get(stream.id)
        if head is not None:
            return head
        entry = start_entry(stream, bounds.start, self._duty.rules)
        try:
            async with self._database.transaction():
                await self._database.append([entry])
        except OwnershipLostError:
            # While a group forms, two workers can begin the same stream: the other one was first.
            head = (await self._database.heads([stream.id])).get(stream.id)
            if head is None:
                raise SetupError(MAY_NOT_APPEND) from None
            return head
        return entry.head

    def stop(self, partition: Partition, stop: Stop) -> None:
        """Stop one partition, say why once, look again later; its neighbours go on."""
        if partition.fault != stop.message:
            _log.error(
                "partition stopped",
                topic=partition.topic,
                partition=partition.number,
                reason=stop.reason,
                why=stop.message,
            )
        self._duty.observer.partition_stopped(partition.topic, partition.number, stop)
        partition.close(_now() + _FAULT_RETRY_SECONDS, stop.message)
        self._source.pause([partition.number])

    def reopen(self, number: int) -> None:
        """Drop what was gathered of a partition that somebody else moved, and look again."""
        partition = self.partitions.get(number)
        if partition is not None:
            partition.close(_now())
            self._source.pause([number])

    def committed(self, segment: Segment) -> None:
        """Note that these records are durable; stop at a flood of garbage."""
        partition = self.partitions.get(segment.stream.partition)
        if partition is None or not partition.is_open:
            return
        self._duty.observer.durable_offset(partition.topic, partition.number, segment.next_offset)
        partition.rejected_in_a_row = rejected_in_a_row(
            segment.verdicts, partition.rejected_in_a_row
        )
        self._stop_at_garbage(partition)

    def _stop_at_garbage(self, partition: Partition) -> bool:
        limit = self._duty.garbage_limit
        if not limit or partition.rejected_in_a_row < limit:
            return False
        message = (
            f"{partition.rejected_in_a_row} records in a row were no events: mend the publisher. "
            "To go on past them, start `INGEST_EVENTS__GARBAGE_LIMIT=0 ingest-service persist` "
            "(no limit) in place of this worker, until good events come"
        )
        self.stop(partition, Stop(StopReason.GARBAGE_LIMIT, message))
        return True

    def pause(self) -> None:
        """Let nothing come, as long as no rebalance made these partitions somebody else's."""
        if self.is_current:
            self._source.pause(self.partitions)

    def resume(self) -> None:
        """Go on where each open partition stands; what came meanwhile was dropped."""
        if self.is_current:
            self.rewind()
            self._source.resume([n for n, each in self.partitions.items() if each.is_open])

    def rewind(self) -> None:
        """Seek this writer's own partitions to where they stand.

        After an exception the consumer has moved past records that it never handed out; seeking
        the neighbours' partitions would repeat records of theirs.
        """
        for partition in self.partitions.values():
            if partition.is_open:
                self._source.seek(partition.number, partition.position)


def _now() -> float:
    return asyncio.get_running_loop().time()
