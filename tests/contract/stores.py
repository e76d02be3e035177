"""A database as the contract suite needs it: sessions behind the port, and what is really there."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

import asyncpg

from fakes.database import FakeServer
from ingest_service.adapters.database import WriterConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from ingest_service.persist.ports import Database

TAKEOVER_SECONDS = 0.2


class Kept(NamedTuple):
    """What is committed of one stream."""

    rows: list[int]
    ledger: list[str]
    originals: list[int]
    quarantine: list[int]


NOTHING = Kept([], [], [], [])


class Store(Protocol):
    def connect(self) -> AbstractAsyncContextManager[Database]:
        """Open a session."""
        ...

    async def kept(self, stream_id: int) -> Kept:
        """Return offsets of rows, kinds of entries, sequences of originals, offsets kept aside."""
        ...

    async def end_holder(self, stream_id: int) -> None:
        """End the session that holds this stream's lock, as an administrator does."""
        ...

    async def damage_originals(self, stream_id: int) -> None:
        """Overwrite what was kept, as an intruder does."""
        ...


class FakeStore:
    def __init__(self, *, partitioned: bool = False) -> None:
        self.server = FakeServer()
        if partitioned:
            self.server.tables.days = set()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Database]:
        yield self.server.connect(TAKEOVER_SECONDS)

    async def kept(self, stream_id: int) -> Kept:
        tables = self.server.tables
        return Kept(
            sorted(row.kafka_offset for of, row in tables.rows.values() if of == stream_id),
            [entry.kind for entry in tables.ledger.get(stream_id, [])],
            sorted(sequence for of, sequence in tables.originals if of == stream_id),
            sorted(offset for of, offset in tables.quarantine if of == stream_id),
        )

    async def end_holder(self, stream_id: int) -> None:
        self.server.holders[stream_id].ended = True

    async def damage_originals(self, stream_id: int) -> None:
        for place in self.server.tables.originals:
            if place[0] == stream_id:
                self.server.tables.originals[place] = b"damaged"


class PostgresStore:
    def __init__(self, superuser_dsn: str, writer_dsn: str) -> None:
        self._superuser_dsn = superuser_dsn
        self._writer_dsn = writer_dsn

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Database]:
        async with WriterConnection(self._writer_dsn, TAKEOVER_SECONDS) as connection:
            yield connection

    async def kept(self, stream_id: int) -> Kept:
        async with self._superuser() as session:

            async def column(query: str) -> list:
                return [row[0] for row in await session.fetch(query, stream_id)]

            return Kept(
                await column(
                    "select kafka_offset from gateway_audit_events where stream_id = $1 order by 1"
                ),
                await column(
                    "select kind from gateway_audit_ledger where stream_id = $1 order by sequence"
                ),
                await column(
                    "select sequence from gateway_audit_originals where stream_id = $1 order by 1"
                ),
                await column(
                    "select kafka_offset from gateway_audit_quarantine"
                    " where stream_id = $1 order by 1"
                ),
            )

    async def end_holder(self, stream_id: int) -> None:
        async with self._superuser() as session:
            # The timeout makes it wait until the backend is gone.
            ended = await session.fetch(
                "select pg_terminate_backend(pid, 5000) as gone from pg_locks"
                " where locktype = 'advisory' and objid = $1::int and granted"
                " and database = (select oid from pg_database where datname = current_database())",
                stream_id,
            )
        assert [row["gone"] for row in ended] == [True]

    async def damage_originals(self, stream_id: int) -> None:
        async with self._superuser() as session:
            await session.execute(
                "update gateway_audit_originals set records = 'damaged' where stream_id = $1",
                stream_id,
            )

    @asynccontextmanager
    async def _superuser(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self._superuser_dsn)
        try:
            yield connection
        finally:
            await connection.close()
