"""Two streams bring the same events in opposite order: PostgreSQL ends one, and it tries again."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest

from stage import assert_invariants, until
from stage.databases import COPY_DATA, address_of, rerouted, session
from stage.journal import event
from stage.traps import Then, traps_before

if TYPE_CHECKING:
    import random

    from stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

# PostgreSQL writes a COPY's rows by the thousand, so the last ones of the first thousand are the same
# on both sides. The driver sends 512 KiB at a time, and of these events that is more than a thousand.
COUNT = 1_900
PADDING = "x" * 250
HELD_AFTER_BYTES = 600_000
# Each side is one batch, in one COPY: it waits until it holds them all, and then goes at once.
ONE_BATCH = {
    "INGEST_DATABASE__LINGER_MS": "60000",
    "STAGE_CONSTANTS": json.dumps(
        {"ingest_service.worker.BatchLimits": {"enough_records": COUNT, "max_records": COUNT}}
    ),
}

_ROW = """
insert into gateway_audit_events
    (id, event_type, decision, reason, "timestamp", gateway_request_id, stream_id, kafka_offset)
values (gen_random_uuid(), 'tool_invoke', 'allow', 'r', now(), 'q', 32000, 0)
"""
_ONE_WAITS = """
select count(*) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock' and query ilike 'copy %'
"""
_DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


async def test_same_ids_in_opposite_order_end_as_one_row_and_one_duplicate(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """Each has written what the other one needs next: the deadlock is broken, and nothing lost."""
    stage = timescale_stage
    batch = [event(seed, number, metadata={"n": PADDING}) for number in range(COUNT)]
    await stage.produce(batch, partition=0)
    await stage.produce(reversed(batch), partition=1)
    await _make_todays_chunk(stage)
    async with traps_before(address_of(stage.dsn)) as proxy:
        # Two writers, a partition each: both stop behind their first thousand, then go on.
        traps = [proxy.trap(COPY_DATA, Then.HOLD, HELD_AFTER_BYTES) for _ in range(2)]
        dsn = rerouted(stage.dsn, proxy.address)
        worker = stage.start_worker(INGEST_DATABASE__DSN=dsn, **ONE_BATCH)
        for trap in traps:
            await trap.has_sprung()
        await until(partial(_holds, stage, _ONE_WAITS), what="one writer waits for the other one")
        for trap in traps:
            trap.release()
        await stage.drained()
        assert worker.returncode is None
    await until(partial(_holds, stage, _DEADLOCKS), what="PostgreSQL counts a deadlock")
    await assert_invariants(stage, duplicates=COUNT)


async def _make_todays_chunk(stage: Stage) -> None:
    """Else the second writer waits until the first one, which makes it, has committed."""
    async with session(stage.dsn) as superuser, superuser.transaction():
        await superuser.execute(_ROW)
        await superuser.execute("delete from gateway_audit_events")


async def _holds(stage: Stage, query: str) -> bool:
    async with session(stage.dsn) as watcher:
        return bool(await watcher.fetchval(query))
