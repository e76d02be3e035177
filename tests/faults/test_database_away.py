"""A database that is away, frozen or locked is waited for: polling goes on, membership stays."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from stage import assert_invariants, until
from stage.databases import address_of, rerouted, session
from stage.journal import events
from stage.proxy import Outage, proxy_before

if TYPE_CHECKING:
    import random

    from stage import Stage, Worker
    from stage.databases import OwnServer

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

POLL_SECONDS = 3
HURRIED = {
    "ingest_service.adapters.kafka_consumer._MAX_POLL_MS": POLL_SECONDS * 1000,
    "ingest_service.adapters.database._ATTEMPT_SECONDS": 4,
}


async def _past_the_poll_interval(worker: Worker) -> None:
    """Return once a member that did not poll since the database went away would be put out."""
    began = time.monotonic()

    async def is_past() -> bool:
        return time.monotonic() - began > 2 * POLL_SECONDS

    await until(is_past, what="the poll interval has passed twice")
    assert worker.returncode is None, worker.tail()


def _assignments(worker: Worker) -> int:
    return sum(line.get("event") == "partitions assigned" for line in worker.lines())


@pytest.mark.parametrize("outage", [Outage.REFUSED, Outage.SILENT])
async def test_outage_longer_than_the_poll_interval_keeps_the_membership(
    timescale_stage: Stage, seed: random.Random, outage: Outage
) -> None:
    """While the database cannot be reached the member polls on; then it writes what waited."""
    stage = timescale_stage
    async with proxy_before(address_of(stage.dsn)) as proxy:
        worker = stage.start_worker(
            INGEST_DATABASE__DSN=rerouted(stage.dsn, proxy.address),
            STAGE_CONSTANTS=json.dumps(HURRIED),
        )
        await worker.logged("partitions assigned")
        await stage.produce(events(seed, 100))
        await stage.drained()
        await proxy.begin(outage)
        await stage.produce(events(seed, 400))
        await _past_the_poll_interval(worker)
        status, _ = await worker.get("/health")
        _, details = await worker.get("/health/detailed")
        await proxy.end(outage)
        await stage.drained()
        assert _assignments(worker) == 1, worker.tail()
        # A restart would not bring the database back: alive, and not well.
        assert status == 200
        assert json.loads(details)["components"]["database"]["status"] == "unhealthy"
    await assert_invariants(stage)


async def test_frozen_server_is_polled_beside(
    stage_on_own_server: Stage, server: OwnServer, seed: random.Random
) -> None:
    """Every process of the server stops (SIGSTOP) and goes on: nothing is lost or there twice."""
    stage = stage_on_own_server
    worker = stage.start_worker(STAGE_CONSTANTS=json.dumps(HURRIED))
    await worker.logged("partitions assigned")
    await stage.produce(events(seed, 100))
    await stage.drained()
    server.signal_all(signal.SIGSTOP)
    await stage.produce(events(seed, 400))
    await _past_the_poll_interval(worker)
    server.signal_all(signal.SIGCONT)
    await stage.drained()
    assert _assignments(worker) == 1, worker.tail()
    await assert_invariants(stage)


async def test_locked_table_is_waited_for(timescale_stage: Stage, seed: random.Random) -> None:
    """A lock held past PostgreSQL's lock timeout (20 s) neither ends the worker nor its membership."""
    stage = timescale_stage
    worker = stage.start_worker(STAGE_CONSTANTS=json.dumps(HURRIED | {_ATTEMPT: 60}))
    await stage.produce(events(seed, 100))
    await stage.drained()
    async with session(stage.dsn) as owner, owner.transaction():
        await owner.execute("lock table gateway_audit_events in access exclusive mode")
        locked = time.monotonic()
        await stage.produce(events(seed, 400))

        async def has_given_up_once() -> bool:
            failed = await worker.counted("sark_audit_write_errors_total")
            return failed >= 2 and time.monotonic() - locked > 25

        # Both writers were refused after 20 s, and wait again.
        await until(has_given_up_once, seconds=60, what="both writers met the lock timeout")
        _, details = await worker.get("/health/detailed")
        assert "55P03" in details
    await stage.drained()
    assert _assignments(worker) == 1, worker.tail()
    await assert_invariants(stage)


_ATTEMPT = "ingest_service.adapters.database._ATTEMPT_SECONDS"
