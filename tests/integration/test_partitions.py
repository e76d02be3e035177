"""Native partitions are made by the owner's function on behalf of the writer; chunks need none."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from ingest_service.adapters.migrations import migrate
from schema import WRITER, connected, copy_events, event

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    FreshDatabase = Callable[[str], AbstractAsyncContextManager[str]]

pytestmark = pytest.mark.database

MAKE = "select gateway_audit_make_partitions($1)"
FAR = datetime.now(UTC).date() + timedelta(days=3650)


async def partitions(session: asyncpg.Connection, pattern: str = "%") -> list[str]:
    """Return the events' partitions by name."""
    rows = await session.fetch(
        "select inhrelid::regclass::text as name from pg_inherits"
        " where inhparent = 'gateway_audit_events'::regclass"
        " and inhrelid::regclass::text like $1 order by name",
        pattern,
    )
    return [row["name"] for row in rows]


async def test_day_without_partition_is_refused_until_it_is_made(fresh_database: FreshDatabase):
    """COPY into a day without a partition says 23514; after the function it is taken."""
    row = event(timestamp=datetime(FAR.year, FAR.month, FAR.day, 23, 59, 59, 999999, tzinfo=UTC))
    async with fresh_database("plain") as dsn:
        await migrate(dsn)
        async with connected(dsn, WRITER) as writer:
            # Days are UTC, whatever the session's time zone.
            await writer.execute("set timezone = 'Pacific/Kiritimati'")
            with pytest.raises(asyncpg.CheckViolationError, match="no partition of relation"):
                await copy_events(writer, row)
            assert await writer.fetchval(MAKE, [FAR, FAR]) == 1
            assert await writer.fetchval(MAKE, [FAR]) == 0
            await copy_events(writer, row)
            where = await writer.fetchval(
                "select tableoid::regclass::text from gateway_audit_events"
            )
    assert where == f"gateway_audit_events_p{FAR:%Y%m%d}"


async def test_partition_has_every_index_and_check(fresh_database: FreshDatabase):
    """A partition made on demand is searched and checked like the ones made ahead."""
    shape = (
        "select count(*) from pg_index where indrelid = $1::text::regclass"
        " union all select count(*) from pg_constraint"
        " where conrelid = $1::text::regclass and contype in ('c', 'p')"
    )
    async with fresh_database("plain") as dsn:
        await migrate(dsn)
        async with connected(dsn, WRITER) as writer:
            await writer.execute(MAKE, [FAR])
            name = f"gateway_audit_events_p{FAR:%Y%m%d}"
            assert [row[0] for row in await writer.fetch(shape, name)] == [8, 2]


async def test_makers_at_the_same_time_all_succeed(fresh_database: FreshDatabase):
    """Workers that meet the same new days at once make each partition once, and none fails."""
    days = [FAR - timedelta(days=n) for n in range(5)]
    async with fresh_database("plain") as dsn:
        await migrate(dsn)

        async def make() -> int:
            async with connected(dsn, WRITER) as writer:
                return await writer.fetchval(MAKE, days)

        made = await asyncio.gather(*(make() for _ in range(4)))
        async with connected(dsn) as session:
            there = await partitions(session)
    assert sorted(made) == [0, 0, 0, 5]
    assert {f"gateway_audit_events_p{day:%Y%m%d}" for day in days} <= set(there)


async def test_frozen_worker_does_not_hold_up_the_maker(fresh_database: FreshDatabase):
    """A transaction that hangs after its COPY keeps nobody from making partitions and writing."""
    async with fresh_database("plain") as dsn:
        await migrate(dsn)
        async with connected(dsn, WRITER) as frozen, connected(dsn, WRITER) as writer:
            async with frozen.transaction():
                await copy_events(frozen, event())
                await writer.execute("set lock_timeout = '2s'")
                assert await writer.fetchval(MAKE, [FAR]) == 1
                await copy_events(writer, event(kafka_offset=1))


ABSURD = [
    "array[current_date + 7400]",
    "array[current_date - 7400]",
    "array['infinity'::date]",
    "array[null::date]",
    "array(select current_date + n from generate_series(0, 400) as n)",
]


async def test_absurd_days_are_refused(fresh_database: FreshDatabase, subtests: pytest.Subtests):
    """A worker cannot fill the catalog with partitions for days that no event can have."""
    async with fresh_database("plain") as dsn:
        await migrate(dsn)
        async with connected(dsn, WRITER) as writer:
            before = await partitions(writer)
            for days in ABSURD:
                with subtests.test(days):
                    with pytest.raises(asyncpg.PostgresError) as refusal:
                        await writer.execute(f"select gateway_audit_make_partitions({days})")
                    assert refusal.value.sqlstate in ("22008", "54000")
                    assert await partitions(writer) == before


async def test_function_with_the_owners_rights_cannot_be_led_astray(fresh_database: FreshDatabase):
    """Objects that a caller puts in the way are not what the owner's function touches."""
    async with fresh_database("plain") as dsn:
        await migrate(dsn)
        async with connected(dsn, WRITER) as writer:
            await writer.execute(
                'create temp table gateway_audit_events ("timestamp" timestamptz)'
                ' partition by range ("timestamp")'
            )
            await writer.execute(
                "create function pg_temp.to_regclass(text) returns regclass"
                " language sql as 'select 1::regclass'"
            )
            await writer.execute("set search_path = pg_temp, public")
            assert await writer.fetchval("select public.gateway_audit_make_partitions($1)", [FAR])
        async with connected(dsn) as session:
            assert await partitions(session, f"%p{FAR:%Y%m%d}")


async def test_timescaledb_needs_no_partitions_made(fresh_database: FreshDatabase):
    """The same call does nothing on TimescaleDB, so a worker need not know where it is."""
    async with fresh_database("timescaledb") as dsn:
        await migrate(dsn)
        async with connected(dsn, WRITER) as writer:
            assert await writer.fetchval(MAKE, [FAR]) == 0
