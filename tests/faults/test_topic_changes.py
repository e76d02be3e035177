"""The topic changes under the worker's feet: nothing is skipped in silence, and an operator goes on.

A partition whose log is not what the ledger knows stops and says so; the command that its message
names is run as it stands there, and goes on without a restart.
"""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer

from stage import assert_invariants
from stage.command import operate
from stage.journal import event, events
from stage.topic import add_partitions, delete_before, make_again, set_topic

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from stage import Stage, Worker

# A topic is deleted, made again and refilled faster here than the silence after which a log is doubted.
WARY = json.dumps({"ingest_service.persist.partition._SILENCE_SECONDS": 0.1})

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]


def why_stopped(worker: Worker, partition: int) -> str:
    """Return what the log says last about a partition that stopped."""
    said = [
        str(line["why"])
        for line in worker.lines()
        if line["event"] == "partition stopped" and line["partition"] == partition
    ]
    assert said, worker.tail()
    return said[-1]


async def follow_the_advice(stage: Stage, worker: Worker, partition: int) -> None:
    """Run the command that the worker's message names, with the reason filled in."""
    [command] = re.findall(r"`(ingest-service ledger [^`]+)`", why_stopped(worker, partition))
    await operate(stage, command.replace("...", "'seen to'"))


async def some_on_each(stage: Stage, values: Iterable[bytes], partitions: int = 3) -> None:
    """Produce these events evenly."""
    values = list(values)
    for partition in range(partitions):
        await stage.produce(values[partition::partitions], partition=partition)


async def test_truncated_log_stops_its_partition_until_the_gap_is_accepted(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """Records deleted before they were persisted: never reset, said, and a gap once it is accepted."""
    stage = timescale_stage
    await some_on_each(stage, events(seed, 90))
    first = stage.start_worker()
    await stage.drained()
    first.end()
    await some_on_each(stage, events(seed, 90))
    cut = seed.randint(31, 59)
    await delete_before(stage, 1, cut)
    worker = stage.start_heir()
    await worker.logged("partition stopped")
    assert f"records 30 to {cut - 1} have left Kafka" in why_stopped(worker, 1)
    await follow_the_advice(stage, worker, 1)
    await stage.drained()
    await assert_invariants(stage, given_up=[(1, offset) for offset in range(30, cut)])


async def test_log_that_leaves_while_it_is_read_is_never_reset(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """Out of range in the middle of reading: the partition stops, its neighbours go on."""
    stage = timescale_stage
    await some_on_each(stage, events(seed, 90))
    worker = stage.start_worker(INGEST_DATABASE__LINGER_MS="0")
    await stage.drained()
    worker.signal(signal.SIGSTOP)
    await some_on_each(stage, events(seed, 60))
    await delete_before(stage, 2, 50)
    worker.signal(signal.SIGCONT)
    await worker.logged("partition stopped")
    assert (await stage.heads())[2] == 30
    await follow_the_advice(stage, worker, 2)
    await stage.drained()
    await assert_invariants(stage, given_up=[(2, offset) for offset in range(30, 50)])


@pytest.mark.parametrize("again", [10, 50], ids=["shorter", "longer"])
@pytest.mark.parametrize("meanwhile", ["running", "frozen", "dead"])
async def test_topic_made_again_is_a_new_epoch(
    timescale_stage: Stage, seed: random.Random, again: int, meanwhile: str
) -> None:
    """Offsets that begin anew are not read on from the old one: nothing of the new life is skipped."""
    stage = timescale_stage
    await some_on_each(stage, events(seed, 90))
    worker = stage.start_worker(STAGE_CONSTANTS=WARY)
    await stage.drained()
    await assert_invariants(stage)
    await stage.told()  # or a worker that wakes up tells it of another log's partition
    if meanwhile != "running":
        worker.signal(signal.SIGSTOP if meanwhile == "frozen" else signal.SIGKILL)
    await make_again(stage)
    await some_on_each(stage, events(seed, 3 * again))
    if meanwhile == "dead":
        worker = stage.start_heir()
    worker.signal(signal.SIGCONT)
    for partition in range(3):
        await worker.stopped(partition)
        assert "made again" in why_stopped(worker, partition)
        await follow_the_advice(stage, worker, partition)
    await stage.drained()
    await some_on_each(stage, events(seed, 30))
    await stage.drained()
    await assert_invariants(stage, epoch=2)


async def test_added_partitions_are_read_from_their_start(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """A worker notices new partitions by itself, and what they held by then is not skipped."""
    stage = timescale_stage
    await some_on_each(stage, events(seed, 60))
    stage.start_worker()
    await stage.drained()
    await add_partitions(stage, 5)
    await some_on_each(stage, events(seed, 100), 5)
    await stage.drained()
    await assert_invariants(stage)


async def test_transactional_producer_stops_its_partition_and_is_named(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """Markers that take offsets look like lost records: a fault of the set-up, no bad record."""
    stage = timescale_stage
    async with AIOKafkaProducer(
        bootstrap_servers=stage.bootstrap, transactional_id=stage.topic
    ) as producer:
        for number in range(2):
            async with producer.transaction():
                value = event(seed, number)
                done = await producer.send_and_wait(stage.topic, value, partition=0)
                stage.journal.records[0, done.offset] = (None, value)
    await some_on_each(stage, events(seed, 60))
    worker = stage.start_worker()
    await worker.stopped(0)
    assert "transactional producer" in why_stopped(worker, 0)
    await follow_the_advice(stage, worker, 0)
    await worker.logged("offsets 3 to 3 are not in the log")
    await follow_the_advice(stage, worker, 0)
    await stage.drained()
    await assert_invariants(stage)


async def test_publishers_clock_stops_its_partition_and_is_named(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """A topic on CreateTime: nothing is persisted or quarantined on a publisher's word."""
    stage = timescale_stage
    await some_on_each(stage, events(seed, 30))
    await set_topic(stage, message_timestamp_type="CreateTime")
    await stage.produce(events(seed, 10), partition=1)
    worker = stage.start_worker()
    await worker.stopped(1)
    assert "message.timestamp.type=LogAppendTime" in why_stopped(worker, 1)
    await set_topic(stage)
    await some_on_each(stage, events(seed, 30))
    await follow_the_advice(stage, worker, 1)
    await stage.drained()
    await assert_invariants(stage, given_up=[(1, offset) for offset in range(10, 20)])
