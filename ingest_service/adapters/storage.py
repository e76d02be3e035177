"""How large the audit is, and how many use the gateway: asked now and then, apart from all work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from ingest_service.adapters import storage_statements as statements
from ingest_service.adapters.database_errors import NOT_AN_ADDRESS, Step, translated
from ingest_service.errors import SetupError
from ingest_service.shapes import Proof, Storage

ANSWER_SECONDS = 5.0
_SESSION = {
    "application_name": "ingest-service figures",
    "statement_timeout": f"{ANSWER_SECONDS:g}s",
    "default_transaction_read_only": "on",
}


class StorageFigures:
    """Asks on a connection that it opens for each question; remembers what it has counted.

    Every method may raise `DatabaseUnavailableError` or `SetupError`.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._parts: frozenset[int] | None = None
        self._heads: dict[int, int] = {}

    async def storage(self) -> Storage:
        """Return the size of all tables with indexes, and what is new since the last answer.

        A count of chunks would shrink with retention, and a counter must not: so those that were
        not there before are counted. The first answer is where it begins.
        """
        async with self._asking() as connection:
            names = list(statements.TABLES)
            if await connection.fetchval(statements.HAS_TIMESCALE):
                compressed = await connection.fetch(statements.COMPRESSED, names)
                names += [row["name"] for row in compressed]
            found = await connection.fetchrow(statements.RELATIONS, names)
            assert found is not None
            purges = await connection.fetch(
                statements.PURGES, list(self._heads), list(self._heads.values())
            )
        before, self._parts = self._parts, frozenset(found["parts"])
        self._heads = {row["id"]: row["head"] for row in purges}
        return Storage(
            found["size_bytes"],
            0 if before is None else len(self._parts - before),
            sum(row["purges"] for row in purges),
        )

    async def unique_users(self) -> int:
        """Return how many users had an event in the last hour, of its newest half million."""
        async with self._asking() as connection:
            return int(await connection.fetchval(statements.UNIQUE_USERS))

    async def proof(self) -> Proof:
        """Return when the audit was last verified, and its heads last signed."""
        async with self._asking() as connection:
            found = await connection.fetchrow(statements.PROOF)
            assert found is not None
            return Proof(*found)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[asyncpg.Connection]:
        with translated(Step.CONNECT):
            try:
                connection = await asyncpg.connect(
                    self._dsn, timeout=ANSWER_SECONDS, server_settings=_SESSION
                )
            except ValueError:
                raise SetupError(NOT_AN_ADDRESS) from None
        try:
            with translated():
                yield connection
        finally:
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
