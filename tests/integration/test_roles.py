"""Each role can do its work, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

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

pytestmark = pytest.mark.database

TABLES = ["events", "ledger", "originals", "quarantine", "streams"]
VIEWS = ["audit_events", "audit_decisions", "audit_quarantine", "audit_ledger"]
MAKE = "select gateway_audit_make_partitions($1)"
FORBIDDEN = asyncpg.InsufficientPrivilegeError


@pytest.fixture
async def dsn(database_dsn: str) -> str:
    """Return a migrated database."""
    await migrate(database_dsn)
    return database_dsn


async def test_writer_copies_into_days_that_have_no_chunk_yet(dsn: str):
    """COPY as the writer works for any day within the longest age, on either edition."""
    today = datetime.now(UTC)
    days = [today - timedelta(days=age) for age in (-1, 0, 1, 30)]
    async with connected(dsn, WRITER) as writer:
        await writer.execute(MAKE, [day.date() for day in days])
        await copy_events(writer, *(event(timestamp=day) for day in days))
        assert await writer.fetchval("select count(*) from gateway_audit_events") == 4


async def test_writer_stages_rows_that_may_be_duplicates(dsn: str):
    """The staged path, a temporary table and ON CONFLICT DO NOTHING, is open to the writer."""
    row = event()
    names = ", ".join(f'"{name}"' for name in row)
    async with connected(dsn, WRITER) as writer:
        await copy_events(writer, row)
        await writer.execute(
            "create temp table staged (like gateway_audit_events including defaults)"
        )
        await writer.copy_records_to_table(
            "staged", columns=list(row), records=[tuple(row.values())]
        )
        status = await writer.execute(
            f"insert into gateway_audit_events ({names}) select {names} from staged"
            " on conflict do nothing"
        )
    assert status == "INSERT 0 0"


async def test_writer_writes_a_whole_transaction(dsn: str):
    """Rows, original, quarantine and ledger entry go in together."""
    async with connected(dsn, WRITER) as writer, writer.transaction():
        stream = await open_stream(writer)
        await append(writer, entry(stream))
        await copy_events(writer, event(stream_id=stream))
        original = {"stream_id": stream, "sequence": 1, "records": b"gzip"}
        await insert(writer, "gateway_audit_originals", original)
        await insert(writer, "gateway_audit_quarantine", quarantined(stream))
        await append(writer, records_entry(stream, 1))


def quarantined(stream: int) -> dict[str, Any]:
    """Return a quarantine row for a tombstone at offset 7."""
    return {
        "stream_id": stream,
        "kafka_offset": 7,
        "kafka_timestamp": datetime.now(UTC),
        "key": b"\x00",
        "headers": b"\x90",
        "value": None,
        "reason": "empty",
        "message": "publish a JSON object",
    }


async def test_decision_is_null_only_on_telemetry(dsn: str):
    """An authorisation without its decision cannot be written, whatever the decoder let through."""
    async with connected(dsn, WRITER) as writer:
        await copy_events(writer, event(event_type="telemetry", decision=None))
        for wrong in (event(decision=None), event(decision="maybe")):
            with pytest.raises(asyncpg.CheckViolationError):
                await copy_events(writer, wrong)


async def test_row_key_holds_id_and_time(dsn: str):
    """The same id at the same time is refused."""
    row = event()
    async with connected(dsn, WRITER) as writer:
        await copy_events(writer, row)
        with pytest.raises(asyncpg.UniqueViolationError):
            await copy_events(writer, row | {"kafka_offset": 1})


@pytest.mark.parametrize("table", ["events", "originals", "quarantine"])
async def test_only_the_writer_adds_what_arrived(dsn: str, table: str):
    """Neither operator nor compliance can add a row, an original or a quarantine entry."""
    for role in (OPERATOR, COMPLIANCE):
        async with connected(dsn, role) as session:
            with pytest.raises(FORBIDDEN):
                await session.execute(f"insert into gateway_audit_{table} default values")


async def test_times_of_writing_are_the_databases_own(dsn: str):
    """A worker cannot date a row back."""
    async with connected(dsn, WRITER) as writer:
        with pytest.raises(FORBIDDEN):
            await copy_events(writer, event(created_at=datetime(2020, 1, 1, tzinfo=UTC)))


async def test_writer_opens_only_the_first_epoch(dsn: str):
    """A worker whose topic was recreated must stop; an operator opens the next life, and says why."""
    stream = {"topic": "t", "partition": 0, "epoch": 1}
    second = stream | {"epoch": 2}
    async with connected(dsn, WRITER) as writer, connected(dsn, OPERATOR) as operator:
        with pytest.raises(FORBIDDEN):
            await insert(operator, "gateway_audit_streams", stream)
        await insert(writer, "gateway_audit_streams", stream)
        with pytest.raises(FORBIDDEN):
            await insert(writer, "gateway_audit_streams", second)
        for reason in ({}, {"reason": " "}):
            with pytest.raises(asyncpg.CheckViolationError):
                await insert(operator, "gateway_audit_streams", second | reason)
        await insert(operator, "gateway_audit_streams", second | {"reason": "topic recreated"})
        who = await operator.fetchval('select "by" from gateway_audit_streams where epoch = 2')
        assert who == await operator.fetchval("select session_user::text")


@pytest.mark.parametrize(("column", "value"), [("id", "7"), ("by", "'somebody'"), ("at", "now()")])
async def test_stream_is_signed_by_the_database(dsn: str, column: str, value: str):
    """Id, author and time of a stream cannot be chosen."""
    async with connected(dsn, WRITER) as writer:
        with pytest.raises(FORBIDDEN):
            await writer.execute(
                f'insert into gateway_audit_streams (topic, partition, epoch, "{column}")'
                f" overriding system value values ('t', 0, 1, {value})"
            )


@pytest.mark.parametrize("role", [WRITER, OPERATOR, COMPLIANCE])
async def test_roles_create_and_alter_nothing(dsn: str, role: str):
    """No role can make objects beside the tables, or change the tables' shape."""
    statements = [
        "create table public.mine ()",
        "alter table gateway_audit_ledger disable row level security",
        "drop policy everybody_reads on gateway_audit_ledger",
        "drop index ix_gateway_audit_timestamp",
        "create or replace view audit_events as select 1 as id",
    ]
    async with connected(dsn, role) as session:
        for statement in statements:
            with pytest.raises(FORBIDDEN):
                await session.execute(statement)


