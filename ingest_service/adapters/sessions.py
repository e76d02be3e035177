"""A database session for one command of a person: patient, and plain when refused."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from ingest_service.adapters.database_errors import NOT_AN_ADDRESS, Step, translated
from ingest_service.errors import SetupError

_CONNECT_SECONDS = 10


@asynccontextmanager
async def open_session(dsn: str, command: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection that no server-side timeout ends while the command is at work.

    Raises `SetupError` or `DatabaseUnavailableError`, with what to do about it.
    """
    settings = {
        "application_name": f"ingest-service {command}",
        "search_path": "public",
        "TimeZone": "UTC",
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
    }
    with translated(Step.CONNECT):
        try:
            connection = await asyncpg.connect(
                dsn, timeout=_CONNECT_SECONDS, server_settings=settings
            )
        except ValueError:
            raise SetupError(NOT_AN_ADDRESS) from None
    try:
        yield connection
    finally:
        await connection.close()


@contextmanager
def in_role(role: str) -> Iterator[None]:
    """Translate errors; where a right is missing, say which role to grant."""
    try:
        with translated():
            yield
    except SetupError as exc:
        if isinstance(exc.__cause__, asyncpg.InsufficientPrivilegeError):
            raise SetupError(
                f"the database role may not do this: as the owner, `grant {role} to` the role "
                "of INGEST_DATABASE__DSN"
            ) from exc.__cause__
        raise
