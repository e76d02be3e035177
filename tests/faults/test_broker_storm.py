"""The group is never at rest: members come and go every one to three seconds."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from stage import assert_invariants
from stage.journal import events

if TYPE_CHECKING:
    import random

    from stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

STORM_SECONDS = 30
MEMBERS = 3


async def test_rebalances_every_few_seconds(timescale_stage: Stage, seed: random.Random) -> None:
    """Three members, one of which is replaced again and again while events flow."""
    stage = timescale_stage
    members = [stage.start_worker() for _ in range(MEMBERS)]
    clock = asyncio.get_running_loop().time
    until = clock() + STORM_SECONDS
    while clock() < until:
        await stage.produce(events(seed, 100))
        # The storm is the fault itself: nothing is waited for here.
        await asyncio.sleep(seed.uniform(1, 3))
        leaving = members.pop(seed.randrange(MEMBERS))
        leaving.signal(seed.choice([signal.SIGTERM, signal.SIGKILL]))
        members.append(stage.start_worker())
    await stage.drained()
    await assert_invariants(stage)
