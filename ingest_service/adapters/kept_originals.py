"""The records of a partition as they are kept, from one offset on: for one command of a person."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import asyncpg

from ingest_service.adapters.sessions import in_role, open_session
from ingest_service.ledger import Stream

_STREAM = """
select id, topic, partition, epoch
from gateway_audit_streams
where topic = $1 and partition = $2
order by epoch desc
limit 1
"""

_REACH = """
select min(first_offset), max(next_offset)
from gateway_audit_ledger
where stream_id = $1
"""

_SEQUENCE_OF = """
select min(sequence)
from gateway_audit_ledger
where stream_id = $1 and next_offset > $2 and kind in ('records', 'gap')
"""

# One entry a question: an entry's records are up to 16 MiB, and no snapshot is held for hours.
_ENTRY = """
select e.sequence, e.kind, e.first_offset, e.next_offset,
    (select o.records from gateway_audit_originals o
        where o.stream_id = e.stream_id and o.sequence = e.sequence limit 1) as records
from gateway_audit_ledger e
where e.stream_id = $1 and e.sequence >= $2 and e.kind in ('records', 'gap')
order by e.sequence
limit 1
"""


class KeptEntry(NamedTuple):
    """A ledger entry's offsets, and the packed records under it: none for a gap or a purge."""

    sequence: int
    kind: str
    first_offset: int
    next_offset: int
    records: bytes | None


class KeptOriginals:
    """Reads what was kept; every method may raise `DatabaseUnavailableError` or `SetupError`."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def stream(self, topic: str, partition: int) -> Stream | None:
        """Return the stream of the partition's newest epoch."""
        found = await self._connection.fetchrow(_STREAM, topic, partition)
        return None if found is None else Stream(*found)

    async def reach(self, stream: Stream) -> tuple[int, int] | None:
        """Return the first offset in the ledger and the one after its last; None if it is empty."""
        found = await self._connection.fetchrow(_REACH, stream.id)
        return None if found is None or found[0] is None else (found[0], found[1])

    async def entries(self, stream: Stream, first: int, end: int) -> AsyncIterator[KeptEntry]:
        """Yield the entries that hold offsets from `first` up to, and without, `end`."""
        sequence = await self._connection.fetchval(_SEQUENCE_OF, stream.id, first)
        while sequence is not None:
            found = await self._connection.fetchrow(_ENTRY, stream.id, sequence)
            if found is None or found["first_offset"] >= end:
                return
            entry = KeptEntry(*found)
            yield entry
            sequence = entry.sequence + 1


@asynccontextmanager
async def open_originals(dsn: str) -> AsyncIterator[KeptOriginals]:
    """Yield a session of an operator's that only reads.

    Raises `SetupError` or `DatabaseUnavailableError`, with what to do about it, also out of every
    method while it is open.
    """
    with in_role("gateway_audit_operator"):
        async with open_session(dsn, "replay") as connection:
            await connection.execute("set default_transaction_read_only = on")
            yield KeptOriginals(connection)
