"""The connection is lost around COMMIT: what the answer would have said is found out in the ledger."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from stage import assert_invariants, until
from stage.databases import COMMIT, address_of, rerouted, session
from stage.journal import events
from stage.traps import Then, traps_before

if TYPE_CHECKING:
    import random

    from stage import Stage, Worker

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]


@pytest.mark.parametrize("then", [Then.LOSE_ANSWER, Then.CUT], ids=["after", "before"])
async def test_connection_cut_at_commit_neither_loses_nor_repeats(
    timescale_stage: Stage, seed: random.Random, then: Then
) -> None:
    """Cut before COMMIT arrives or before its answer does: the batch is there exactly once."""
    stage = timescale_stage
    async with traps_before(address_of(stage.dsn)) as proxy:
        worker = stage.start_worker(INGEST_DATABASE__DSN=rerouted(stage.dsn, proxy.address))
        await worker.logged("partitions assigned")
        for _ in range(4):
            before = await stage.heads()
            trap = proxy.trap(COMMIT, then)
            values = [v if seed.random() > 0.1 else b"garbage" for v in events(seed, 200)]
            await stage.produce(values)
            await trap.has_sprung()
            if then is Then.LOSE_ANSWER:
                assert await stage.heads() != before, "it was committed and not answered"
            await stage.drained()
            # Counted once: as written, not as somebody else's, nor as duplicates of itself.
            await _has_counted_once(worker, stage)
        assert await worker.counted("sark_audit_fenced_writes_total") == 0
        assert worker.returncode is None
    await assert_invariants(stage)


async def test_commit_still_on_its_way_is_waited_for_by_the_heir(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """A worker killed while its COMMIT is on the way: whichever is first, nothing is there twice."""
    stage = timescale_stage
    await stage.produce(events(seed, 300))
    async with traps_before(address_of(stage.dsn)) as proxy:
        trap = proxy.trap(COMMIT, Then.HOLD)
        worker = stage.start_worker(INGEST_DATABASE__DSN=rerouted(stage.dsn, proxy.address))
        await trap.has_sprung()
        worker.signal(signal.SIGSTOP)
        heir = stage.start_heir()
        await heir.logged("partitions assigned")
        trap.release()  # now it commits, under the heir's eyes
        await stage.drained()
        worker.signal(signal.SIGCONT)
        await stage.produce(events(seed, 100))
        await stage.drained()
    await assert_invariants(stage)


async def _has_counted_once(worker: Worker, stage: Stage) -> None:
    async with session(stage.dsn) as connection:
        rows = await connection.fetchval("select count(*) from gateway_audit_events")

    async def has_counted() -> bool:
        return await worker.counted("sark_audit_events_written_total") == rows

    await until(has_counted, seconds=10, what=f"{rows} rows are counted as written")
