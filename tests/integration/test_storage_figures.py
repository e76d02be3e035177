"""What the persister asks about the audit as a whole: right on each edition, as the writer's role."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from ingest_service.adapters.migrations import migrate
from ingest_service.adapters.storage import StorageFigures
from ingest_service.errors import DatabaseUnavailableError
from logins import login
from schema import WRITER, append, copy_events, entry, event, open_stream

pytestmark = pytest.mark.database

MAKE = "select gateway_audit_make_partitions($1)"


@pytest.fixture
async def dsn(database_dsn: str) -> str:
    """Return a migrated database."""
    await migrate(database_dsn)
    return database_dsn


async def test_size_grows_with_rows_and_new_chunks_are_counted(dsn: str):
    """All tables with all their parts; the first answer is where counting begins."""
    owner = await asyncpg.connect(dsn)
    days = [datetime.now(UTC) - timedelta(days=age) for age in (100, 101, 102)]
    await owner.execute(MAKE, [days[0].date()])
    await copy_events(owner, event(timestamp=days[0]))
    async with login(owner, dsn, WRITER) as writer:
        figures = StorageFigures(writer)
        before = await figures.storage()
        assert before.size_bytes > 0
        assert (before.new_chunks, before.new_purges) == (0, 0)
        await owner.execute(MAKE, [day.date() for day in days[1:]])
        await copy_events(
            owner, *(event(timestamp=day, reason="x" * 500) for day in days for _ in range(200))
        )
        after = await figures.storage()
        assert after.size_bytes > before.size_bytes + 100_000
        assert after.new_chunks == 2
        assert (await figures.storage()).new_chunks == 0
    await owner.close()


async def test_purges_are_counted_from_the_ledger_on(dsn: str):
    """Each purge entry counts once, also of a stream that began meanwhile."""
    owner = await asyncpg.connect(dsn)
    async with login(owner, dsn, WRITER) as writer:
        figures = StorageFigures(writer)
        stream = await open_stream(owner)
        await append(owner, entry(stream))
        assert (await figures.storage()).new_purges == 0
        for sequence in (1, 2):
            await append(owner, _purge(stream, sequence))
        assert (await figures.storage()).new_purges == 2
        assert (await figures.storage()).new_purges == 0
    await owner.close()


def _purge(stream: int, sequence: int) -> dict:
    return entry(
        stream,
        sequence=sequence,
        kind="purge",
        previous_hash=str(sequence - 1).encode() * 32,
        hash=str(sequence).encode() * 32,
    )


async def test_users_of_the_last_hour_are_counted_once(dsn: str):
    """Not those of before, and nobody twice; an agent's own event names no user."""
    owner = await asyncpg.connect(dsn)
    now = datetime.now(UTC)
    users = [("ada", 1), ("ada", 2), ("bob", 50), ("eve", 70), (None, 1)]
    await owner.execute(MAKE, [now.date(), (now - timedelta(hours=2)).date()])
    await copy_events(
        owner,
        *(event(user_id=user, timestamp=now - timedelta(minutes=ago)) for user, ago in users),
    )
    async with login(owner, dsn, WRITER) as writer:
        assert await StorageFigures(writer).unique_users() == 2
    await owner.close()


async def test_answer_that_takes_long_is_given_up(dsn: str, monkeypatch: pytest.MonkeyPatch):
    """A table that somebody locks holds up a question for a bounded time, and no writer for it."""
    monkeypatch.setattr("ingest_service.adapters.storage._SESSION", {"statement_timeout": "100ms"})
    owner = await asyncpg.connect(dsn)
    async with owner.transaction():
        await owner.execute("lock table gateway_audit_events in access exclusive mode")
        with pytest.raises(DatabaseUnavailableError):
            await StorageFigures(dsn).unique_users()
    await owner.close()


async def test_proof_is_what_was_noted_last(dsn: str):
    """Runs over everything count, by how they ended; a run over one partition does not."""
    owner = await asyncpg.connect(dsn)
    async with login(owner, dsn, WRITER) as writer:
        figures = StorageFigures(writer)
        assert await figures.proof() == (None, None, None, None)
        for minute, result, whole, findings in (
            (1, "bad", True, 7),
            (2, "good", True, 0),
            (3, "bad", False, 9),
        ):
            await owner.execute(
                "insert into gateway_audit_verifications (began_at, ended_at, result, whole, scope,"
                " streams, entries, records, anchors, findings, notices, counts, version)"
                " values ($1, $1, $2, $3, '', 1, 1, 1, 0, $4, 0, '{}', '')",
                datetime.fromtimestamp(60 * minute, UTC),
                *(result, whole, findings),
            )
        stream = await open_stream(owner)
        await owner.execute(
            "insert into gateway_audit_anchors (stream_id, next_offset, signed_at, key, digest,"
            " signature) values ($1, 5, $2, 'k', $3, $4)",
            *(stream, datetime.fromtimestamp(90, UTC), b"d" * 32, b"s" * 64),
        )
        assert await figures.proof() == (120.0, 60.0, 0, 90.0)
    await owner.close()
