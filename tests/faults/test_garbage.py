"""Nothing but garbage, as after a bad release of the gateway: one partition stops, not all of them."""

from __future__ import annotations

import re
import shlex
import signal
from typing import TYPE_CHECKING

import pytest

from stage import assert_invariants, until
from stage.journal import events

if TYPE_CHECKING:
    import random

    from stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

LIMIT = {"INGEST_EVENTS__GARBAGE_LIMIT": "100"}


async def test_flood_of_garbage_stops_its_partition_across_crashes(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """The limit is counted from the ledger, so that a crash loop does not begin at zero each time."""
    stage = timescale_stage
    for _ in range(2):  # 90 in a row, and each worker sees fewer than the limit
        await stage.produce([b"garbage"] * 45, partition=0)
        await stage.produce(events(seed, 20), partition=1)
        crashing = stage.start_heir(**LIMIT)
        await stage.drained()
        crashing.signal(signal.SIGKILL)
    worker = stage.start_heir(**LIMIT)
    await stage.produce([b"garbage"] * 20, partition=0)
    await worker.stopped(0)
    stopped_at = (await stage.heads())[0]
    assert stopped_at == 110
    await stage.produce([b"garbage"] * 50, partition=0)
    await stage.produce(events(seed, 50), partition=1)
    await stage.produce(events(seed, 50), partition=2)

    async def neighbours_went_on() -> bool:
        heads, ends = await stage.heads(), stage.journal.ends()
        return all(heads.get(each) == ends[each] for each in (1, 2))

    await until(neighbours_went_on, what="the neighbours are durable")
    assert (await stage.heads())[0] == stopped_at
    again = stage.start_heir(**LIMIT)
    await again.stopped(0)
    assert (await stage.heads())[0] == stopped_at
    stage.start_heir(INGEST_EVENTS__GARBAGE_LIMIT="0")
    await stage.drained()
    await assert_invariants(stage)


async def test_command_that_is_named_goes_on_past_the_garbage(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """What the message tells the operator to start gets to the good events behind the flood."""
    stage = timescale_stage
    await stage.produce([b"garbage"] * 150, partition=0)
    worker = stage.start_worker(**LIMIT)
    await worker.stopped(0)
    await stage.produce([b"garbage"] * 150, partition=0)
    await stage.produce(events(seed, 50), partition=0)
    [command] = re.findall(r"`([^`]+ingest-service persist)`", worker.log.read_text())
    setting, *program = shlex.split(command)
    assert program == ["ingest-service", "persist"]
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    stage.start_worker(**(LIMIT | dict([setting.split("=")])))
    await stage.drained()
    await assert_invariants(stage)