async def test_workers_and_operators_read_everything(dsn: str):
    """Whoever verifies needs every table."""
    for role in (WRITER, OPERATOR):
        async with connected(dsn, role) as session:
            for table in [*TABLES, "schema_version"]:
                await session.fetch(f"select * from gateway_audit_{table}")


async def test_compliance_reads_only_views(dsn: str):
    """An auditor reads every view and no table."""
    async with connected(dsn, COMPLIANCE) as session:
        for view in VIEWS:
            await session.fetch(f"select * from {view}")
        for table in TABLES:
            with pytest.raises(FORBIDDEN):
                await session.fetch(f"select * from gateway_audit_{table}")
            with pytest.raises(FORBIDDEN):
                await session.execute(f"insert into gateway_audit_{table} default values")
        with pytest.raises(FORBIDDEN):
            await session.execute(MAKE, [datetime.now(UTC).date()])


async def test_views_show_where_in_kafka_a_thing_came_from(dsn: str):
    """An auditor sees topic, partition, epoch and offset instead of our stream ids."""
    async with connected(dsn, WRITER) as writer:
        stream = await open_stream(writer, "gateway.audit.events")
        await append(writer, entry(stream, first_offset=3, next_offset=3))
        await copy_events(writer, event(stream_id=stream, kafka_offset=3))
        await insert(writer, "gateway_audit_quarantine", quarantined(stream))
    place = "select topic, partition, epoch"
    async with connected(dsn, COMPLIANCE) as auditor:
        for view, offset, expected in [
            ("audit_events", "kafka_offset", 3),
            ("audit_quarantine", "kafka_offset", 7),
            ("audit_ledger", "next_offset", 3),
        ]:
            row = await auditor.fetchrow(f"{place}, {offset} from {view}")
            assert tuple(row) == ("gateway.audit.events", 0, 1, expected)


async def test_row_of_no_stream_is_seen(dsn: str):
    """A row that somebody put there with an unknown stream does not hide from the auditor."""
    async with connected(dsn) as intruder:
        await copy_events(intruder, event(id=UUID(int=9), stream_id=999))
    async with connected(dsn, COMPLIANCE) as auditor:
        seen = await auditor.fetchrow("select id, topic from audit_events")
    assert (seen["id"].int, seen["topic"]) == (9, None)


async def test_decisions_leave_telemetry_out(dsn: str):
    """A sign of life from a gateway counts as no decision."""
    async with connected(dsn, WRITER) as writer:
        await copy_events(writer, event(event_type="telemetry", decision=None))
        await copy_events(writer, event(event_type="discovery", decision="deny"))
    async with connected(dsn, COMPLIANCE) as auditor:
        decided = await auditor.fetch("select event_type from audit_decisions")
        assert [row["event_type"] for row in decided] == ["discovery"]
        assert await auditor.fetchval("select count(*) from audit_events") == 2
