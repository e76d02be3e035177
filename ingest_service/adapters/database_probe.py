"""Asks the database whether it would take a write, on a session of its own."""

from contextlib import suppress
from typing import Self

import asyncpg

from ingest_service.adapters.database_errors import NOT_AN_ADDRESS, Step, translated
from ingest_service.errors import DatabaseUnavailableError, SetupError
from ingest_service.telemetry.probing import PATIENCE_SECONDS, Answer

_SETTINGS = {"application_name": "ingest-service probe", "statement_timeout": "5000"}


class DatabaseProbe:
    """One connection, kept; a new one after any failure. For the length of an `async with`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        # Not `close`: that waits for a server which may hang.
        self._drop()

    async def ask(self) -> Answer:
        """Return healthy; raises `DatabaseUnavailableError` or `SetupError` with what is wrong."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connected()
            with translated():
                standby = await self._connection.fetchval("select pg_is_in_recovery()")
        except BaseException:  # also when nobody waits any longer
            self._drop()
            raise
        if standby:
            self._drop()  # by name or by proxy, the next connection may lead to the primary
            raise DatabaseUnavailableError("this server is a standby: it takes no writes")
        return Answer()

    async def _connected(self) -> asyncpg.Connection:
        with translated(Step.CONNECT):
            try:
                return await asyncpg.connect(
                    self._dsn, timeout=PATIENCE_SECONDS, server_settings=_SETTINGS
                )
            except ValueError:
                raise SetupError(NOT_AN_ADDRESS) from None

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
