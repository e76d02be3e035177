"""What the database knows of one record, from one snapshot, in an operator's session."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from ingest_service.adapters import trace_statements as sql
from ingest_service.adapters.sessions import in_role, open_session
from ingest_service.events.record import Row
from ingest_service.ledger import Entry, Stream, canonical_json
from ingest_service.shapes import Place

_MOST_PACKED_BYTES = 64 << 20
"""No entry packs to more; whoever may write to the table could keep a gigabyte there."""

_SEARCH_SECONDS = 2.0


class LedgerEntry(NamedTuple):
    """An entry with what stands beside it, outside of its hash."""

    entry: Entry
    note: str | None
    created_at: dt.datetime


class Reach(NamedTuple):
    """What a stream's ledger covers: from its start up to, and without, the durable offset."""

    first_offset: int
    next_offset: int
    sequence: int


class StoredRow(NamedTuple):
    """A row of the events' table. `differs` names the columns that are not what arrived."""

    id: str
    event_type: str
    user_id: str | None
    agent_id: str | None
    server_name: str | None
    tool_name: str | None
    decision: str | None
    reason: str
    timestamp: dt.datetime
    gateway_request_id: str
    metadata: str
    created_at: dt.datetime
    stream_id: int
    kafka_offset: int
    differs: tuple[str, ...] = ()


class StoredQuarantine(NamedTuple):
    """A row of the quarantine, without what arrived: the originals have that."""

    reason: str
    message: str
    created_at: dt.datetime


class TraceReader:
    """Every method may raise `DatabaseUnavailableError` or `SetupError`."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def streams(self, topic: str, partition: int) -> list[Stream]:
        """Return each life of a partition, the newest first."""
        return [Stream(*row) for row in await self._connection.fetch(sql.STREAMS, topic, partition)]

    async def partitions(self, topic: str) -> list[Stream]:
        """Return the newest life of each of the topic's partitions."""
        return [Stream(*row) for row in await self._connection.fetch(sql.PARTITIONS, topic)]

    async def stream(self, stream_id: int) -> Stream | None:
        """Return the stream of this id, unless somebody made the id up."""
        found = await self._connection.fetchrow(sql.STREAM, stream_id)
        return None if found is None else Stream(*found)

    async def reach(self, stream: Stream) -> Reach | None:
        """Return what a stream's ledger covers; None before its first entry."""
        found = await self._connection.fetchrow(sql.REACH, stream.id)
        return None if found is None else Reach(*found)

    async def entry_covering(self, stream: Stream, offset: int) -> LedgerEntry | None:
        """Return the entry that an offset belongs to."""
        found = await self._connection.fetchrow(sql.COVERING, stream.id, offset)
        if found is None:
            return None
        *fields, note, created_at = found
        entry = Entry(*fields)
        # jsonb spells it otherwise than what the hash covers.
        limits = canonical_json(msgspec.json.decode(entry.limits))
        return LedgerEntry(entry._replace(limits=limits), note, created_at)

    async def digest_before(self, entry: Entry) -> bytes | None:
        """Return the digest that an entry's own continues."""
        digest: bytes | None = await self._connection.fetchval(
            sql.DIGEST_BEFORE, entry.stream_id, entry.sequence
        )
        return digest

    async def originals(self, found: LedgerEntry) -> bytes | None:
        """Return an entry's packed records; None: they are not there, or no entry's."""
        packed: bytes | None = await self._connection.fetchval(
            sql.ORIGINALS,
            found.entry.stream_id,
            found.entry.sequence,
            found.created_at,
            _MOST_PACKED_BYTES,
        )
        return packed

    async def rows_of_id(self, audit_id: UUID, most: int) -> list[StoredRow]:
        """Return the rows with this audit id."""
        return [
            StoredRow(*row) for row in await self._connection.fetch(sql.ROWS_OF_ID, audit_id, most)
        ]

    async def rows_of_request(self, request_id: str, most: int) -> list[StoredRow]:
        """Return the rows with this request id, the oldest first."""
        return [
            StoredRow(*row)
            for row in await self._connection.fetch(sql.ROWS_OF_REQUEST, request_id, most)
        ]

    async def row_like(self, expected: Row) -> list[StoredRow]:
        """Return the rows under this row's key, each with the columns that say something else."""
        found = await self._connection.fetch(
            sql.ROWS_OF_KEY, expected.id, expected.timestamp_us, expected.metadata.decode()
        )
        return [_compared(row, expected) for row in found]

    async def quarantine(self, stream: Stream, offset: int) -> StoredQuarantine | None:
        """Return what stands in quarantine at a place."""
        found = await self._connection.fetchrow(sql.QUARANTINE, stream.id, offset)
        return None if found is None else StoredQuarantine(*found)

    async def quarantine_naming(self, text: str, most: int) -> list[Place] | None:
        """Return the quarantined records whose key or value holds a text; None: it took too long.

        There is no index for it: quarantine is small, or there is a worse trouble than this.
        """
        try:
            async with self._connection.transaction():  # a savepoint: what follows can go on
                found = await self._connection.fetch(
                    sql.QUARANTINE_OF_TEXT, text.encode(), most, timeout=_SEARCH_SECONDS
                )
        except TimeoutError:
            return None
        return [(row["stream_id"], row["kafka_offset"]) for row in found]


def _compared(found: asyncpg.Record, expected: Row) -> StoredRow:
    *fields, expected_metadata = found
    row = StoredRow(*fields)
    said = expected._asdict() | {"metadata": expected_metadata}
    # Id and time are the key, so they are the same. jsonb is compared as text.
    del said["id"], said["timestamp_us"]
    differs = [name for name, value in said.items() if getattr(row, name) != value]
    return row._replace(differs=tuple(differs))


@asynccontextmanager
async def open_traces(dsn: str) -> AsyncIterator[TraceReader]:
    """Yield a session in one snapshot that writes nothing.

    Raises `SetupError` or `DatabaseUnavailableError`, with what to do about it.
    """
    with in_role("gateway_audit_operator"):
        async with open_session(dsn, "trace") as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield TraceReader(connection)
