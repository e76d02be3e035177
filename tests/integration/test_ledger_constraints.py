"""The database itself refuses every forged or mistaken append, whoever makes it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import pytest

from ingest_service.adapters.migrations import migrate
from schema import (
    COMPLIANCE,
    OPERATOR,
    WRITER,
    append,
    blocked_by,
    connected,
    entry,
    open_stream,
    records_entry,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncpg.transaction import Transaction

pytestmark = pytest.mark.database

UNIQUE, FOREIGN_KEY, CHECK = "23505", "23503", "23514"
# Each test finds a chain of a start and two entries, up to offset 20. A forgery is the one honest
# next entry (offsets 20 to 29, sequence 3) but for what is named here.
FORGERIES = {
    "second start": (
        {"sequence": 0, "kind": "start", "next_offset": 20, "row_count": 0, "previous_hash": None},
        UNIQUE,
    ),
    "start that names itself": (
        {"sequence": 0, "kind": "start", "next_offset": 20, "previous_hash": b"3" * 32},
        CHECK,
    ),
    "start in the middle": ({"kind": "start", "next_offset": 20, "row_count": 0}, CHECK),
    "entry that names itself": ({"previous_hash": b"3" * 32}, FOREIGN_KEY),
    "hole": ({"first_offset": 21, "row_count": 9}, FOREIGN_KEY),
    "overlap": ({"first_offset": 19, "row_count": 11}, FOREIGN_KEY),
    "fork": (
        {"sequence": 2, "first_offset": 10, "next_offset": 20, "previous_hash": b"1" * 32},
        UNIQUE,
    ),
    "wrong previous hash": ({"previous_hash": b"x" * 32}, FOREIGN_KEY),
    "no previous hash": ({"previous_hash": None}, CHECK),
    "sequence left out": ({"sequence": 4}, FOREIGN_KEY),
    "sequence below zero": ({"sequence": -1}, CHECK),
    "too few rows": ({"row_count": 9}, CHECK),
    "too many duplicates": ({"duplicate_count": 1}, CHECK),
    "records without a record": ({"next_offset": 20, "row_count": 0}, CHECK),
    "records that go back": ({"next_offset": 10, "row_count": -10}, CHECK),
    "digest cut short": ({"digest": b"d"}, CHECK),
    "hash cut short": ({"hash": b"h"}, CHECK),
    "unknown stream": ({"stream_id": 999}, FOREIGN_KEY),
}


@pytest.fixture
async def ledger(database_dsn: str) -> AsyncIterator[tuple[str, int]]:
    """Yield a database with one stream of a start and two entries, and the stream's id."""
    await migrate(database_dsn)
    async with connected(database_dsn, WRITER) as writer:
        stream = await open_stream(writer)
        await append(writer, entry(stream))
        await append(writer, records_entry(stream, 1))
        await append(writer, records_entry(stream, 2))
    yield database_dsn, stream


async def test_forged_append_is_refused(ledger: tuple[str, int], subtests: pytest.Subtests):
    """An entry that is not the one honest continuation of its stream's head cannot be written."""
    dsn, stream = ledger
    async with connected(dsn, WRITER) as writer:
        for forgery, (forged, sqlstate) in FORGERIES.items():
            with subtests.test(forgery):
                with pytest.raises(asyncpg.PostgresError) as refusal:
                    await append(writer, records_entry(stream, 3) | forged)
                assert refusal.value.sqlstate == sqlstate


async def test_honest_append_is_taken(ledger: tuple[str, int]):
    """The entry that each forgery was made from is fine itself."""
    dsn, stream = ledger
    async with connected(dsn, WRITER) as writer:
        await append(writer, records_entry(stream, 3))


async def test_empty_stream_has_no_head_to_continue(ledger: tuple[str, int]):
    """A stream without a start cannot borrow another stream's head."""
    dsn, _ = ledger
    async with connected(dsn, WRITER) as writer:
        other = await open_stream(writer, "other")
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await append(writer, records_entry(other, 3))


