"""The rows and the quarantine, asked by what the originals say: the comparing side of `verify`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from ingest_service.adapters import evidence_completeness as whole
from ingest_service.adapters import evidence_statements as sql
from ingest_service.events.record import Row
from ingest_service.shapes import (
    Claim,
    Place,
    QuarantineClaim,
    QuarantineDifference,
    Range,
    RepeatedId,
    Scope,
)

_ROWS_A_FETCH = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REFUSED = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, OverflowError)


class ClaimRefusedError(Exception):
    """The database cannot even read what a claim says, so no row can hold it."""


class Tables:
    """One snapshot of the tables; one question at a time."""

    def __init__(
        self, connection: asyncpg.Connection, begin: Callable[[], Awaitable[None]]
    ) -> None:
        self._connection = connection
        self._begin = begin

    async def begin(self) -> None:
        """Begin the transaction in the snapshot, or begin it again."""
        await self._begin()
        # Each batch is planned for its own days, so that chunks of other days are left out.
        await self._connection.execute("set local plan_cache_mode = force_custom_plan")
        await self._connection.execute("set local jit = off; set local work_mem = '64MB'")

    async def on_its_way(self) -> None:
        """Return once the comparison under way has been sent: it goes on while we compute.

        A batch is more than a socket takes at once, and nothing is sent while Python computes.
        """
        connection: Any = self._connection
        transport: asyncio.Transport = connection._transport  # noqa: SLF001 - no public way
        await asyncio.sleep(0)
        while transport.get_write_buffer_size() and not transport.is_closing():  # noqa: ASYNC110 - nothing tells when it is empty
            await asyncio.sleep(0)

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
            return await self._connection.fetch(query, *_columns(claims), *_bounds(claims), *more)
        except _REFUSED as exc:
            # The error ended the transaction, but not the snapshot. A savepoint for each batch
            # would cost the overlap with the reading side.
            await self._connection.execute("rollback")
            await self.begin()
            raise ClaimRefusedError from exc

    # --- quarantine ------------------------------------------------------------------------------

    async def quarantine_differences(
        self, where: Range, claims: Sequence[QuarantineClaim]
    ) -> list[QuarantineDifference]:
        """Return where quarantine in a range of offsets is not exactly what the claims say."""
        columns = zip(*claims, strict=True) if claims else [()] * len(QuarantineClaim._fields)
        found = await self._connection.fetch(sql.QUARANTINE, *where, *map(list, columns))
        return [QuarantineDifference(*row) for row in found]

    async def quarantine_outside(
        self, scope: Scope, covered: Sequence[Range], limit: int
    ) -> tuple[int, list[Place]]:
        """Return how many quarantine rows stand outside the ranges, and the first of them."""
        found = await self._connection.fetch(
            whole.QUARANTINE_OUTSIDE,
            *(scope.stream_ids, scope.since, scope.until),
            *_arrays(covered),
            limit,
        )
        return (found[0][2] if found else 0), [(row[0], row[1]) for row in found]

    # --- completeness ----------------------------------------------------------------------------

    async def rows_per_block(
        self, scope: Scope, block_bits: int, blind: Sequence[Range]
    ) -> AsyncIterator[tuple[Place, int]]:
        """Yield ((stream id, block), rows in it), rows in the blind ranges left out."""
        cursor = self._connection.cursor(
            whole.ROWS_PER_BLOCK,
            *_wanted(scope),
            block_bits,
            *_arrays(blind),
            prefetch=_ROWS_A_FETCH,
        )
        async for stream_id, block, count in cursor:
            yield (stream_id, block), count

    async def places_in_blocks(
        self, scope: Scope, block_bits: int, blocks: Sequence[Place]
    ) -> AsyncIterator[tuple[Place, int]]:
        """Yield ((stream id, offset), rows at that place) of these blocks, in order."""
        ids, numbers = [place[0] for place in blocks], [place[1] for place in blocks]
        cursor = self._connection.cursor(
            whole.PLACES_IN_BLOCKS,
            *_wanted(scope),
            *(block_bits, ids, numbers),
            prefetch=_ROWS_A_FETCH,
        )
        async for stream_id, offset, count in cursor:
            yield (stream_id, offset), count

    async def blocks_in_time(self, scope: Scope, block_bits: int) -> list[Place]:
        """Return the blocks of offsets in which rows of the scope's time stand."""
        found = await self._connection.fetch(
            whole.BLOCKS_IN_TIME, scope.stream_ids, scope.since, scope.until, block_bits
        )
        return [(row[0], row[1]) for row in found]

    async def counts_in_ranges(self, ranges: Sequence[Range]) -> list[tuple[int, int]]:
        """Return (rows, quarantine rows) that stand in each range."""
        rows = await self._counts(whole.ROWS_IN_RANGES, ranges)
        aside = await self._counts(whole.QUARANTINE_IN_RANGES, ranges)
        return list(zip(rows, aside, strict=True))

    async def _counts(self, query: str, ranges: Sequence[Range]) -> list[int]:
        """Return a count for each range; the statement leaves out those without a row."""
        counts = [0] * len(ranges)
        for index, count in await self._connection.fetch(query, *_arrays(ranges)):
            counts[index - 1] = count
        return counts

    async def repeated_ids(self, scope: Scope, limit: int) -> list[RepeatedId]:
        """Return ids that stand more than once, each with the place of its newest row."""
        found = await self._connection.fetch(
            whole.REPEATED_IDS, scope.stream_ids, scope.since, scope.until, limit
        )
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


def _wanted(scope: Scope) -> list[object]:
    return [scope.stream_ids, scope.since, scope.until, *_arrays(scope.ranges)]


def _arrays(ranges: Sequence[Range]) -> list[list[int]]:
    return [[each[part] for each in ranges] for part in range(3)]
