"""A broker in memory with one topic and one consumer group, which misbehaves when it is told to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingest_service.errors import BrokerUnavailableError, PartitionFault, Stop, StopReason
from ingest_service.shapes import Bounds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from ingest_service.events.record import Record

_LONGEST_WAIT_SECONDS = 0.005
"""Tests do not wait as long as a broker may; what is asked for still comes round."""


@dataclass
class FakeBroker:
    """The logs, by partition; faults are set here, by the test."""

    topic: str
    logs: list[list[Record]]
    log_append_time: bool = True
    available: bool = True
    leaderless: set[int] = field(default_factory=set)
    starts: dict[int, int] = field(default_factory=dict)
    dropped_once: set[tuple[int, int]] = field(default_factory=set)
    """Records, by partition and offset, that one fetch forgets, as aiokafka may after an error."""
    committed: dict[int, int] = field(default_factory=dict)
    members: list[FakeSource] = field(default_factory=list)

    @asynccontextmanager
    async def member(self) -> AsyncIterator[FakeSource]:
        """Join the group, and leave it at the end."""
        source = FakeSource(self)
        self.members.append(source)
        self.rebalance()
        try:
            yield source
        finally:
            self.members.remove(source)
            self.rebalance()

    def rebalance(self) -> None:
        """Share the partitions out anew: everybody is told, even who keeps what it had."""
        for index, member in enumerate(self.members):
            member.reassign(tuple(range(index, len(self.logs), len(self.members))))

    def bounds(self, partition: int) -> Bounds:
        log, start = self.logs[partition], self.starts.get(partition, 0)
        return Bounds(start, max(start, log[-1].offset + 1 if log else 0))


class FakeSource:
    """Implements `persist.ports.Source` as one member of the group."""

    def __init__(self, broker: FakeBroker) -> None:
        self.topic = broker.topic
        self.epoch = 0
        self.joined = False
        self.assigned: tuple[int, ...] = ()
        self.fetches = 0
        self.sought: list[tuple[int, int]] = []
        self._broker = broker
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()

    @property
    def partition_count(self) -> int:
        return len(self._broker.logs)

    def reassign(self, partitions: tuple[int, ...]) -> None:
        self.epoch += 2  # revoked, assigned
        self.assigned, self.joined = partitions, True
        self._paused = set(partitions)
        self._positions = {}

    async def fetch(
        self, partitions: Sequence[int], max_records: int, seconds: float
    ) -> Mapping[int, Sequence[Record]]:
        assert partitions
        self.fetches += 1
        if not self._broker.available:
            raise BrokerUnavailableError("away")
        clock = asyncio.get_running_loop().time
        deadline = clock() + min(seconds, _LONGEST_WAIT_SECONDS)
        while not (fetched := self._drain(partitions, max_records)) and clock() < deadline:  # noqa: ASYNC110 - as a consumer polls
            await asyncio.sleep(0.001)
        return fetched

    def _drain(self, partitions: Sequence[int], room: int) -> dict[int, Sequence[Record]]:
        fetched: dict[int, Sequence[Record]] = {}
        for partition in partitions:
            if partition not in self.assigned or partition in self._paused or not room:
                continue
            if records := self._read(partition, room):
                fetched[partition] = records
                room -= len(records)
        return fetched

    def _read(self, partition: int, room: int) -> list[Record]:
        position = self._positions[partition]
        start, end = self._broker.bounds(partition)
        if not start <= position <= end:
            stop = Stop(StopReason.GAP, "outside of what the log holds")
            raise PartitionFault(self.topic, partition, stop)
        found = [r for r in self._broker.logs[partition] if r.offset >= position][:room]
        if not found:
            return []
        if not self._broker.log_append_time:
            stop = Stop(StopReason.CREATE_TIME, "set message.timestamp.type=LogAppendTime")
            raise PartitionFault(self.topic, partition, stop)
        self._positions[partition] = found[-1].offset + 1
        kept = [r for r in found if (partition, r.offset) not in self._broker.dropped_once]
        self._broker.dropped_once -= {(partition, r.offset) for r in found}
        return kept

    async def stand_by(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, _LONGEST_WAIT_SECONDS))

    def seek(self, partition: int, offset: int) -> None:
        if partition in self.assigned:
            self.sought.append((partition, offset))
            self._positions[partition] = offset

    def pause(self, partitions: Iterable[int]) -> None:
        self._paused |= set(partitions)

    def resume(self, partitions: Iterable[int]) -> None:
        self._paused -= set(partitions)

    def is_paused(self, partition: int) -> bool:
        return partition in self._paused

    async def bounds(self, partitions: Sequence[int]) -> dict[int, Bounds]:
        if not self._broker.available:
            raise BrokerUnavailableError("away")
        return {partition: self._broker.bounds(partition) for partition in partitions}

    async def ends(self) -> dict[int, int | None]:
        every = await self.bounds(range(len(self._broker.logs)))
        return {
            partition: None if partition in self._broker.leaderless else bounds.end
            for partition, bounds in every.items()
        }

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        if self._broker.available:
            self._broker.committed |= {
                n: offset for n, offset in offsets.items() if n in self.assigned
            }
        return self._broker.available
