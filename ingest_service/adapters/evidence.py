"""One snapshot of the database for `verify`, and what it reads of the chain."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

import asyncpg
import msgspec

from ingest_service import ledger
from ingest_service.adapters import evidence_ledger as sql
from ingest_service.adapters.evidence_tables import Tables
from ingest_service.adapters.sessions import in_role, open_session
from ingest_service.ledger import Entry, Stream
from ingest_service.shapes import Cut

FIRST, LAST = -(2**63), 2**63 - 1
"""The least and the greatest sequence that the tables can hold."""

PACKED_BYTES = 64 * 1024 * 1024
"""More than any entry's originals take: what is larger was forged, and is not even fetched."""

_FETCH_BYTES = 16 * 1024 * 1024
_ENTRIES_A_FETCH = 500
_ORIGINALS_A_FETCH = 100

_BEGIN = "begin isolation level repeatable read read only"
_EXPORT = "select pg_export_snapshot()"


class _Size(NamedTuple):
    """Where an entry's originals are, and how large."""

    sequence: int
    created_at: datetime
    packed_bytes: int


@asynccontextmanager
async def open_evidence(dsn: str, snapshot: str | None = None) -> AsyncIterator["Evidence"]:
    """Yield one read-only snapshot, on two connections: one reads on while the other compares.

    With the `snapshot` of another evidence that is still open: exactly what that one sees. Raises
    `SetupError` or `DatabaseUnavailableError`, with what to do about it, also out of every method
    while it is open.
    """
    with in_role("gateway_audit_operator"):
        async with open_session(dsn, "verify") as reader, open_session(dsn, "verify") as comparer:
            await _begin(reader, snapshot)
            # In index order, never by sorting a stream's whole originals first.
            await reader.execute("set local enable_sort = off")
            exported = snapshot or await reader.fetchval(_EXPORT)
            tables = Tables(comparer, lambda: _begin(comparer, exported))
            await tables.begin()
            yield Evidence(reader, tables, exported)


async def _begin(connection: asyncpg.Connection, snapshot: str | None) -> None:
    await connection.execute(_BEGIN)
    if snapshot is not None:
        await connection.execute(f"set transaction snapshot '{snapshot}'")


class Evidence:
    """The ledger and the originals as of one moment; `tables` are the rows and the quarantine.

    `entries` and `originals` may be read while one comparison at a time is under way.
    """

    def __init__(self, reader: asyncpg.Connection, tables: Tables, snapshot: str) -> None:
        self.tables = tables
        self.snapshot = snapshot
        self._reader = reader

    async def streams(self) -> list[Stream]:
        """Return every stream by topic, partition and epoch."""
        return [Stream(*row) for row in await self._reader.fetch(sql.STREAMS)]

    async def cuts(
        self, stream_id: int, records: int, first: int = FIRST, last: int = LAST
    ) -> list[Cut]:
        """Return a stream's entries, or those from sequence to sequence, in runs of so many."""
        found = await self._reader.fetch(sql.CUTS, stream_id, first, last, records)
        return [Cut(*row) for row in found]

    async def entries(
        self, stream_id: int, first: int = FIRST, last: int = LAST
    ) -> AsyncIterator[Entry]:
        """Yield the ledger entries from one sequence to another, a fetch at a time."""
        cursor = self._reader.cursor(sql.ENTRIES, stream_id, first, last, prefetch=_ENTRIES_A_FETCH)
        async for row in cursor:
            yield _entry(row)

    async def entries_before(self, stream_id: int, sequence: int) -> list[Entry]:
        """Return the two entries before a sequence, or as many as there are, in order."""
        found = await self._reader.fetch(sql.ENTRIES_BEFORE, stream_id, sequence)
        return [_entry(row) for row in reversed(found)]

    async def entries_of(
        self, stream_id: int, offsets: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Return, of each range of offsets that entries hold, the first and last sequence."""
        firsts, ends = [each[0] for each in offsets], [each[1] for each in offsets]
        found = await self._reader.fetch(sql.ENTRIES_OF_OFFSETS, stream_id, firsts, ends)
        return [(row[0], row[1]) for row in found]

    async def last_sequence(self, stream_id: int) -> int | None:
        """Return the sequence of a stream's last entry, None when it has none."""
        found: int | None = await self._reader.fetchval(sql.LAST_SEQUENCE, stream_id)
        return found

    async def newest_records(self, stream_id: int, sequence: int) -> tuple[int, bytes] | None:
        """Return the newest originals at or before a sequence: under which one, and packed."""
        found = await self._reader.fetchrow(sql.NEWEST_RECORDS, stream_id, sequence, PACKED_BYTES)
        return None if found is None else (found[0], found[1])

    async def originals(
        self, stream_id: int, first: int = FIRST, last: int = LAST
    ) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (sequence, packed records) in order; nothing of what is larger than any entry's.

        At most `_FETCH_BYTES` are held at once, or one entry's.
        """
        sizes: list[_Size] = []
        cursor = self._reader.cursor(
            sql.ORIGINAL_SIZES, stream_id, first, last, prefetch=_ENTRIES_A_FETCH
        )
        async for row in cursor:
            size = _Size(*row)
            if sizes and _is_enough(sizes, size):
                async for kept in self._fetched(stream_id, sizes):
                    yield kept
                sizes = []
            sizes.append(size)
        if sizes:
            async for kept in self._fetched(stream_id, sizes):
                yield kept

    async def _fetched(
        self, stream_id: int, sizes: list[_Size]
    ) -> AsyncIterator[tuple[int, bytes]]:
        first, last = sizes[0], sizes[-1]
        times = [each.created_at for each in sizes]
        wanted = sum(each.packed_bytes <= PACKED_BYTES for each in sizes)
        found: Iterator[asyncpg.Record] = iter(
            await self._reader.fetch(
                sql.ORIGINALS,
                stream_id,
                *(first.sequence, first.created_at, last.sequence, last.created_at),
                *(min(times), max(times), PACKED_BYTES, wanted),
            )
        )
        for size in sizes:
            is_honest = size.packed_bytes <= PACKED_BYTES
            yield (size.sequence, next(found)["records"] if is_honest else b"")


def _is_enough(sizes: Sequence[_Size], more: _Size) -> bool:
    """Tell whether one more would be too much to fetch at once."""
    together = sum(each.packed_bytes for each in sizes) + more.packed_bytes
    return together > _FETCH_BYTES or len(sizes) >= _ORIGINALS_A_FETCH


def _entry(row: asyncpg.Record) -> Entry:
    entry = Entry(*row)
    # jsonb puts in spaces and orders keys its own way; the hash covers the one form.
    return entry._replace(limits=ledger.canonical_json(msgspec.json.decode(entry.limits)))
