"""How far everything is, noted for auditors: on a connection apart from the writers'."""

import asyncio
import datetime as dt
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

import asyncpg

from ingest_service.adapters.database_errors import NOT_AN_ADDRESS, Step, translated
from ingest_service.errors import DatabaseUnavailableError, SetupError

_ANSWER_SECONDS = 10
_CLOSE_SECONDS = 2
_SESSION = {
    "application_name": "ingest-service progress",
    "TimeZone": "UTC",
    "tcp_user_timeout": "10000",
    "statement_timeout": "10s",
}

_CLOCK = "select clock_timestamp()"
_NOTE = "select gateway_audit_note_progress($1, $2, $3, $4, $5)"
_NOTE_SINKS = "select gateway_audit_note_sinks($1, $2, $3, $4)"


class ProgressNotes:
    """Implements `persist.progress.Notes` for the length of an `async with` block.

    It connects with the first question, and again when the connection broke. Every method may
    raise `DatabaseUnavailableError` or `SetupError`.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None and not self._connection.is_closed():
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await self._connection.close(timeout=_CLOSE_SECONDS)

    async def clock(self) -> dt.datetime:
        """Return the database's time."""
        now: dt.datetime = await self._ask(_CLOCK)
        return now

    async def note(
        self, topic: str, asked_at: dt.datetime, partitions: int, ends: Mapping[int, int]
    ) -> None:
        """Note that these logs ended there at that time, of a topic with so many partitions."""
        await self._ask(_NOTE, topic, asked_at, partitions, list(ends), list(ends.values()))

    async def note_sinks(self, topic: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Note how far each sink is, by sink and partition."""
        sinks, partitions = [name for name, _ in offsets], [number for _, number in offsets]
        await self._ask(_NOTE_SINKS, topic, sinks, partitions, list(offsets.values()))

    async def _ask(self, question: str, *arguments: Any) -> Any:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                connection = await self._connected()
                with translated():
                    return await connection.fetchval(question, *arguments)
        except TimeoutError as exc:
            self._drop()
            raise DatabaseUnavailableError(
                f"the database did not answer in {_ANSWER_SECONDS} s"
            ) from exc
        except asyncpg.PostgresError as exc:
            # After a failover the clock may be behind what was noted. No worker ends for it.
            raise DatabaseUnavailableError(f"the database refuses it ({exc.sqlstate})") from exc
        except (asyncio.CancelledError, DatabaseUnavailableError):
            self._drop()
            raise

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            with translated(Step.CONNECT):
                try:
                    self._connection = await asyncpg.connect(self._dsn, server_settings=_SESSION)
                except ValueError:
                    raise SetupError(NOT_AN_ADDRESS) from None
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
