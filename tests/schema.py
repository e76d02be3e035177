"""What the database tests share: a migrated database, sessions in a role, a valid ledger."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WRITER = "gateway_audit_writer"
OPERATOR = "gateway_audit_operator"
COMPLIANCE = "gateway_audit_compliance"

Fields = dict[str, Any]


@asynccontextmanager
async def connected(dsn: str, role: str | None = None) -> AsyncIterator[asyncpg.Connection]:
    """Yield a session that has this role's rights, or a superuser's."""
    connection = await asyncpg.connect(dsn)
    try:
        if role is not None:
            await connection.execute(f"set role {role}")
        yield connection
    finally:
        await connection.close()


async def insert(connection: asyncpg.Connection, table: str, fields: Fields) -> None:
    """Insert one row with just these columns."""
    names = ", ".join(f'"{name}"' for name in fields)
    places = ", ".join(f"${n}" for n in range(1, len(fields) + 1))
    await connection.execute(f"insert into {table} ({names}) values ({places})", *fields.values())


async def open_stream(connection: asyncpg.Connection, topic: str = "events") -> int:
    """Open the first epoch of partition 0, as the worker does, and return the stream's id."""
    return await connection.fetchval(
        "insert into gateway_audit_streams (topic, partition, epoch) values ($1, 0, 1)"
        " returning id",
        topic,
    )


def entry(stream_id: int, **fields: Any) -> Fields:
    """Return a ledger entry: the start of a stream, but for the fields given."""
    return {
        "stream_id": stream_id,
        "sequence": 0,
        "kind": "start",
        "first_offset": 0,
        "next_offset": 0,
        "row_count": 0,
        "duplicate_count": 0,
        "quarantine_count": 0,
        "contract": 1,
        "limits": "{}",
        "digest": b"d" * 32,
        "previous_hash": None,
        "hash": b"0" * 32,
    } | fields


def records_entry(stream_id: int, sequence: int, **fields: Any) -> Fields:
    """Return an entry of ten rows that continues the entry before it, but for the fields given.

    Entry n ends at offset 10 n, and its hash is its own digit 32 times.
    """
    continuing = {
        "sequence": sequence,
        "kind": "records",
        "first_offset": 10 * (sequence - 1),
        "next_offset": 10 * sequence,
        "row_count": 10,
        "previous_hash": str(sequence - 1).encode() * 32,
        "hash": str(sequence).encode() * 32,
    }
    return entry(stream_id, **continuing | fields)


async def append(connection: asyncpg.Connection, fields: Fields) -> None:
    """Append one entry to the ledger."""
    await insert(connection, "gateway_audit_ledger", fields)


def event(**fields: Any) -> Fields:
    """Return an event's row, written now, but for the fields given."""
    return {
        "id": uuid4(),
        "event_type": "tool_invoke",
        "decision": "allow",
        "reason": "because",
        "timestamp": datetime.now(UTC),
        "gateway_request_id": "r1",
        "stream_id": 1,
        "kafka_offset": 0,
    } | fields


async def copy_events(session: asyncpg.Connection, *events: Fields) -> None:
    """COPY rows into the table, as the worker does."""
    await session.copy_records_to_table(
        "gateway_audit_events",
        columns=list(events[0]),
        records=[tuple(row.values()) for row in events],
    )


async def blocked_by(observer: asyncpg.Connection, pid: int) -> None:
    """Return once some session waits for a lock that this one holds."""
    waiting = "select pid from pg_stat_activity where $1 = any (pg_blocking_pids(pid))"
    while not await observer.fetchval(waiting, pid):  # noqa: ASYNC110 - nothing tells us
        await asyncio.sleep(0.005)
