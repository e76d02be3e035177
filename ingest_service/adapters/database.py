"""One writing connection to PostgreSQL or TimescaleDB: the persister's side of asyncpg."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import asyncpg
import structlog

from ingest_service.adapters import statements
from ingest_service.adapters.database_errors import Step, translated
from ingest_service.adapters.writer_session import close_writer_session, open_writer_session
from ingest_service.errors import (
    DatabaseUnavailableError,
    PartitionFault,
    RowRefusedError,
    SetupError,
    Stop,
    StopReason,
)
from ingest_service.events.record import Row
from ingest_service.ledger import Entry, Head, Stream
from ingest_service.originals import OriginalsUnreadableError, unpack_originals
from ingest_service.shapes import Conflict, QuarantineRow

ADVISORY_CLASS = 1_096_107_337
"""The first key of every stream's advisory lock; the second is the stream's id."""

_TAKEOVER_SECONDS = 5.0
_LOCK_POLL_SECONDS = 0.05
_ROLLBACK_SECONDS = 10
_ANSWER_SECONDS = 30
_ATTEMPT_SECONDS = 60

_log = structlog.get_logger(__name__)


class WriterConnection:
    """Implements `persist.ports.Database` on one connection, opened again when it broke.

    A lock that somebody holds for `takeover_seconds` is taken by ending its holder.
    """

    def __init__(self, dsn: str, takeover_seconds: float = _TAKEOVER_SECONDS) -> None:
        self._dsn = dsn
        self._takeover_seconds = takeover_seconds
        self._connection: asyncpg.Connection | None = None
        self._in_transaction = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            await close_writer_session(connection)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            if self._in_transaction:
                # A new connection would write on outside the transaction and without its locks:
                # a frozen worker, ended by the next owner and then awake again, did.
                raise DatabaseUnavailableError("the connection was lost inside a transaction")
            self._connection = await open_writer_session(self._dsn)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    @asynccontextmanager
    async def _asking(self, step: Step = Step.OTHER) -> AsyncIterator[asyncpg.Connection]:
        """Yield the connection for one call; drop it when it is broken or does not answer."""
        seconds = None if self._in_transaction else _ANSWER_SECONDS
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connected()
                with translated(step):
                    yield connection
        except TimeoutError as exc:
            self._drop()
            raise DatabaseUnavailableError(
                f"the database did not answer in {_ANSWER_SECONDS} s"
            ) from exc
        except (asyncio.CancelledError, DatabaseUnavailableError):
            self._drop()
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit on leaving, roll back on an exception; broken or too slow: drop the connection.

        An answer that never comes to COMMIT leaves open what happened: the caller reads the heads.
        """
        connection = await self._connected()
        self._in_transaction = True
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
        finally:
            self._in_transaction = False

    async def _roll_back(self, connection: asyncpg.Connection) -> None:
        try:
            await connection.execute("rollback", timeout=_ROLLBACK_SECONDS)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            self._drop()

    async def lock(self, stream_ids: Sequence[int]) -> None:
        """Own these streams until the transaction ends; end whoever holds one for too long."""
        clock = asyncio.get_running_loop().time
        wanted, deadline = sorted(stream_ids), clock() + self._takeover_seconds
        while True:
            async with self._asking() as connection:
                held = await connection.fetch(statements.TRY_LOCKS, ADVISORY_CLASS, wanted)
            wanted = [row["id"] for row in held]
            if not wanted:
                return
            if clock() > deadline:
                await self._end_holders(wanted)
                deadline = clock() + self._takeover_seconds
            await asyncio.sleep(_LOCK_POLL_SECONDS)

    async def _end_holders(self, stream_ids: list[int]) -> None:
        try:
            async with self._asking() as connection:
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
        async with self._asking() as connection:
            rows = await connection.fetch(statements.HEADS, list(stream_ids))
        return {row["id"]: Head(*tuple(row)[1:]) for row in rows}

    async def copy_rows(self, rows: Iterable[tuple[int, Sequence[Row]]]) -> None:
        """COPY straight into the table: all or nothing."""
        await self._copy("gateway_audit_events", rows)

    async def _copy(self, table: str, rows: Iterable[tuple[int, Sequence[Row]]]) -> None:
        async with self._asking(Step.ROWS) as connection:
            await connection.copy_records_to_table(
                table, columns=statements.EVENT_COLUMNS, records=_with_stream(rows)
            )

    async def stage_rows(self, rows: Iterable[tuple[int, Sequence[Row]]]) -> list[Conflict]:
        """COPY beside the table, insert what is free, and say what took the other keys."""
        await self._copy("staged_events", rows)
        async with self._asking(Step.ROWS) as connection:
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
        async with self._asking() as connection:
            await connection.executemany(statements.ADD_ORIGINALS, originals)

    async def add_quarantine(self, rows: Sequence[QuarantineRow]) -> None:
        """Keep records that could be no row."""
        async with self._asking() as connection:
            await connection.copy_records_to_table(
                "gateway_audit_quarantine", columns=statements.QUARANTINE_COLUMNS, records=rows
            )

    async def append(self, entries: Sequence[Entry]) -> None:
        """Append entries: the foreign key refuses one that does not continue its head."""
        async with self._asking(Step.LEDGER) as connection:
            await connection.executemany(statements.APPEND, [_columns(entry) for entry in entries])

    async def make_partitions(self, days: Sequence[dt.date]) -> None:
        """Have partitions made by the owner's function, in a transaction of its own."""
        async with self._asking() as connection:
            await connection.execute(statements.MAKE_PARTITIONS, list(days))

    async def stream(self, topic: str, partition: int) -> Stream:
        """Return the stream of the newest epoch; open the first one if there is none."""
        async with self._asking() as connection:
            found = await connection.fetchrow(statements.NEWEST_STREAM, topic, partition)
            if found is None:
                await connection.execute(statements.OPEN_FIRST_EPOCH, topic, partition)
                found = await connection.fetchrow(statements.NEWEST_STREAM, topic, partition)
        assert found is not None
        return Stream(*found)

    async def last_frame(self, stream: Stream, head: Head) -> bytes | None:
        """Return the frame of the record before the head's offset, if it was kept.

        Raises `PartitionFault` when what was kept is damaged.
        """
        async with self._asking() as connection:
            packed = await connection.fetchval(
                statements.LAST_ORIGINALS, stream.id, head.next_offset
            )
        if packed is None:
            return None
        try:
            return unpack_originals(packed, stream.topic, stream.partition)[-1].frame
        except (OriginalsUnreadableError, IndexError) as exc:
            raise PartitionFault(
                stream.topic,
                stream.partition,
                Stop(
                    StopReason.ORIGINALS_DAMAGED,
                    f"the originals that end before offset {head.next_offset} cannot be read: "
                    "they were changed. `ingest-service verify` says more",
                ),
            ) from exc

    async def rejected_in_a_row(self, stream_id: int) -> int:
        """Return how many records the last entries rejected without a row between them."""
        async with self._asking() as connection:
            return int(await connection.fetchval(statements.REJECTED_IN_A_ROW, stream_id))


class _TakenBack(Exception):  # noqa: N818 - not an error: how a trial transaction is rolled back
    pass


def _columns(entry: Entry) -> tuple[Any, ...]:
    fields = entry._asdict()
    return tuple((fields | {"limits": entry.limits.encode()}).values())  # jsonb goes as bytes


def _with_stream(rows: Iterable[tuple[int, Sequence[Row]]]) -> Iterator[tuple[Any, ...]]:
    for stream_id, of_stream in rows:
        suffix = (stream_id,)
        for row in of_stream:
            yield row + suffix
