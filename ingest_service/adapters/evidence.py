"""What `verify` reads from the database, from one snapshot, beside whoever is writing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from ingest_service import ledger
from ingest_service.adapters import evidence_statements as sql
from ingest_service.adapters.sessions import in_role, open_session
from ingest_service.events.record import Row
from ingest_service.ledger import Entry, Stream
from ingest_service.shapes import (
    Claim,
    Place,
    QuarantineClaim,
    QuarantineDifference,
    Range,
    RepeatedId,
)

ENTRIES_A_FETCH = 500
ORIGINALS_A_FETCH = 8  # each is up to 16 MiB

_BEGIN = "begin isolation level repeatable read read only"
_EXPORT = "select pg_export_snapshot()"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REFUSED = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, OverflowError)


class ClaimRefusedError(Exception):
    """The database cannot even read what a claim says, so no row can hold it."""


@asynccontextmanager
async def open_evidence(dsn: str) -> AsyncIterator["Evidence"]:
    """Yield one read-only snapshot, on two connections: one reads on while the other compares.

    Raises `SetupError` or `DatabaseUnavailableError`, with what to do about it, also out of every
    method while it is open.
    """
    with in_role("gateway_audit_operator"):
        async with open_session(dsn, "verify") as reader, open_session(dsn, "verify") as comparer:
            await reader.execute(_BEGIN)
            # In index order, never by sorting a stream's whole originals first.
            await reader.execute("set local enable_sort = off")
            evidence = Evidence(reader, comparer, await reader.fetchval(_EXPORT))
            await evidence.share_snapshot()
            yield evidence


class Evidence:
    """One snapshot of the ledger, the originals, the rows and the quarantine.

    `entries` and `originals` may be read while one comparison at a time is under way.
    """

    def __init__(
        self, reader: asyncpg.Connection, comparer: asyncpg.Connection, snapshot: str
    ) -> None:
        self._reader = reader
        self._comparer = comparer
        self._snapshot = snapshot

    async def share_snapshot(self) -> None:
        """Begin the comparing transaction: it sees exactly what the reading one sees."""
        await self._comparer.execute(f"{_BEGIN}; set transaction snapshot '{self._snapshot}'")
        # Each batch is planned for its own days, so that chunks of other days are left out.
        await self._comparer.execute("set local plan_cache_mode = force_custom_plan")
        await self._comparer.execute("set local jit = off; set local work_mem = '64MB'")

    async def on_its_way(self) -> None:
        """Return once the comparison under way has been sent: it goes on while we compute.

        A batch is more than a socket takes at once, and nothing is sent while Python computes.
        """
        comparer: Any = self._comparer
        transport: asyncio.Transport = comparer._transport  # noqa: SLF001 - no public way
        await asyncio.sleep(0)
        while transport.get_write_buffer_size() and not transport.is_closing():  # noqa: ASYNC110 - nothing tells when it is empty
            await asyncio.sleep(0)

    # --- the ledger and the originals ------------------------------------------------------------

    async def streams(self) -> list[Stream]:
        """Return every stream by topic, partition and epoch."""
        return [Stream(*row) for row in await self._reader.fetch(sql.STREAMS)]

    async def expected_records(self, stream_ids: Sequence[int]) -> int:
        """Return how many records these streams' entries say they cover."""
        return int(await self._reader.fetchval(sql.EXPECTED_RECORDS, stream_ids))

    async def entries(self, stream_id: int) -> AsyncIterator[Entry]:
        """Yield a stream's ledger entries in order, a fetch at a time."""
        cursor = self._reader.cursor(sql.ENTRIES, stream_id, prefetch=ENTRIES_A_FETCH)
        async for row in cursor:
            entry = Entry(*row)
            # jsonb puts in spaces and orders keys its own way; the hash covers the one form.
            yield entry._replace(limits=ledger.canonical_json(msgspec.json.decode(entry.limits)))

    async def originals(self, stream_id: int) -> AsyncIterator[tuple[int, bytes]]:
        """Yield what is kept of a stream, packed, in order of the entries' sequence."""
        cursor = self._reader.cursor(sql.ORIGINALS, stream_id, prefetch=ORIGINALS_A_FETCH)
        async for sequence, records in cursor:
            yield sequence, records

    # --- the rows --------------------------------------------------------------------------------

    async def unconfirmed(self, claims: Sequence[Claim]) -> list[int]:
        """Return the claims, by index, for which no row equal in every column stands there.

        Raises `ClaimRefusedError` when the database cannot read one of them.
        """
        # Nearly always one stream: known beforehand, the others' rows of that time are left out.
        streams = sorted({claim.stream_id for claim in claims})
        found = await self._compare(sql.UNCONFIRMED, claims, streams)
        return sorted(row[0] - 1 for row in found)

    async def by_key(self, claims: Sequence[Claim]) -> list[tuple[int, list[str]]]:
        """Return each row that has a claim's id and time: the claim's index, what differs."""
        found = await self._compare(sql.BY_KEY, claims)
        return [(row[0] - 1, row[1]) for row in found]

    async def by_place(self, claims: Sequence[Claim]) -> list[tuple[int, list[str]]]:
        """Return each row that stands at a claim's place: the claim's index, what differs."""
        found = await self._compare(sql.BY_PLACE, claims)
        return [(row[0] - 1, row[1]) for row in found]

    async def _compare(
        self, query: str, claims: Sequence[Claim], *more: object
    ) -> list[asyncpg.Record]:
        try:
            return await self._comparer.fetch(query, *_columns(claims), *_bounds(claims), *more)
        except _REFUSED as exc:
            # The error ended the transaction, but not the snapshot. A savepoint for each batch
            # would cost the overlap with the reading side.
            await self._comparer.execute("rollback")
            await self.share_snapshot()
            raise ClaimRefusedError from exc

    # --- quarantine ------------------------------------------------------------------------------

    async def quarantine_differences(
        self, where: Range, claims: Sequence[QuarantineClaim]
    ) -> list[QuarantineDifference]:
        """Return where quarantine in a range of offsets is not exactly what the claims say."""
        columns = zip(*claims, strict=True) if claims else [()] * len(QuarantineClaim._fields)
        found = await self._comparer.fetch(sql.QUARANTINE, *where, *map(list, columns))
        return [QuarantineDifference(*row) for row in found]

    async def quarantine_outside(
        self, stream_ids: Sequence[int] | None, covered: Sequence[Range], limit: int
    ) -> tuple[int, list[Place]]:
        """Return how many quarantine rows stand outside the ranges, and the first of them."""
        found = await self._comparer.fetch(
            sql.QUARANTINE_OUTSIDE, stream_ids, *_arrays(covered), limit
        )
        return (found[0][2] if found else 0), [(row[0], row[1]) for row in found]

    # --- completeness ----------------------------------------------------------------------------

    async def rows_per_block(
        self, stream_ids: Sequence[int] | None, block_bits: int, blind: Sequence[Range]
    ) -> AsyncIterator[tuple[Place, int]]:
        """Yield ((stream id, block), rows in it), rows in the blind ranges left out."""
        cursor = self._comparer.cursor(
            sql.ROWS_PER_BLOCK, stream_ids, block_bits, *_arrays(blind), prefetch=ENTRIES_A_FETCH
        )
        async for stream_id, block, count in cursor:
            yield (stream_id, block), count

    async def places_in_blocks(
        self, block_bits: int, blocks: Sequence[Place]
    ) -> AsyncIterator[tuple[Place, int]]:
        """Yield ((stream id, offset), rows at that place) of these blocks, in order."""
        ids, numbers = [place[0] for place in blocks], [place[1] for place in blocks]
        cursor = self._comparer.cursor(
            sql.PLACES_IN_BLOCKS, block_bits, ids, numbers, prefetch=ENTRIES_A_FETCH
        )
        async for stream_id, offset, count in cursor:
            yield (stream_id, offset), count

    async def counts_in_ranges(self, ranges: Sequence[Range]) -> list[tuple[int, int]]:
        """Return (rows, quarantine rows) that stand in each range."""
        rows = await self._counts(sql.ROWS_IN_RANGES, ranges)
        aside = await self._counts(sql.QUARANTINE_IN_RANGES, ranges)
        return list(zip(rows, aside, strict=True))

    async def _counts(self, query: str, ranges: Sequence[Range]) -> list[int]:
        """Return a count for each range; the statement leaves out those without a row."""
        counts = [0] * len(ranges)
        for index, count in await self._comparer.fetch(query, *_arrays(ranges)):
            counts[index - 1] = count
        return counts

    async def repeated_ids(self, stream_ids: Sequence[int] | None, limit: int) -> list[RepeatedId]:
        """Return ids that stand more than once, each with the place of its newest row."""
        found = await self._comparer.fetch(sql.REPEATED_IDS, stream_ids, limit)
        return [RepeatedId(*row) for row in found]


def _columns(claims: Sequence[Claim]) -> list[Sequence[object]]:
    """Return the claims as one array a column, in the order of the statements."""
    columns: list[Sequence[object]] = list(zip(*(claim.row for claim in claims), strict=True))
    columns[Row._fields.index("metadata")] = [claim.row.metadata.decode() for claim in claims]
    columns[Row._fields.index("kafka_offset")] = [claim.offset for claim in claims]
    return [*columns, [claim.stream_id for claim in claims]]


def _bounds(claims: Sequence[Claim]) -> tuple[datetime, datetime]:
    times = [claim.row.timestamp_us for claim in claims]
    return _time(min(times)), _time(max(times))


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _arrays(ranges: Sequence[Range]) -> list[list[int]]:
    return [[each[part] for each in ranges] for part in range(3)]
