"""A failover to a replica that lost the last transactions: they are read and written again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from stage import assert_invariants
from stage.databases import session
from stage.journal import events

if TYPE_CHECKING:
    import random

    import asyncpg

    from stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

HURRIED = json.dumps({"ingest_service.persist.assignment._CHECK_SECONDS": 1.0})

_LEDGERS = """
select stream_id, array_agg(sequence order by sequence) as sequences
from gateway_audit_ledger group by stream_id
"""
# What each transaction had written, together: no replica has one without the other.
_LOSE = (
    """delete from gateway_audit_events e using gateway_audit_ledger l
    where l.stream_id = $1 and l.sequence = $2 and e.stream_id = $1
        and e.kafka_offset >= l.next_offset""",
    """delete from gateway_audit_quarantine q using gateway_audit_ledger l
    where l.stream_id = $1 and l.sequence = $2 and q.stream_id = $1
        and q.kafka_offset >= l.next_offset""",
    "delete from gateway_audit_originals where stream_id = $1 and sequence > $2",
    "delete from gateway_audit_ledger where stream_id = $1 and sequence > $2",
)
_CUT = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


async def _fail_over(stage: Stage, seed: random.Random) -> int:
    """Lose the last entries of each stream, and every connection; return how many were lost."""
    lost = 0
    async with session(stage.dsn) as superuser, superuser.transaction():
        # Nobody commits in between: what a replica lost is the end of one history.
        await superuser.execute("lock table gateway_audit_ledger in exclusive mode")
        for stream_id, sequences in await superuser.fetch(_LEDGERS):
            kept = seed.choice(sequences[len(sequences) // 2 : -1] or sequences)
            lost += sequences[-1] - kept
            await _lose(superuser, stream_id, kept)
        await superuser.fetch(_CUT)
    return lost


async def _lose(superuser: asyncpg.Connection, stream_id: int, kept: int) -> None:
    for statement in _LOSE:
        await superuser.execute(statement, stream_id, kept)


async def _written_in_many_entries(stage: Stage, seed: random.Random) -> None:
    for _ in range(5):
        await stage.produce(
            [value if seed.random() > 0.1 else b"garbage" for value in events(seed, 90)]
        )
        await stage.drained()


async def test_what_a_failover_lost_is_written_again_though_nothing_new_comes(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """On quiet partitions too the worker notices, seeks back, and the chain is whole."""
    stage = timescale_stage
    worker = stage.start_worker(STAGE_CONSTANTS=HURRIED)
    await _written_in_many_entries(stage, seed)
    assert await _fail_over(stage, seed)
    await stage.drained(seconds=20)
    assert worker.returncode is None
    await assert_invariants(stage)


async def test_failover_while_events_flow(timescale_stage: Stage, seed: random.Random) -> None:
    """Two failovers in the middle of batches lose nothing and repeat nothing."""
    stage = timescale_stage
    worker = stage.start_worker(STAGE_CONSTANTS=HURRIED)
    await _written_in_many_entries(stage, seed)
    for _ in range(2):
        await stage.produce(events(seed, 400))
        await _fail_over(stage, seed)
        await stage.produce(events(seed, 400))
    await stage.drained()
    assert worker.returncode is None
    await assert_invariants(stage)


async def test_failover_that_lost_a_duplicates_row(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """The row that a duplicate stood for is lost as well: the event is there once afterwards."""
    stage = timescale_stage
    stage.start_worker(STAGE_CONSTANTS=HURRIED)
    batch = events(seed, 60)
    await stage.produce(batch, partition=0)
    await stage.drained()
    await stage.produce([*batch, *events(seed, 30)], partition=1)
    await stage.drained()
    async with session(stage.dsn) as superuser, superuser.transaction():
        first = await superuser.fetchval("select id from gateway_audit_streams where partition = 0")
        await _lose(superuser, first, 0)
        second = await superuser.fetchval(
            "select id from gateway_audit_streams where partition = 1"
        )
        await _lose(superuser, second, 0)
        await superuser.fetch(_CUT)
    await stage.drained()
    await assert_invariants(stage, duplicates=60)
