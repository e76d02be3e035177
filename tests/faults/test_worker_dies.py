"""A worker is killed, frozen or told to stop: nothing is lost, twice or changed."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from ingest_service.persist.failpoints import POINTS
from stage import assert_invariants
from stage.journal import events

if TYPE_CHECKING:
    import random

    from stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]


@pytest.mark.parametrize("point", POINTS)
async def test_killed_worker_leaves_nothing_half_done(
    stage: Stage, seed: random.Random, point: str
) -> None:
    """Whatever it was doing between fetch and commit, the next worker goes on without a trace."""
    values = [value if seed.random() > 0.05 else b"garbage" for value in events(seed, 600)]
    await stage.produce(values[:300])
    victim = stage.start_worker(INGEST_FAILPOINT=f"{point}:kill:{seed.randint(1, 2)}")
    await stage.produce(values[300:])
    await stage.fed_to_death(victim, seed, 50)
    assert victim.returncode == -signal.SIGKILL, victim.tail()
    stage.start_heir()
    await stage.drained()
    await assert_invariants(stage)


async def test_worker_killed_again_and_again(stage: Stage, seed: random.Random) -> None:
    """Five kills at random points in a row lose nothing and repeat nothing."""
    await stage.produce(events(seed, 500))
    for _ in range(5):
        victim = stage.start_heir(
            INGEST_FAILPOINT=f"{seed.choice(POINTS)}:kill:{seed.randint(1, 3)}"
        )
        await stage.fed_to_death(victim, seed, 20)
        assert victim.returncode == -signal.SIGKILL, victim.tail()
    stage.start_heir()
    await stage.drained()
    await assert_invariants(stage)


async def test_sigterm_mid_batch_writes_what_has_gathered(
    stage: Stage, seed: random.Random
) -> None:
    """A worker that is told to stop does so within its grace, with exit code 0 and no loss."""
    worker = stage.start_worker(INGEST_DATABASE__LINGER_MS="60000")
    await worker.logged("partitions assigned")
    await stage.produce(events(seed, 100))
    worker.signal(signal.SIGTERM)
    assert await worker.ended(seconds=25) == 0, worker.tail()
    stage.start_worker()
    await stage.drained()
    await assert_invariants(stage)


@pytest.mark.parametrize("point", ["after_lock", "after_copy", "after_append"])
async def test_zombie_that_wakes_after_takeover_changes_nothing(
    stage: Stage, seed: random.Random, point: str
) -> None:
    """A worker frozen with a write in flight is ended there, and fenced off when it wakes."""
    await stage.produce(events(seed, 400))
    zombie = stage.start_worker(INGEST_FAILPOINT=f"{point}:stop")
    await zombie.logged("partitions assigned")
    heir = stage.start_worker()
    await stage.drained()
    before = await stage.heads()
    zombie.signal(signal.SIGCONT)
    await stage.produce(events(seed, 50))
    await stage.drained()
    after = await stage.heads()
    assert all(after[n] >= head for n, head in before.items())
    heir.signal(signal.SIGTERM)
    assert await heir.ended() == 0
    await assert_invariants(stage)


async def test_members_join_and_leave_while_events_flow(stage: Stage, seed: random.Random) -> None:
    """Rebalances in the middle of batches lose nothing and write nothing twice."""
    first = stage.start_worker()
    await first.logged("partitions assigned")
    for _ in range(4):
        await stage.produce(events(seed, 150))
        guest = stage.start_worker()
        await guest.logged("partitions assigned")
        await stage.produce(events(seed, 150))
        guest.signal(seed.choice([signal.SIGTERM, signal.SIGKILL]))
        await guest.ended()
    await stage.drained()
    await assert_invariants(stage)
