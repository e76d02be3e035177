"""The broker goes away in every way that networks and machines have, and comes back."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from servers.sources import temporary_state
from stack import kafka
from stage import assert_invariants, on_stage
from stage.journal import events
from stage.proxy import Outage, proxy_before

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from stage import Stage, Worker
    from stage.proxy import Proxy

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

STOP_SECONDS = 30
"""Two bounded farewells: telling Kafka the offsets, and leaving the group."""


def start_behind(stage: Stage, proxy: Proxy) -> Worker:
    """Start a persister that reaches the broker through the proxy alone."""
    return stage.start_worker(INGEST_KAFKA__BOOTSTRAP_SERVERS=proxy.address)


@asynccontextmanager
async def at_work_behind_proxy(
    stage: Stage, seed: random.Random
) -> AsyncIterator[tuple[Worker, Proxy]]:
    """Yield a persister that has written something, and the proxy between it and the broker."""
    async with proxy_before(stage.bootstrap, advertised=True) as proxy:
        await stage.produce(events(seed, 100))
        worker = start_behind(stage, proxy)
        await stage.drained()
        yield worker, proxy


async def asked_to_stop(worker: Worker) -> None:
    """Assert that it ends well and soon, whatever the broker does."""
    worker.signal(signal.SIGTERM)
    assert await worker.ended(seconds=STOP_SECONDS) == 0, worker.tail()


async def test_broker_stopped_and_started(
    topic_name: str,
    fresh_database: Callable[[str], AbstractAsyncContextManager[str]],
    tmp_path: Path,
    seed: random.Random,
) -> None:
    """The process itself is gone for a while: the worker waits for it and goes on."""
    with temporary_state() as state:
        server = kafka.start(state)
        try:
            async with (
                fresh_database("timescaledb") as dsn,
                on_stage(server.address, topic_name, dsn, tmp_path) as stage,
            ):
                await stage.produce(events(seed, 100))
                worker = stage.start_worker()
                await stage.drained()
                await asyncio.to_thread(server.stop)
                status, _ = await worker.get("/health")
                assert status == 200
                server = await asyncio.to_thread(kafka.start, state)
                await stage.produce(events(seed, 100))
                await stage.drained()
                await asked_to_stop(worker)
                await assert_invariants(stage)
        finally:
            server.stop()


async def test_connections_reset_again_and_again(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """RST in the middle of answers costs no record and repeats none."""
    stage = timescale_stage
    async with proxy_before(stage.bootstrap, advertised=True) as proxy:
        worker = start_behind(stage, proxy)
        for _ in range(6):
            await stage.produce(events(seed, 100))
            await stage.some_durable(sum(stage.journal.ends().values()) - seed.randint(20, 99))
            proxy.reset()
        await stage.drained()
        await asked_to_stop(worker)
    await assert_invariants(stage)


@pytest.mark.parametrize("outage", Outage)
async def test_unreachable_broker_comes_back(
    timescale_stage: Stage, seed: random.Random, outage: Outage
) -> None:
    """Refused, silent, or half-open: the worker stays alive and gets there within a bound."""
    stage = timescale_stage
    async with at_work_behind_proxy(stage, seed) as (worker, proxy):
        await proxy.begin(outage)
        await stage.produce(events(seed, 100))
        status, _ = await worker.get("/health")
        assert status == 200
        await proxy.end(outage)
        await stage.drained()
        await asked_to_stop(worker)
    await assert_invariants(stage)


@pytest.mark.parametrize("outage", Outage)
async def test_worker_stops_in_time_without_a_broker(
    timescale_stage: Stage, seed: random.Random, outage: Outage
) -> None:
    """Neither the commit nor the farewell waits for a broker that will never answer."""
    async with at_work_behind_proxy(timescale_stage, seed) as (worker, proxy):
        await proxy.begin(outage)
        await asked_to_stop(worker)
    await assert_invariants(timescale_stage)


async def test_one_byte_at_a_time(timescale_stage: Stage, seed: random.Random) -> None:
    """A link that delivers single bytes is slow and nothing else: the membership is kept."""
    stage = timescale_stage
    async with proxy_before(stage.bootstrap, advertised=True) as proxy:
        proxy.pace = (1, 0.0)
        worker = start_behind(stage, proxy)
        await worker.logged("partitions assigned")
        await stage.produce(events(seed, 150))
        await stage.drained()
        await asked_to_stop(worker)
        assert worker.log.read_text().count("partitions assigned") == 1
    await assert_invariants(stage)
