"""Partitions that are late, and chunks that go while a writer opens them: nothing is quarantined."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from stage import assert_invariants, until
from stage.databases import session
from stage.journal import event, events

if TYPE_CHECKING:
    import random

    import asyncpg

    from stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

_CHILDREN = "select inhrelid::regclass::text from pg_inherits where inhparent = $1::regclass"
_WAITING = """
select count(*) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock'
    and application_name = 'ingest-service persist'
"""


async def _drop_partitions(superuser: asyncpg.Connection, *parents: str) -> None:
    for parent in parents:
        for (child,) in await superuser.fetch(_CHILDREN, parent):
            await superuser.execute(f"drop table {child}")


async def _assert_no_quarantine(stage: Stage) -> None:
    async with session(stage.dsn) as superuser:
        assert await superuser.fetchval("select count(*) from gateway_audit_quarantine") == 0


async def _event_partitions(stage: Stage) -> int:
    async with session(stage.dsn) as superuser:
        return len(await superuser.fetch(_CHILDREN, "gateway_audit_events"))


def _midnight_of(day: dt.date) -> float:
    return dt.datetime.combine(day, dt.time(), dt.UTC).timestamp()


async def test_day_without_partition_gets_one_when_it_is_met(
    plain_stage: Stage, seed: random.Random
) -> None:
    """With no partition at all, of events or originals, every row is written and none put aside."""
    stage = plain_stage
    async with session(stage.dsn) as superuser:
        await _drop_partitions(superuser, "gateway_audit_events", "gateway_audit_originals")
    await stage.produce(events(seed, 300))
    stage.start_worker()
    await stage.drained()
    await _assert_no_quarantine(stage)
    await assert_invariants(stage)


async def test_batch_across_midnight_utc_finds_both_days(
    plain_stage: Stage, seed: random.Random
) -> None:
    """A batch with the last microsecond of a day and the first of the next needs two partitions."""
    stage = plain_stage
    midnight = _midnight_of(dt.datetime.now(dt.UTC).date())
    async with session(stage.dsn) as superuser:
        await _drop_partitions(superuser, "gateway_audit_events")
    worker = stage.start_worker()
    await stage.produce([event(seed, n, timestamp=midnight - 0.000001) for n in range(50)])
    await stage.drained()
    assert await _event_partitions(stage) == 1
    await stage.produce(
        [event(seed, n, timestamp=midnight - 0.000001 * (n % 2)) for n in range(100)]
    )
    await stage.drained()
    assert worker.returncode is None
    await _assert_no_quarantine(stage)
    assert await _event_partitions(stage) == 2
    await assert_invariants(stage)


async def test_new_month_of_originals_is_made_for_a_batch_of_garbage(
    plain_stage: Stage, seed: random.Random
) -> None:
    """A batch without any row needs its originals' partition too, and has it made."""
    stage = plain_stage
    async with session(stage.dsn) as superuser:
        await _drop_partitions(superuser, "gateway_audit_originals")
    await stage.produce([b"garbage"] * seed.randint(1, 30))
    worker = stage.start_worker()
    await stage.drained(seconds=15)
    assert worker.returncode is None
    await assert_invariants(stage)


_DROP_CHUNK = """
select drop_chunks('gateway_audit_events', older_than => $1::timestamptz + interval '1 day',
    newer_than => $1::timestamptz)
"""
_FOREIGN_ROW = """
insert into gateway_audit_events
    (id, event_type, decision, reason, "timestamp", gateway_request_id, stream_id, kafka_offset)
values (gen_random_uuid(), 'tool_invoke', 'allow', 'r', $1, 'q', 32000, 0)
"""


async def _writer_waits(stage: Stage) -> None:
    async def waits() -> bool:
        async with session(stage.dsn) as watcher:
            return bool(await watcher.fetchval(_WAITING))

    await until(waits, what="a writer waits for what is being dropped")


def _days_ago(age: int) -> dt.datetime:
    today = dt.datetime.now(dt.UTC).date()
    return dt.datetime.combine(today - dt.timedelta(days=age), dt.time(), dt.UTC)


def _events_of(seed: random.Random, day: dt.datetime) -> list[bytes]:
    return [event(seed, n, timestamp=day.timestamp() + seed.random() * 86_400) for n in range(90)]


async def test_chunk_dropped_while_copy_opens_it_is_retried(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """Retention that drops a chunk under the writer's hands costs it one more try, and no row."""
    stage = timescale_stage
    worker = stage.start_worker()
    await stage.produce(events(seed, 30))
    await stage.drained()
    for day in map(_days_ago, (9, 8, 7)):
        async with session(stage.dsn) as superuser:
            await superuser.execute(_FOREIGN_ROW, day)
            async with superuser.transaction():
                await superuser.fetch(_DROP_CHUNK, day)
                await stage.produce(_events_of(seed, day))
                await _writer_waits(stage)
        await stage.drained()
    assert worker.returncode is None
    await _assert_no_quarantine(stage)
    await assert_invariants(stage)


async def test_partition_dropped_while_copy_opens_it_is_made_again(
    plain_stage: Stage, seed: random.Random
) -> None:
    """The same with a native partition: it is made again, and the rows are written."""
    stage = plain_stage
    worker = stage.start_worker()
    await stage.produce(events(seed, 30))
    await stage.drained()
    for day in map(_days_ago, (9, 8, 7)):
        async with session(stage.dsn) as superuser:
            await superuser.execute("select gateway_audit_make_partitions($1)", [day.date()])
            async with superuser.transaction():
                await superuser.execute(f"drop table gateway_audit_events_p{day:%Y%m%d}")
                await stage.produce(_events_of(seed, day))
                await _writer_waits(stage)
        await stage.drained()
    assert worker.returncode is None
    await _assert_no_quarantine(stage)
    await assert_invariants(stage)
