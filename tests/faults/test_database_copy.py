"""Faults in the middle of COPY: the worker, the way, the backend or the server stops there."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from stage import assert_invariants, until
from stage.databases import COPY_DATA, address_of, inside_copy, rerouted, session
from stage.journal import event, events
from stage.traps import Then, traps_before

if TYPE_CHECKING:
    import random

    from stage import Stage, Worker
    from stage.databases import OwnServer
    from stage.traps import Trap, TrapProxy

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]


# The driver sends 512 KiB at a time: behind that, rows have been written.
MIDDLE = (530_000, 900_000)


def _large_events(seed: random.Random, count: int) -> list[bytes]:
    """Return events of which a third, one partition's, goes well past the middle."""
    return [event(seed, n, metadata={"action": "invoke", "n": "x" * 2_000}) for n in range(count)]


def _worker_behind(stage: Stage, proxy: TrapProxy) -> Worker:
    return stage.start_worker(INGEST_DATABASE__DSN=rerouted(stage.dsn, proxy.address))


async def _held_inside_copy(stage: Stage, trap: Trap) -> list[int]:
    """Return the backends that wait for the rest of their COPY, once the trap holds it back."""
    await trap.has_sprung()

    async def waits() -> bool:
        return bool(await inside_copy(stage.dsn))

    await until(waits, what="a backend waits for its client inside COPY")
    return await inside_copy(stage.dsn)


@pytest.mark.parametrize("frozen", ["worker", "way"])
async def test_frozen_inside_copy_is_ended_by_the_new_owner(
    timescale_stage: Stage, seed: random.Random, frozen: str
) -> None:
    """Whether the worker or its way hangs inside COPY: its heir goes on within 15 s of its start."""
    stage = timescale_stage
    await stage.produce(_large_events(seed, 1_500))
    async with traps_before(address_of(stage.dsn)) as proxy:
        trap = proxy.trap(COPY_DATA, Then.HOLD, seed.randint(*MIDDLE))
        worker = _worker_behind(stage, proxy)
        assert await _held_inside_copy(stage, trap)
        if frozen == "worker":
            worker.signal(signal.SIGSTOP)
        heir = stage.start_heir()
        await heir.logged("partitions assigned")
        await stage.drained(seconds=15)
        await heir.logged("ended a frozen writer")
        if frozen == "worker":
            worker.signal(signal.SIGCONT)
        trap.release()
        await stage.produce(events(seed, 300))
        await stage.drained()
    await assert_invariants(stage)


async def test_backend_killed_mid_copy_is_as_if_nothing_was_sent(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """A backend that an administrator ends inside COPY leaves no row: the batch is sent again."""
    stage = timescale_stage
    async with traps_before(address_of(stage.dsn)) as proxy:
        worker = _worker_behind(stage, proxy)
        for _ in range(3):
            trap = proxy.trap(COPY_DATA, Then.HOLD, after_bytes=seed.randint(2_000, 9_000))
            await stage.produce(events(seed, 300))
            backends = await _held_inside_copy(stage, trap)
            async with session(stage.dsn) as superuser:
                for pid in backends:
                    assert await superuser.fetchval("select pg_terminate_backend($1, 5000)", pid)
            trap.release()
            await stage.drained()
        assert worker.returncode is None
    await assert_invariants(stage)


async def test_postmaster_killed_mid_copy_is_waited_for(
    stage_on_own_server: Stage, server: OwnServer, seed: random.Random
) -> None:
    """Kill -9 of the whole server inside COPY: once it is back the batch is there exactly once."""
    stage = stage_on_own_server
    async with traps_before(address_of(stage.dsn)) as proxy:
        await stage.produce(_large_events(seed, 1_500))
        trap = proxy.trap(COPY_DATA, Then.HOLD, seed.randint(*MIDDLE))
        worker = _worker_behind(stage, proxy)
        for _ in range(2):
            await _held_inside_copy(stage, trap)
            server.kill()
            trap.release()
            await stage.produce(events(seed, 100))
            server.start_again()
            await stage.drained()
            trap = proxy.trap(COPY_DATA, Then.HOLD, after_bytes=seed.randint(2_000, 9_000))
            await stage.produce(events(seed, 300))
        trap.release()
        await stage.drained()
        assert worker.returncode is None
    await assert_invariants(stage)
