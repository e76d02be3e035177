"""Where each stream ends, and the note of what was signed: the database's part of an anchor."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg

from ingest_service.adapters.sessions import in_role, open_session
from ingest_service.ledger import Stream

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_HEADS = """
select stream.id, stream.topic, stream.partition, stream.epoch, head.next_offset, head.digest
from gateway_audit_streams as stream
cross join lateral (
    select next_offset, digest
    from gateway_audit_ledger
    where stream_id = stream.id
    order by sequence desc
    limit 1) as head
order by stream.topic, stream.partition, stream.epoch
"""

_NOTE = """
insert into gateway_audit_anchors (stream_id, next_offset, digest, signed_at, key, signature)
values ($1, $2, $3, $4, $5, $6)
on conflict do nothing
"""


class AnchorNote(NamedTuple):
    """What the database is told of an anchor; the time in milliseconds."""

    stream_id: int
    next_offset: int
    digest: bytes
    signed_at_ms: int
    key: str
    signature: bytes


class AnchorStore:
    """One session; every method may raise `DatabaseUnavailableError` or `SetupError`."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def heads(self) -> list[tuple[Stream, int, bytes]]:
        """Return where each stream ends, and its digest there; streams without an entry have none.

        One statement, so one moment.
        """
        found = await self._connection.fetch(_HEADS)
        return [(Stream(*row[:4]), row[4], row[5]) for row in found]

    async def note(self, notes: Sequence[AnchorNote]) -> None:
        """Note what was signed and is kept outside by now: retention and dashboards ask for it."""
        await self._connection.executemany(
            _NOTE,
            [
                (*note[:3], _EPOCH + timedelta(milliseconds=note.signed_at_ms), *note[4:])
                for note in notes
            ],
        )


@asynccontextmanager
async def open_anchor_store(dsn: str) -> AsyncIterator[AnchorStore]:
    """Yield a session of the writer's or an operator's.

    Raises `SetupError` or `DatabaseUnavailableError`, with what to do about it, also out of every
    method while it is open.
    """
    with in_role("gateway_audit_operator"):
        async with open_session(dsn, "anchor") as connection:
            yield AnchorStore(connection)
