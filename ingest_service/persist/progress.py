"""Until when each partition is complete, also a quiet one: noted beside the writers for auditors.

The database's clock is read first, then the broker is asked where the logs end. Whatever is not
before those ends was not acknowledged at that time. Once all before them is durable, the two are
noted: what the partition then lacks is younger.
"""

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import structlog

from ingest_service.errors import IngestError
from ingest_service.shapes import Bounds

_EVERY_SECONDS = 15.0
_SINKS_EVERY_SECONDS = 60.0

_log = structlog.get_logger(__name__)

SinkOffsets = Mapping[tuple[str, int], int]
"""How far sinks are: by sink and partition."""


class Notes(Protocol):
    """Where it is noted; every method may raise an `IngestError`."""

    async def clock(self) -> dt.datetime:
        """Return the database's time."""
        ...

    async def note(
        self, topic: str, asked_at: dt.datetime, partitions: int, ends: Mapping[int, int]
    ) -> None:
        """Note that these logs ended there at that time, of a topic with so many partitions."""
        ...

    async def note_sinks(self, topic: str, offsets: SinkOffsets) -> None:
        """Note how far each sink is."""
        ...


class Logs(Protocol):
    """What is assigned to this worker, and where its logs end."""

    @property
    def topic(self) -> str:
        """The topic that is read."""
        ...

    @property
    def partition_count(self) -> int:
        """How many partitions the topic has, whoever has them."""
        ...

    @property
    def epoch(self) -> int:
        """A number that grows with each assignment."""
        ...

    @property
    def assigned(self) -> Sequence[int]:
        """The partitions of this epoch."""
        ...

    async def bounds(self, partitions: Sequence[int]) -> dict[int, Bounds]:
        """Ask the broker what each log holds."""
        ...


class Moment(NamedTuple):
    """When the broker was asked, and how many partitions the topic had then."""

    asked_at: dt.datetime
    partitions: int


class Marks:
    """Where logs ended when they were asked for, until all before that is durable."""

    def __init__(self) -> None:
        self._marks: dict[int, tuple[Moment, int]] = {}

    def missing(self, durable: Iterable[int]) -> list[int]:
        """Return the partitions that have no mark."""
        return [partition for partition in durable if partition not in self._marks]

    def add(
        self, moment: Moment, ends: Mapping[int, int], durable_before: Mapping[int, int]
    ) -> None:
        """Set marks. `durable_before` is what was durable before the broker was asked.

        A log that ends before that is not the one that the ledger knows: the topic was made again.
        """
        for partition, end in ends.items():
            if end >= durable_before[partition]:
                self._marks[partition] = moment, end

    def reached(self, durable: Mapping[int, int]) -> dict[Moment, dict[int, int]]:
        """Return the marks up to which all is durable: ends by partition, by when it was asked."""
        found: dict[Moment, dict[int, int]] = {}
        for partition, (moment, end) in self._marks.items():
            if durable.get(partition, -1) >= end:
                found.setdefault(moment, {})[partition] = end
        return found

    def remove(self, partitions: Iterable[int]) -> None:
        """Take marks away: they are noted."""
        for partition in partitions:
            del self._marks[partition]

    def clear(self) -> None:
        """Take all marks away: the partitions may be somebody else's."""
        self._marks.clear()


async def note_progress(
    logs: Logs,
    durable: Mapping[int, int],
    notes: Notes,
    sink_offsets: Callable[[], Awaitable[SinkOffsets]],
) -> None:
    """Note for ever what is known; `durable` is kept up to date by the writers.

    What fails is tried again with the next turn: nobody's work waits for it.
    """
    marks, epoch, sinks_due = Marks(), logs.epoch, 0.0
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        if logs.epoch != epoch:
            marks.clear()
            epoch = logs.epoch
        try:
            await _note_partitions(logs, durable, notes, marks)
            if time.monotonic() >= sinks_due and logs.assigned:
                sinks_due = time.monotonic() + _SINKS_EVERY_SECONDS
                await _note_sinks(logs, notes, await sink_offsets())
        except IngestError as exc:
            _log.warning("progress not noted", topic=logs.topic, why=str(exc))


async def _note_partitions(
    logs: Logs, durable: Mapping[int, int], notes: Notes, marks: Marks
) -> None:
    """Ask for the ends of the partitions without a mark; note the marks that are reached."""
    before = {partition: durable[partition] for partition in logs.assigned if partition in durable}
    if wanted := marks.missing(before):
        moment = Moment(await notes.clock(), logs.partition_count)
        bounds = await logs.bounds(wanted)
        marks.add(moment, {partition: each.end for partition, each in bounds.items()}, before)
    for moment, ends in marks.reached(durable).items():
        await notes.note(logs.topic, moment.asked_at, moment.partitions, ends)
        marks.remove(ends)


async def _note_sinks(logs: Logs, notes: Notes, offsets: SinkOffsets) -> None:
    own = {place: offset for place, offset in offsets.items() if place[1] in logs.assigned}
    if own:
        await notes.note_sinks(logs.topic, own)
