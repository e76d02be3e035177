"""A database in memory that enforces the ledger's laws, and fails when it is told to."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ingest_service.errors import (
    DatabaseUnavailableError,
    OwnershipLostError,
    PartitionFault,
    PartitionMissingError,
    RowKeyTakenError,
    RowRefusedError,
    Stop,
    StopReason,
)
from ingest_service.events.record import Row
from ingest_service.ledger import Entry, Head, Stream
from ingest_service.originals import OriginalsUnreadableError, unpack_originals
from ingest_service.shapes import Conflict, QuarantineRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

_MOST_DAYS = 400

Placed = tuple[int, Row]
Key = tuple[str, int]


@dataclass
class Tables:
    """What is committed, or what one transaction sees."""

    streams: list[Stream] = field(default_factory=list)
    ledger: dict[int, list[Entry]] = field(default_factory=dict)
    rows: dict[Key, Placed] = field(default_factory=dict)
    originals: dict[tuple[int, int], bytes] = field(default_factory=dict)
    quarantine: dict[tuple[int, int], QuarantineRow] = field(default_factory=dict)
    days: set[dt.date] | None = None
    """The days that have a partition; None: chunks make themselves."""

    def copy(self) -> Tables:
        return replace(
            self,
            streams=list(self.streams),
            ledger={stream: list(entries) for stream, entries in self.ledger.items()},
            rows=dict(self.rows),
            originals=dict(self.originals),
            quarantine=dict(self.quarantine),
            days=None if self.days is None else set(self.days),
        )

    def insert(self, stream_id: int, row: Row) -> None:
        _refuse_bad(row)
        day = dt.date(1970, 1, 1) + dt.timedelta(days=row.timestamp_us // 86_400_000_000)
        if self.days is not None and day not in self.days:
            raise PartitionMissingError("no partition")
        if (row.id, row.timestamp_us) in self.rows:
            raise RowKeyTakenError("taken")
        self.rows[row.id, row.timestamp_us] = (stream_id, row)

    def stage(self, stream_id: int, row: Row) -> Conflict | None:
        try:
            self.insert(stream_id, row)
        except RowKeyTakenError:
            taken_stream, taken = self.rows[row.id, row.timestamp_us]
            place = (taken_stream, taken.kafka_offset)
            if place != (stream_id, row.kafka_offset):
                return Conflict(
                    stream_id, row.kafka_offset, place, _content(row) == _content(taken)
                )
        return None

    def append(self, entry: Entry) -> None:
        """Refuse what the real table's keys and checks refuse."""
        entries = self.ledger.setdefault(entry.stream_id, [])
        continues = (
            entry.kind == "start" and entry.previous_hash is None
            if not entries
            else entry.kind == "records"
            and entry.previous_hash == entries[-1].hash
            and entry.first_offset == entries[-1].next_offset < entry.next_offset
        )
        if entry.sequence != len(entries) or not continues:
            raise OwnershipLostError("the ledger's head has moved")
        entries.append(entry)


@dataclass
class FakeServer:
    """One database; `connect` opens sessions on it. Faults are set here, by the test."""

    tables: Tables = field(default_factory=Tables)
    available: bool = True
    lose_commit_answers: int = 0
    refuses_entries: bool = False
    """As row-level security does to a role that may not append."""
    refuses_row: Callable[[Row], bool] = lambda row: False
    before_commit: Callable[[], None] | None = None
    """Runs once, inside the next transaction that commits, just before it does."""
    commits: int = 0
    holders: dict[int, FakeDatabase] = field(default_factory=dict)

    def connect(self, takeover_seconds: float = 0.2) -> FakeDatabase:
        return FakeDatabase(self, takeover_seconds)

    def head(self, stream_id: int) -> Head:
        return self.tables.ledger[stream_id][-1].head


