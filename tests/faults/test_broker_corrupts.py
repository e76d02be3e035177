"""A batch arrives damaged: its own partition is asked again or stops, its neighbours go on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from stage import assert_invariants, until
from stage.command import operate
from stage.journal import event, events
from stage.proxy import proxy_before

if TYPE_CHECKING:
    import random

    from stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

MARK = b"the-record-that-is-hit"


class Damage:
    """Flips one bit of a marked record on its way to the worker, the first `times` times."""

    def __init__(self, times: float) -> None:
        self.left = times

    def __call__(self, answer: bytes) -> bytes:
        at = answer.find(MARK)
        if at < 0 or self.left <= 0:
            return answer
        self.left -= 1
        return answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]


async def test_batch_damaged_on_the_wire_is_fetched_again(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """One flipped bit costs one more fetch: every partition goes on, nothing is lost."""
    stage = timescale_stage
    await stage.produce(events(seed, 200))
    await stage.produce([event(seed, 0, reason=MARK.decode())], partition=1)
    await stage.produce(events(seed, 200))
    async with proxy_before(stage.bootstrap, advertised=True) as proxy:
        proxy.rewrite_answer = damage = Damage(times=1)
        worker = stage.start_worker(INGEST_KAFKA__BOOTSTRAP_SERVERS=proxy.address)
        await stage.drained()
        assert damage.left == 0
        assert "partition stopped" not in worker.log.read_text()
    await assert_invariants(stage)


async def test_batch_damaged_for_good_stops_its_partition_alone(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """Neighbours lose nothing and go on; the command that is named goes on behind the damage."""
    stage = timescale_stage
    await stage.produce(events(seed, 100))
    await stage.produce([event(seed, 0, reason=MARK.decode())], partition=1)
    hit = stage.journal.ends()[1] - 1
    await stage.produce(events(seed, 100))
    async with proxy_before(stage.bootstrap, advertised=True) as proxy:
        proxy.rewrite_answer = Damage(times=float("inf"))
        worker = stage.start_worker(INGEST_KAFKA__BOOTSTRAP_SERVERS=proxy.address)
        await worker.stopped(1)
        await stage.produce(events(seed, 50), partition=0)
        await stage.produce(events(seed, 50), partition=2)

        async def neighbours_went_on() -> bool:
            heads, ends = await stage.heads(), stage.journal.ends()
            return all(heads.get(each) == ends[each] for each in (0, 2))

        await until(neighbours_went_on, what=f"the neighbours are durable; {worker.tail()}")
        assert (await stage.heads())[1] == hit
        [command] = set(re.findall(r"`(ingest-service ledger [^`]+)`", worker.log.read_text()))
        assert f"--partition 1 --to {hit + 1} " in command
        await operate(stage, command.replace("...", "'the disk is broken'"))
        await stage.drained()
    await assert_invariants(stage, given_up=[(1, hit)])
