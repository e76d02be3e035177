"""TimescaleDB under its own licence: the same schema, the same rights, and what `check` adds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest

from ingest_service.adapters import migrations
from ingest_service.adapters.database_check import survey
from ingest_service.adapters.migrations import Step, migrate, newest_revision
from ingest_service.preflight.database import judge
from ingest_service.preflight.finding import Finding, Verdict
from schema import (
    COMPLIANCE,
    WRITER,
    append,
    connected,
    entry,
    event,
    insert,
    open_stream,
    records_entry,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

pytestmark = pytest.mark.database

CATALOG = (Path(__file__).parent / "catalog.sql").read_text(encoding="utf-8")
EVENTS = "gateway_audit_events"
HOURLY = [
    f"gateway_audit_{name}_hourly"
    for name in ("denials", "tools", "a2a", "activity", "ingest_delay")
]


async def catalog(dsn: str) -> list[str]:
    """Return the schema, one line for each thing in it; numbers of aggregates left out."""
    async with connected(dsn) as session:
        lines = [row["line"] for row in await session.fetch(CATALOG)]
    numbers = re.compile(r"(_materialized_hypertable_|cagg_watermark\(|_trigger\(')\d+")
    return sorted(numbers.sub(r"\1", line) for line in lines)


async def test_first_run_makes_hypertables(community_dsn: str):
    """An empty database gets two hypertables and seven indexes; the report names the edition."""
    report = await migrate(community_dsn)
    async with connected(community_dsn) as session:
        licence = await session.fetchval("select current_setting('timescaledb.license')")
        hypertables = await session.fetch(
            "select hypertable_name::text, column_name::text, time_interval::text"
            " from timescaledb_information.dimensions"
            " where hypertable_schema = 'public' order by 1"
        )
        indexes = await session.fetchval(
            "select count(*) from pg_indexes where tablename = $1 and indexname like 'ix\\_%'",
            EVENTS,
        )
    assert licence == "timescale"
    assert report.server.endswith("(Community edition)")
    assert (report.before, report.after) == (None, newest_revision())
    assert [tuple(row) for row in hypertables] == [
        (EVENTS, "timestamp", "1 day"),
        ("gateway_audit_originals", "created_at", "7 days"),
    ]
    assert indexes == 7


async def test_schema_is_the_same_under_either_licence(
    community_dsn: str, fresh_database: Callable[[str], AbstractAsyncContextManager[str]]
):
    """Columns, constraints, indexes, views, policies, functions and grants do not differ.

    Only the hourly views are defined otherwise, and there are the aggregates behind them.
    """
    await migrate(community_dsn)
    async with fresh_database("timescaledb") as elsewhere:
        await migrate(elsewhere)
        here, there = await catalog(community_dsn), await catalog(elsewhere)
    assert any("audit_denials_hourly.hour" in line for line in there)
    aggregates = re.compile(r"gateway_audit_\w+_hourly|_cagg|cagg_|generate_series\(")
    assert [line for line in here if not aggregates.search(line)] == [
        line for line in there if not aggregates.search(line)
    ]


async def test_hourly_views_are_continuous_aggregates(community_dsn: str):
    """Each is refreshed by a policy from the beginning on, and is right before and after that."""
    await migrate(community_dsn)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    denials = "select hour, denials from audit_denials_hourly"
    async with connected(community_dsn) as owner:
        jobs = await owner.fetch(
            "select config ->> 'start_offset' as start, schedule_interval"
            " from timescaledb_information.jobs where proc_name like 'policy_refresh%'"
        )
        await insert(owner, EVENTS, event(decision="deny", timestamp=hour))
        counted = tuple(await owner.fetchrow(denials))
        for aggregate in HOURLY:
            await owner.execute(f"call refresh_continuous_aggregate('{aggregate}', null, null)")
        await insert(owner, EVENTS, event(decision="deny", timestamp=hour + timedelta(minutes=7)))
        # Late: the next refresh counts its hour again.
        await owner.execute(f"call refresh_continuous_aggregate('{HOURLY[0]}', null, null)")
        materialised = "select sum(denials) from _timescaledb_internal._materialized_hypertable_"
        aggregate = await owner.fetchval(
            "select materialization_hypertable_name from"
            f" timescaledb_information.continuous_aggregates where view_name = '{HOURLY[0]}'"
        )
        again = tuple(await owner.fetchrow(denials))
        kept = await owner.fetchval(materialised + aggregate.rpartition("_")[2])
    assert [tuple(job) for job in jobs] == [(None, timedelta(minutes=30))] * len(HOURLY)
    assert (counted, again, kept) == ((hour, 1), (hour, 2), 2)


async def test_down_takes_the_aggregates_with_it(community_dsn: str):
    """One revision down nothing of them is left, neither an aggregate nor its job."""
    await migrate(community_dsn)
    await migrate(community_dsn, Step("0001", down=True))
    async with connected(community_dsn) as session:
        assert not await session.fetch("select from timescaledb_information.continuous_aggregates")
        assert not await session.fetch(
            "select from timescaledb_information.jobs where proc_name like 'policy_refresh%'"
        )


async def test_second_run_changes_nothing(community_dsn: str):
    """Migrating again leaves every object as it is, even its identity, and says so."""
    identity = "select oid::int, relname::text, xmin::text from pg_class order by oid"
    await migrate(community_dsn)
    async with connected(community_dsn) as session:
        before = await session.fetch(identity)
    report = await migrate(community_dsn)
    async with connected(community_dsn) as session:
        assert await session.fetch(identity) == before
    assert (report.before, report.changed) == (newest_revision(), False)


async def test_down_removes_everything_and_up_makes_it_again(community_dsn: str):
    """After down only the record of versions is left, no hypertable; up again is as the first."""
    await migrate(community_dsn)
    first = await catalog(community_dsn)
    report = await migrate(community_dsn, Step("base", down=True))
    left = await catalog(community_dsn)
    async with connected(community_dsn) as session:
        assert not await session.fetch("select from timescaledb_information.hypertables")
    await migrate(community_dsn)
    assert report.after is None
    assert left
    assert all(migrations.VERSION_TABLE in line for line in left)
    assert await catalog(community_dsn) == first


async def test_writer_appends_and_compliance_reads(community_dsn: str):
    """A batch goes in once, by the writer alone; an auditor sees it through the views alone."""
    await migrate(community_dsn)
    row = event()
    names = ", ".join(f'"{name}"' for name in row)
    async with connected(community_dsn, WRITER) as writer:
        async with writer.transaction():
            stream = await open_stream(writer)
            await append(writer, entry(stream))
            await insert(writer, EVENTS, row)
            original = {"stream_id": stream, "sequence": 1, "records": b"gzip"}
            await insert(writer, "gateway_audit_originals", original)
            await append(writer, records_entry(stream, 1))
        again = f"insert into {EVENTS} ({names}) select {names} from {EVENTS}"
        assert await writer.execute(f"{again} on conflict do nothing") == "INSERT 0 0"
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await append(writer, records_entry(stream, 3))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await writer.execute(f"delete from {EVENTS}")
    async with connected(community_dsn, COMPLIANCE) as auditor:
        seen = await auditor.fetch("select id, topic from audit_events")
        assert [tuple(each) for each in seen] == [(row["id"], "events")]
        assert await auditor.fetchval("select max(next_offset) from audit_ledger") == 10
        for table in (EVENTS, "gateway_audit_originals", "gateway_audit_ledger"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await auditor.fetch(f"select from {table}")


async def test_native_retention_policy_is_a_fault(community_dsn: str):
    """A policy, which this edition alone offers, is reported to the worker's login, until removed."""
    await migrate(community_dsn)
    worker = await login_of_a_worker(community_dsn)
    assert await faults(worker) == []
    await execute(community_dsn, f"select add_retention_policy('{EVENTS}', interval '10 years')")
    [fault] = await faults(worker)
    assert (fault.subject, fault.verdict) == (f"retention of {EVENTS}", Verdict.WRONG)
    await execute(community_dsn, fault.advice.partition(";")[0])
    assert await faults(worker) == []


async def faults(dsn: str) -> list[Finding]:
    findings = judge(await survey(dsn), newest_revision())
    return [found for found in findings if found.verdict is Verdict.WRONG]


async def login_of_a_worker(dsn: str) -> str:
    """Return the DSN of a new user who has the writer's rights and no others."""
    await execute(dsn, f"create role persister login in role {WRITER}")
    place = urlsplit(dsn)
    return place._replace(netloc=f"persister@{place.hostname}:{place.port}").geturl()


async def execute(dsn: str, statement: str) -> None:
    async with connected(dsn) as owner:
        await owner.execute(statement)
