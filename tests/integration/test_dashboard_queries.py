"""What the dashboards ask the database is answered to the compliance role, and right."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dashboards import as_postgres_reads, sql
from ingest_service.adapters.migrations import migrate
from schema import (
    COMPLIANCE,
    OPERATOR,
    WRITER,
    append,
    connected,
    copy_events,
    entry,
    event,
    insert,
    open_stream,
    records_entry,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

pytestmark = pytest.mark.database

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@asynccontextmanager
async def asking(dsn: str, *events: dict[str, Any]) -> AsyncIterator[asyncpg.Connection]:
    """Yield a session of the compliance role, with these events and one record in quarantine."""
    await migrate(dsn)
    async with connected(dsn, WRITER) as writer:
        stream = await open_stream(writer)
        for offset, fields in enumerate(events):
            await copy_events(writer, event(stream_id=stream, kafka_offset=offset, **fields))
        quarantined = {
            "stream_id": stream,
            "kafka_offset": len(events),
            "kafka_timestamp": NOW,
            "headers": b"\x90",
            "value": b"garbage",
            "reason": "not_json",
            "message": "the value is no JSON",
        }
        await insert(writer, "gateway_audit_quarantine", quarantined)
    async with connected(dsn, COMPLIANCE) as session:
        yield session


def question(name: str, since: datetime = NOW - HOUR, until: datetime = NOW + HOUR) -> str:
    """Return one query for that time, with what Grafana fills in."""
    [asked] = [asked for asked in sql() if asked.where.endswith(name)]
    return as_postgres_reads(asked.text, since, until)


def denial(user: str | None, **fields: Any) -> dict[str, Any]:
    return {"decision": "deny", "user_id": user, "server_name": "github", **fields}


async def test_every_query_is_answered(database_dsn: str, subtests: pytest.Subtests) -> None:
    """Each query runs with the compliance role's rights and returns rows."""
    async with asking(database_dsn, denial("alice"), {"user_id": "bob"}) as session:
        for asked in sql():
            with subtests.test(asked.where):
                query = as_postgres_reads(asked.text, NOW - HOUR, NOW + HOUR)
                assert await session.fetch(query)


async def test_most_denied_come_first(database_dsn: str) -> None:
    """Users, and agents without one, are listed by their denials, with where and why mostly."""
    events = [
        denial("alice", tool_name="search", reason="no rule"),
        denial("alice", tool_name="merge", reason="too late"),
        denial("alice", tool_name="merge", reason="no rule"),
        denial(None, agent_id="planner", server_name=None, reason="no rule"),
        denial("alice", timestamp=NOW - 2 * HOUR),
        {"user_id": "bob"},
        {"user_id": "carol", "event_type": "telemetry", "decision": None},
    ]
    async with asking(database_dsn, *events) as session:
        found = await session.fetch(question("Top denied users A"))
    assert [tuple(row)[:4] for row in found] == [
        ("alice", 3, "github / merge", "no rule"),
        ("agent planner", 1, "", "no rule"),
    ]


async def test_logged_events_are_counted_by_the_ledger(database_dsn: str) -> None:
    """The count is that of the entries of the range, which an index finds among all others."""
    async with asking(database_dsn):
        pass
    async with connected(database_dsn, WRITER) as writer:
        for fields in (entry(1), records_entry(1, 1), records_entry(1, 2)):
            await append(writer, fields)
    async with connected(database_dsn, COMPLIANCE) as session:
        assert await session.fetchval(question("Audit events logged A")) == 20
        earlier = question("Audit events logged A", NOW - 2 * HOUR, NOW - HOUR)
        assert await session.fetchval(earlier) == 0
        await session.execute("set enable_seqscan = off")
        plan = await session.fetch(f"explain {question('Audit events logged A')}")
    assert "ix_gateway_audit_ledger_created_at" in str(plan)


async def test_quarantine_is_shown_without_content(database_dsn: str) -> None:
    """A record in quarantine is shown by its place and what was wrong, not by what it holds."""
    async with asking(database_dsn) as session:
        [row] = await session.fetch(question("Last in quarantine A"))
    shown = dict(row)
    assert shown.pop("When") >= NOW
    assert shown == {
        "Topic": "events",
        "Partition": 0,
        "Offset": 0,
        "Reason": "not_json",
        "Why": "the value is no JSON",
        "Bytes": 7,
    }


async def test_what_was_given_up_is_counted(database_dsn: str) -> None:
    """A gap that an operator accepted counts as that many lost records, and moves the partition."""
    async with asking(database_dsn) as session:
        assert await session.fetchval(question("Given up as lost A")) == 0
    async with connected(database_dsn, WRITER) as writer:
        await append(writer, entry(1))
    gap = records_entry(1, 1, kind="gap", row_count=0, note="left Kafka")
    async with connected(database_dsn, OPERATOR) as operator:
        await append(operator, gap)
    async with connected(database_dsn, COMPLIANCE) as session:
        assert await session.fetchval(question("Given up as lost A")) == 10
        [row] = await session.fetch(question("as the database sees them A"))
    assert tuple(row)[:4] == ("events", 0, 1, 10)
