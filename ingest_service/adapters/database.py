"""One writing connection to PostgreSQL or TimescaleDB: the persister's side of asyncpg."""

import asyncio
import datetime as dt
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import asyncpg
import structlog

from ingest_service.adapters import statements
from ingest_service.adapters.database_errors import Step, translated
from ingest_service.errors import DatabaseUnavailableError, RowRefusedError, SetupError
from ingest_service.events.record import Row
from ingest_service.ledger import Entry, Head, Stream
from ingest_service.originals import unpack_originals
from ingest_service.shapes import Conflict, QuarantineRow

ADVISORY_CLASS = 1_096_107_337
"""The first key of every stream's advisory lock; the second is the stream's id."""

_CONNECT_SECONDS = 10
_TAKEOVER_SECONDS = 5.0
_LOCK_POLL_SECONDS = 0.05
_ATTEMPT_SECONDS = 60
_POSTGRES_EPOCH_US = 946_684_800_000_000

_SERVER_SETTINGS = {
    "application_name": "ingest-service persist",
    "TimeZone": "UTC",
    # A cut-off worker must not hold its locks for the kernel's two hours.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "idle_in_transaction_session_timeout": "15000",
    "lock_timeout": "20000",
}

_log = structlog.get_logger(__name__)


class WriterConnection:
    """Implements `persist.ports.Database` on one connection, opened again when it broke."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await connection.close(timeout=2)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            with translated(Step.CONNECT):
                self._connection = await asyncpg.connect(
                    self._dsn, timeout=_CONNECT_SECONDS, server_settings=_SERVER_SETTINGS
                )
                await _prepare(self._connection)
            await self._refuse_half_setup(self._connection)
            with translated():
                await self._connection.execute(statements.MAKE_STAGE)
        return self._connection

    async def _refuse_half_setup(self, connection: asyncpg.Connection) -> None:
        with translated():
            tables = await connection.fetch(statements.MISSING_SETUP)
        missing = [table["name"] for table in tables if table["missing"]]
        if missing:
            raise SetupError(
                f"the database has no {', '.join(missing)}: run `ingest-service migrate`"
            )
        denied = [table["name"] for table in tables if not table["allowed"]]
        if denied:
            raise SetupError(
                f"this role may not read and insert {', '.join(denied)}: as the owner, run "
                "`grant gateway_audit_writer to` the role of INGEST_DATABASE__DSN"
            )

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit on leaving, roll back on an exception; broken or too slow: drop the connection.

        An answer that never comes to COMMIT leaves open what happened: the caller reads the heads.
        """
        connection = await self._connected()
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                with translated():
                    await connection.execute("begin isolation level read committed")
                yield
                with translated():
                    await connection.execute("commit")
        except TimeoutError as exc:
            self._drop()
            raise DatabaseUnavailableError(
                f"the database did not finish a transaction in {_ATTEMPT_SECONDS} s"
            ) from exc
        except (asyncio.CancelledError, DatabaseUnavailableError):
            self._drop()
            raise
        except BaseException:
            await self._roll_back(connection)
            raise

    async def _roll_back(self, connection: asyncpg.Connection) -> None:
        try:
            await connection.execute("rollback", timeout=_CONNECT_SECONDS)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            self._drop()

    async def lock(self, stream_ids: Sequence[int]) -> None:
        """Own these streams until the transaction ends; end whoever holds one for too long."""
        connection = await self._connected()
        clock = asyncio.get_running_loop().time
        wanted, deadline = sorted(stream_ids), clock() + _TAKEOVER_SECONDS
        while True:
            with translated():
                held = await connection.fetch(statements.TRY_LOCKS, ADVISORY_CLASS, wanted)
            wanted = [row["id"] for row in held]
            if not wanted:
                return
            if clock() > deadline:
                await self._end_holders(connection, wanted)
                deadline = clock() + _TAKEOVER_SECONDS
            await asyncio.sleep(_LOCK_POLL_SECONDS)

    async def _end_holders(self, connection: asyncpg.Connection, stream_ids: list[int]) -> None:
        try:
            with translated():
                ended = await connection.fetch(statements.END_HOLDERS, ADVISORY_CLASS, stream_ids)
        except SetupError as exc:
            raise DatabaseUnavailableError(
                "a session of another role holds this stream and may not be ended by ours: "
                "end it (pg_terminate_backend), or let all workers use one role"
            ) from exc
        for row in ended:
            _log.warning("ended a frozen writer", backend=row["pid"], streams=stream_ids)

    async def heads(self, stream_ids: Sequence[int]) -> dict[int, Head]:
        """Return the last entry of each stream that has one."""
        connection = await self._connected()
        with translated():
            rows = await connection.fetch(statements.HEADS, list(stream_ids))
        return {row["id"]: Head(*tuple(row)[1:]) for row in rows}

    async def copy_rows(self, rows: Iterable[tuple[int, Sequence[Row]]]) -> None:
        """COPY straight into the table: all or nothing."""
        await self._copy("gateway_audit_events", rows)

    async def _copy(self, table: str, rows: Iterable[tuple[int, Sequence[Row]]]) -> None:
        connection = await self._connected()
        with translated(Step.ROWS):
            await connection.copy_records_to_table(
                table, columns=statements.EVENT_COLUMNS, records=_with_stream(rows)
            )

    async def stage_rows(self, rows: Iterable[tuple[int, Sequence[Row]]]) -> list[Conflict]:
        """COPY beside the table, insert what is free, and say what took the other keys."""
        connection = await self._connected()
        await self._copy("staged_events", rows)
        with translated(Step.ROWS):
            await connection.execute(statements.INSERT_STAGED)
            found = await connection.fetch(statements.STAGED_CONFLICTS)
        return [
            Conflict(
                row["stream_id"],
                row["kafka_offset"],
                (row["taken_stream_id"], row["taken_offset"]),
                row["same_content"],
            )
            for row in found
        ]

    async def refuses(self, stream_id: int, rows: Sequence[Row]) -> bool:
        """Try these rows on the way that cannot stumble over a taken key, and take them back."""
        try:
            async with self.transaction():
                await self.stage_rows([(stream_id, rows)])
                raise _TakenBack  # noqa: TRY301 - only an exception rolls back
        except _TakenBack:
            return False
        except RowRefusedError:
            return True

    async def add_originals(self, originals: Sequence[tuple[int, int, bytes]]) -> None:
        """Keep packed records by stream and sequence."""
        connection = await self._connected()
        with translated():
            await connection.executemany(statements.ADD_ORIGINALS, originals)

    async def add_quarantine(self, rows: Sequence[QuarantineRow]) -> None:
        """Keep records that could be no row."""
        connection = await self._connected()
        with translated():
            await connection.copy_records_to_table(
                "gateway_audit_quarantine", columns=statements.QUARANTINE_COLUMNS, records=rows
            )

    async def append(self, entries: Sequence[Entry]) -> None:
        """Append entries: the foreign key refuses one that does not continue its head."""
        connection = await self._connected()
        with translated(Step.LEDGER):
            await connection.executemany(
                statements.APPEND,
                [entry._replace(limits=entry.limits.encode()) for entry in entries],  # type: ignore[arg-type] - jsonb goes as bytes
            )

    async def make_partitions(self, days: Sequence[dt.date]) -> None:
        """Have partitions made by the owner's function, in a transaction of its own."""
        connection = await self._connected()
        with translated():
            await connection.execute(statements.MAKE_PARTITIONS, list(days))

    async def stream(self, topic: str, partition: int) -> Stream:
        """Return the stream of the newest epoch; open the first one if there is none."""
        connection = await self._connected()
        with translated():
            found = await connection.fetchrow(statements.NEWEST_STREAM, topic, partition)
            if found is None:
                await connection.execute(statements.OPEN_FIRST_EPOCH, topic, partition)
                found = await connection.fetchrow(statements.NEWEST_STREAM, topic, partition)
        return Stream(*found)

    async def last_frame(self, stream: Stream, head: Head) -> bytes | None:
        """Return the frame of the record before the head's offset, if it was kept."""
        connection = await self._connected()
        with translated():
            packed = await connection.fetchval(
                statements.LAST_ORIGINALS, stream.id, head.next_offset
            )
        if packed is None:
            return None
        return unpack_originals(packed, stream.topic, stream.partition)[-1].frame

    async def rejected_in_a_row(self, stream_id: int) -> int:
        """Return how many records the last entries rejected without a row between them."""
        connection = await self._connected()
        with translated():
            return int(await connection.fetchval(statements.REJECTED_IN_A_ROW, stream_id))


class _TakenBack(Exception):  # noqa: N818 - not an error: how a trial transaction is rolled back
    pass


def _with_stream(rows: Iterable[tuple[int, Sequence[Row]]]) -> Iterator[tuple[Any, ...]]:
    for stream_id, of_stream in rows:
        suffix = (stream_id,)
        for row in of_stream:
            yield row + suffix


async def _prepare(connection: asyncpg.Connection) -> None:
    """Teach the connection our encodings; have the kernel notice a server that went away."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda text: b"\x01" + text,
        decoder=lambda data: data[1:].decode(),
        format="binary",
    )
    # Microseconds since 1970 instead of datetime objects: no object a row, no rounding.
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=lambda since_1970: (since_1970 - _POSTGRES_EPOCH_US,),
        decoder=lambda value: value[0] + _POSTGRES_EPOCH_US,
        format="tuple",
    )
    transport: asyncio.Transport = connection._transport  # noqa: SLF001 - no public way to it
    peer = transport.get_extra_info("socket")
    if peer is not None and peer.family in {socket.AF_INET, socket.AF_INET6}:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)