class FakeDatabase:
    """Implements `persist.ports.Database` as one session on a `FakeServer`."""

    def __init__(self, server: FakeServer, takeover_seconds: float) -> None:
        self._server = server
        self._takeover_seconds = takeover_seconds
        self._work: list[Callable[[Tables], Any]] | None = None
        self._seen = server.tables
        self.ended = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self.ended = False  # a new session, if need be
        self._require()
        self._work, self._seen = [], self._server.tables.copy()
        try:
            yield
            self._require()
            self._commit()
        finally:
            for stream_id in [s for s, holder in self._server.holders.items() if holder is self]:
                del self._server.holders[stream_id]
            self._work = None

    def _commit(self) -> None:
        assert self._work is not None
        if (act := self._server.before_commit) is not None:
            self._server.before_commit = None
            act()
        tables = self._server.tables.copy()
        for step in self._work:
            step(tables)
        self._server.tables = tables
        self._server.commits += 1
        if self._server.lose_commit_answers:
            self._server.lose_commit_answers -= 1
            raise DatabaseUnavailableError("no answer to COMMIT")

    def _require(self) -> None:
        if not self._server.available or self.ended:
            raise DatabaseUnavailableError("away")

    def _read(self) -> Tables:
        if self._work is None:
            self.ended = False
        self._require()
        return self._server.tables if self._work is None else self._seen

    def _write(self, step: Callable[[Tables], Any]) -> Any:
        self._read()
        if self._work is None:
            tables = self._server.tables.copy()
            result = step(tables)
            self._server.tables = tables
        else:
            result = step(self._seen)
            self._work.append(step)
        return result

    async def lock(self, stream_ids: Sequence[int]) -> None:
        clock = asyncio.get_running_loop().time
        for stream_id in sorted(stream_ids):
            deadline = clock() + self._takeover_seconds
            while (holder := self._server.holders.get(stream_id, self)) is not self:
                if clock() > deadline:
                    holder.ended = True
                    break
                await asyncio.sleep(0.001)
            self._require()
            self._server.holders[stream_id] = self
        self._seen = self._server.tables.copy()

    async def heads(self, stream_ids: Sequence[int]) -> dict[int, Head]:
        ledger = self._read().ledger
        return {each: ledger[each][-1].head for each in stream_ids if ledger.get(each)}

    async def copy_rows(self, rows: Iterable[tuple[int, Sequence[Row]]]) -> None:
        placed = _placed(rows)

        def copy(tables: Tables) -> None:
            for stream_id, row in placed:
                self._refuse(row)
                tables.insert(stream_id, row)

        self._write(copy)

    async def stage_rows(self, rows: Iterable[tuple[int, Sequence[Row]]]) -> list[Conflict]:
        placed = sorted(_placed(rows), key=lambda each: (each[0], each[1].kafka_offset))

        def stage(tables: Tables) -> list[Conflict]:
            for _, row in placed:
                self._refuse(row)
            found = [tables.stage(stream_id, row) for stream_id, row in placed]
            return [conflict for conflict in found if conflict is not None]

        conflicts: list[Conflict] = self._write(stage)
        return conflicts

    def _refuse(self, row: Row) -> None:
        if self._server.refuses_row(row):
            raise RowRefusedError("refused")

    async def refuses(self, stream_id: int, rows: Sequence[Row]) -> bool:
        self._require()
        tables = self._server.tables.copy()
        try:
            for row in rows:
                self._refuse(row)
                tables.stage(stream_id, row)
        except RowRefusedError:
            return True
        return False

    async def add_originals(self, originals: Sequence[tuple[int, int, bytes]]) -> None:
        kept = {(stream_id, sequence): packed for stream_id, sequence, packed in originals}
        self._write(lambda tables: tables.originals.update(kept))

    async def add_quarantine(self, rows: Sequence[QuarantineRow]) -> None:
        kept = {(each.stream_id, each.kafka_offset): each for each in rows}
        self._write(lambda tables: tables.quarantine.update(kept))

    async def append(self, entries: Sequence[Entry]) -> None:
        if self._server.refuses_entries:
            raise OwnershipLostError("not allowed")
        self._write(lambda tables: [tables.append(entry) for entry in entries])

    async def make_partitions(self, days: Sequence[dt.date]) -> None:
        wanted = set(days)
        assert len(wanted) <= _MOST_DAYS
        self._write(lambda tables: None if tables.days is None else tables.days.update(wanted))

    async def stream(self, topic: str, partition: int) -> Stream:
        found = [each for each in self._read().streams if each[1:3] == (topic, partition)]
        if found:
            return max(found, key=lambda stream: stream.epoch)
        opened = Stream(len(self._server.tables.streams) + 1, topic, partition, 1)
        self._write(lambda tables: tables.streams.append(opened))
        return opened

    async def last_frame(self, stream: Stream, head: Head) -> bytes | None:
        tables = self._read()
        for entry in reversed(tables.ledger.get(stream.id, [])):
            if entry.kind == "records" and entry.next_offset == head.next_offset:
                packed = tables.originals[stream.id, entry.sequence]
                try:
                    return unpack_originals(packed, stream.topic, stream.partition)[-1].frame
                except OriginalsUnreadableError as exc:
                    stop = Stop(StopReason.ORIGINALS_DAMAGED, str(exc))
                    raise PartitionFault(stream.topic, stream.partition, stop) from exc
        return None

    async def rejected_in_a_row(self, stream_id: int) -> int:
        total = 0
        for entry in reversed(self._read().ledger.get(stream_id, [])):
            if entry.row_count + entry.duplicate_count:
                break
            total += entry.quarantine_count
        return total


def _placed(rows: Iterable[tuple[int, Sequence[Row]]]) -> list[Placed]:
    return [(stream_id, row) for stream_id, of_stream in rows for row in of_stream]


def _refuse_bad(row: Row) -> None:
    """Refuse what columns, checks and jsonb refuse."""
    try:
        UUID(row.id)
        json.loads(row.metadata)
    except ValueError as exc:
        raise RowRefusedError("refused") from exc
    if row.reason is None or "\0" in row.reason or row.decision not in ("allow", "deny"):
        raise RowRefusedError("refused")


def _content(row: Row) -> tuple[Any, ...]:
    """Return what a duplicate must share; numbers as jsonb prints them: 1.10 is not 1.1."""
    metadata = json.loads(row.metadata, parse_float=lambda text: Decimal(text).as_tuple())
    return (*row[1:8], row.gateway_request_id, json.dumps(metadata, sort_keys=True))
