"""A dead-letter topic in memory, and a sink that refuses what it is told to."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ingest_service.errors import SinkUnavailableError
from ingest_service.events.record import StoredRecord
from ingest_service.forward.answers import Why
from ingest_service.forward.dead_letter import DeadLetter, Refusal, headers_of
from ingest_service.forward.ports import Encoded, Unsendable
from ingest_service.replay.courier import Delivered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from ingest_service.events.record import Record

PARTITIONS = 3


class Topic:
    """Implements `Letters` and `DeadLetters`: what is sent is there for the next run."""

    def __init__(self) -> None:
        self.partitions: dict[int, list[StoredRecord]] = defaultdict(list)

    def add(self, partition: int, sink: str, source_offset: int, reason: str = "bad") -> None:
        """Put in the letter of a record of `events/0`."""
        record = StoredRecord("events", 0, source_offset, 5, b"k", b"{%d}" % source_offset)
        self._append(partition, record.key, record.value, headers_of(record, Refusal(sink, reason)))

    async def send(self, source_partition: int, key: Any, value: Any, headers: Any) -> None:
        self._append(source_partition, key, value, headers)

    def _append(self, partition: int, key: Any, value: Any, headers: Any) -> None:
        log = self.partitions[partition]
        log.append(StoredRecord("dead", partition, len(log), 9, key, value, headers))

    async def records(self, partition: int | None = None, first: int = 0) -> AsyncIterator[Record]:
        for number in range(PARTITIONS) if partition is None else [partition]:
            for record in list(self.partitions[number][first:]):
                yield record


class Post:
    """Implements `Couriers`: remembers what arrived; refuses these offsets, or goes away."""

    def __init__(self, name: str = "splunk") -> None:
        self.sink: Any = SimpleNamespace(name=name, encode=self._encode)
        self.arrived: list[int] = []
        self.refuses: Collection[int] = ()
        self.too_large: Collection[int] = ()
        self.goes_away_after: int | None = None

    def _encode(self, records: Sequence[Record]) -> list[Encoded]:
        cut = Unsendable(Why("too_large", "too large"), b"cut")
        return [cut if each.offset in self.too_large else each.value or b"" for each in records]

    async def deliver(self, records: Sequence[Record]) -> Delivered:
        if self.goes_away_after is not None and len(self.arrived) >= self.goes_away_after:
            raise SinkUnavailableError("gone")
        refused = [record for record in records if record.offset in self.refuses]
        taken = [record.offset for record in records if record.offset not in self.refuses]
        self.arrived += taken
        letters = [DeadLetter(_stored(each), Refusal(self.sink.name, "bad")) for each in refused]
        return Delivered(len(taken), 0, letters)


def _stored(record: Record) -> StoredRecord:
    assert isinstance(record, StoredRecord)
    return record
