"""A worker whose clock is a year off: time bounds are the broker's, waits are the monotonic clock's."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from stage import assert_invariants, until
from stage.clock import clock_off_by
from stage.databases import address_of, rerouted, session
from stage.journal import event, events
from stage.proxy import proxy_before

if TYPE_CHECKING:
    import random

    from stage import Stage, Worker

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

_REASONS = "select kafka_offset, reason from gateway_audit_quarantine"


@pytest.mark.parametrize("days", [365, -365])
async def test_wrong_clock_changes_no_verdict(
    timescale_stage: Stage, seed: random.Random, days: int
) -> None:
    """What is too old or in the future is told by Kafka's time, whatever the worker's clock says."""
    stage = timescale_stage
    now = dt.datetime.now(dt.UTC).timestamp()
    year = 365 * 86_400
    async with proxy_before(address_of(stage.dsn)) as proxy:
        worker = stage.start_worker(
            INGEST_DATABASE__DSN=rerouted(stage.dsn, proxy.address), **clock_off_by(days)
        )
        await worker.logged("partitions assigned")
        assert _year_by(worker) == (dt.datetime.now(dt.UTC) + dt.timedelta(days=days)).year
        bad = [event(seed, n, timestamp=now + n * year) for n in (-1, 1)]
        await stage.produce([*events(seed, 50), *bad], partition=0)
        await stage.produce(events(seed, 100))
        await stage.drained()
        # An outage is waited out by the right clock: not a year, nor no time at all.
        await proxy.cut()
        await stage.produce(events(seed, 100))
        await _notices_the_outage(worker)
        await proxy.listen()
        await stage.drained(seconds=20)
    async with session(stage.dsn) as watcher:
        found = {row["kafka_offset"]: row["reason"] for row in await watcher.fetch(_REASONS)}
    assert found.keys() == {50, 51}, found
    await assert_invariants(stage)


def _year_by(worker: Worker) -> int:
    """Return the year that the worker believes in, as its log says."""
    return dt.datetime.fromisoformat(str(worker.lines()[0]["time"])).year


async def _notices_the_outage(worker: Worker) -> None:
    async def has_failed() -> bool:
        return await worker.counted("sark_audit_write_errors_total") > 0

    await until(has_failed, what="a write failed")