@asynccontextmanager
async def _two_at_once(
    dsn: str, stream: int
) -> AsyncIterator[tuple[Transaction, asyncio.Task[None], asyncpg.Connection]]:
    """Yield a writer's open transaction, another's append that waits for it, and an observer."""
    async with (
        connected(dsn, WRITER) as first,
        connected(dsn, WRITER) as second,
        connected(dsn) as observer,
    ):
        opened = first.transaction()
        await opened.start()
        await append(first, records_entry(stream, 3))
        waiting = asyncio.create_task(append(second, records_entry(stream, 3, hash=b"y" * 32)))
        await blocked_by(observer, first.get_server_pid())
        yield opened, waiting, observer


async def test_of_two_writers_one_commits(ledger: tuple[str, int]):
    """Two workers that continue the same head at once: the second waits, then is refused."""
    async with _two_at_once(*ledger) as (winning, losing, _):
        await winning.commit()
        with pytest.raises(asyncpg.UniqueViolationError) as refusal:
            await losing
    assert refusal.value.constraint_name == "gateway_audit_ledger_pkey"


async def test_writer_that_rolls_back_leaves_the_head_free(ledger: tuple[str, int]):
    """When the first of two workers fails, the second's entry is taken."""
    _, stream = ledger
    async with _two_at_once(*ledger) as (failing, waiting, observer):
        await failing.rollback()
        await waiting
        assert await _hash_at(observer, stream, 3) == b"y" * 32


async def test_append_after_a_failover_that_lost_the_head_is_refused(ledger: tuple[str, int]):
    """A worker that remembers an entry which the new primary never got cannot go on from it."""
    dsn, stream = ledger
    async with connected(dsn) as failover:
        await failover.execute("delete from gateway_audit_ledger where sequence = 2")
    async with connected(dsn, WRITER) as writer:
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await append(writer, records_entry(stream, 3))
        await append(writer, records_entry(stream, 2))


@pytest.mark.parametrize("kind", ["gap", "replay", "purge", "redaction", "checkpoint"])
async def test_writer_cannot_append_what_an_operator_decides(ledger: tuple[str, int], kind: str):
    """A worker whose credentials leaked cannot explain missing records away; an operator can."""
    dsn, stream = ledger
    fields = records_entry(stream, 3, kind=kind, row_count=0)
    if kind != "gap":
        fields["next_offset"] = fields["first_offset"]
    async with connected(dsn, WRITER) as writer, connected(dsn, OPERATOR) as operator:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await append(writer, fields)
        await append(operator, fields)


@pytest.mark.parametrize("kind", ["start", "records"])
async def test_operator_cannot_append_what_arrived(ledger: tuple[str, int], kind: str):
    """Only a worker says what Kafka held."""
    dsn, stream = ledger
    async with connected(dsn, WRITER) as writer, connected(dsn, OPERATOR) as operator:
        other = await open_stream(writer, "other")
        fields = entry(other) if kind == "start" else records_entry(stream, 3)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await append(operator, fields)
        await append(writer, fields)


@pytest.mark.parametrize("role", [WRITER, OPERATOR, COMPLIANCE])
async def test_nobody_changes_what_is_written(ledger: tuple[str, int], role: str):
    """No role may update, delete or truncate any table of the store."""
    dsn, _ = ledger
    async with connected(dsn, role) as session:
        for table in ("ledger", "originals", "events", "quarantine"):
            for change in ("update {} set stream_id = 1", "delete from {}", "truncate {}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await session.execute(change.format(f"gateway_audit_{table}"))
        for change in ("update {} set epoch = 2", "delete from {}", "truncate {}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await session.execute(change.format("gateway_audit_streams"))


async def test_time_of_writing_is_the_databases_own(ledger: tuple[str, int]):
    """A worker cannot date an entry back."""
    dsn, stream = ledger
    async with connected(dsn, WRITER) as writer:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await append(
                writer, records_entry(stream, 3) | {"created_at": datetime(2020, 1, 1, tzinfo=UTC)}
            )


async def _hash_at(connection: asyncpg.Connection, stream: int, sequence: int) -> bytes:
    return await connection.fetchval(
        "select hash from gateway_audit_ledger where stream_id = $1 and sequence = $2",
        stream,
        sequence,
    )
