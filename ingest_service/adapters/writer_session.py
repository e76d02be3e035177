"""A session that the persister writes on: opened, taught our encodings, known to be complete."""

import socket
from contextlib import suppress
from typing import Any

import asyncpg

from ingest_service.adapters import statements
from ingest_service.adapters.database_errors import NOT_AN_ADDRESS, Step, translated
from ingest_service.errors import SetupError

_CONNECT_SECONDS = 10
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


async def open_writer_session(dsn: str) -> asyncpg.Connection:
    """Return a session that is ready for every statement of the persister, or none at all.

    Raises `DatabaseUnavailableError`, or `SetupError` with what to migrate, grant or set.
    """
    connection = await _connected(dsn)
    try:
        with translated():
            await _prepare(connection)
            await _refuse_half_setup(connection)
            await connection.execute(statements.MAKE_STAGE)
    except BaseException:
        # Half prepared, it would later fail in ways that look like a row's fault.
        connection.terminate()
        raise
    return connection


async def close_writer_session(connection: asyncpg.Connection) -> None:
    """Say good-bye, if the server still listens."""
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        await connection.close(timeout=2)


async def _connected(dsn: str) -> asyncpg.Connection:
    with translated(Step.CONNECT):
        try:
            return await asyncpg.connect(
                dsn, timeout=_CONNECT_SECONDS, server_settings=_SERVER_SETTINGS
            )
        except ValueError:
            raise SetupError(NOT_AN_ADDRESS) from None


async def _refuse_half_setup(connection: asyncpg.Connection) -> None:
    tables = await connection.fetch(statements.MISSING_SETUP)
    missing = [table["name"] for table in tables if table["missing"]]
    if missing:
        raise SetupError(f"the database has no {', '.join(missing)}: run `ingest-service migrate`")
    denied = [table["name"] for table in tables if not table["allowed"]]
    if denied:
        raise SetupError(
            f"this role may not read and insert {', '.join(denied)}: as the owner, run "
            "`grant gateway_audit_writer to` the role of INGEST_DATABASE__DSN"
        )


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
    transport: Any = connection._transport  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
    peer = transport.get_extra_info("socket")
    if peer is not None and peer.family in {socket.AF_INET, socket.AF_INET6}:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)
