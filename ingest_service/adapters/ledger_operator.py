"""What only an operator writes: gaps into the ledger, and new epochs of a stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from ingest_service.adapters.database import ADVISORY_CLASS
from ingest_service.adapters.sessions import in_role, open_session
from ingest_service.errors import DatabaseUnavailableError
from ingest_service.ledger import Entry, Head, Stream

_LOCK_SECONDS = 30

_NEWEST_STREAMS = """
select distinct on (partition) id, topic, partition, epoch
from gateway_audit_streams
where topic = $1 and ($2::int is null or partition = $2)
order by partition, epoch desc
"""

_LOCK = "select pg_advisory_xact_lock($1, $2)"

_HEAD = """
select sequence, next_offset, digest, hash
from gateway_audit_ledger
where stream_id = $1
order by sequence desc
limit 1
"""

# The note says who, by the database's own knowledge.
_APPEND = """
insert into gateway_audit_ledger (
    stream_id, sequence, kind, first_offset, next_offset,
    row_count, duplicate_count, quarantine_count,
    contract, limits, digest, previous_hash, hash, note)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 || ' (' || session_user || ')')
returning note
"""

_OPEN_EPOCH = """
insert into gateway_audit_streams (topic, partition, epoch, reason) values ($1, $2, $3, $4)
"""


@asynccontextmanager
async def open_operator(dsn: str) -> AsyncIterator["LedgerOperator"]:
    """Yield an operator's session in one transaction: committed on leaving, unless that fails.

    Raises `SetupError` or `DatabaseUnavailableError`, with what to do about it.
    """
    with in_role("gateway_audit_operator"):
        async with open_session(dsn, "ledger") as connection, connection.transaction():
            yield LedgerOperator(connection)


class LedgerOperator:
    """One transaction of an operator's."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def newest_streams(self, topic: str, partition: int | None) -> list[Stream]:
        """Return the newest epoch of a topic's partition, or of each that was ever assigned."""
        found = await self._connection.fetch(_NEWEST_STREAMS, topic, partition)
        return [Stream(*row) for row in found]

    async def lock(self, stream: Stream) -> None:
        """Keep every worker from writing to a stream until the transaction ends."""
        try:
            await self._connection.execute(f"set local lock_timeout = '{_LOCK_SECONDS}s'")
            await self._connection.execute(_LOCK, ADVISORY_CLASS, stream.id)
        except asyncpg.LockNotAvailableError as exc:
            raise DatabaseUnavailableError(
                f"a worker has been writing to {stream.topic}/{stream.partition} for "
                f"{_LOCK_SECONDS} s: try again"
            ) from exc

    async def head(self, stream: Stream) -> Head | None:
        """Return a stream's last entry, if it has one."""
        found = await self._connection.fetchrow(_HEAD, stream.id)
        return None if found is None else Head(*found)

    async def append(self, entry: Entry, reason: str) -> str:
        """Append an entry; return its note, which holds the reason and who we are."""
        return str(await self._connection.fetchval(_APPEND, *entry, reason))

    async def open_epoch(self, stream: Stream, reason: str) -> None:
        """Open a stream's next epoch; `stream` is the one before."""
        await self._connection.execute(
            _OPEN_EPOCH, stream.topic, stream.partition, stream.epoch + 1, reason
        )
