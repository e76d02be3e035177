"""A record that is small on the wire and huge in memory stops its partition, and kills nobody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from stage import assert_invariants, until
from stage.command import operate
from stage.journal import events
from stage.topic import set_topic

if TYPE_CHECKING:
    import random

    from stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

BOMB_BYTES = 200_000_000
LARGE_BYTES = 15_500_000
"""As much as a batch may be."""


async def send_zeros(stage: Stage, codec: str, size: int, partition: int = 0) -> int:
    """Produce one record of so many zeros; return its offset."""
    async with AIOKafkaProducer(
        bootstrap_servers=stage.bootstrap,
        compression_type=codec,
        max_batch_size=size + 1024,
        max_request_size=size + 1024,
    ) as producer:
        sent = await producer.send_and_wait(stage.topic, bytes(size), partition=partition)
    stage.journal.records[partition, sent.offset] = (None, bytes(size))
    return int(sent.offset)


@pytest.mark.parametrize("codec", ["lz4", "zstd", "gzip"])
async def test_decompression_bomb_stops_its_partition_alone(
    timescale_stage: Stage, seed: random.Random, codec: str
) -> None:
    """200 MB of zeros are never unpacked: what is before them is durable, neighbours go on."""
    stage = timescale_stage
    await stage.produce(events(seed, 60))
    before = stage.journal.ends()[0]
    bomb = await send_zeros(stage, codec, BOMB_BYTES)
    await stage.produce(events(seed, 60))
    worker = stage.start_worker()
    await worker.stopped(0)
    assert "unpack to more than 16 MiB" in worker.log.read_text()

    async def others_went_on() -> bool:
        heads, ends = await stage.heads(), stage.journal.ends()
        return heads == {0: before, 1: ends[1], 2: ends[2]}

    await until(others_went_on, what=f"the neighbours are durable; {worker.tail()}")
    [command] = set(re.findall(r"`(ingest-service ledger [^`]+)`", worker.log.read_text()))
    await operate(stage, command.replace("...", "'a bomb'"))
    await stage.drained()
    await assert_invariants(stage, given_up=[(0, bomb)])


@pytest.mark.parametrize(("codec", "size"), [("lz4", 15_900_000), ("snappy", 10_000_000)])
async def test_large_but_bounded_record_is_quarantined(
    timescale_stage: Stage, seed: random.Random, codec: str, size: int
) -> None:
    """What unpacks to less than the bound is kept byte for byte as too large, in bounded memory.

    Snappy shrinks zeros to a twentieth: what the topic takes of it cannot reach the bound.
    """
    stage = timescale_stage
    if codec == "snappy":
        with pytest.raises(MessageSizeTooLargeError):
            await send_zeros(stage, codec, BOMB_BYTES)
    await stage.produce(events(seed, 30))
    await send_zeros(stage, codec, size)
    await stage.produce(events(seed, 30))
    worker = stage.start_worker()
    await stage.drained()
    assert "partition stopped" not in worker.log.read_text()
    await assert_invariants(stage)


@pytest.mark.parametrize("codec", ["lz4", "zstd", "gzip", "snappy"])
async def test_topic_that_the_broker_unpacks_takes_no_bomb(
    timescale_stage: Stage, codec: str
) -> None:
    """What the message and `topics create --uncompressed` recommend refuses it at its publisher."""
    await set_topic(timescale_stage, compression_type="uncompressed")
    with pytest.raises(MessageSizeTooLargeError):
        await send_zeros(timescale_stage, codec, 20_000_000)


async def test_many_large_records_take_bounded_memory(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """What one fetch unpacks is bounded together, not only each batch of it; neighbours go on."""
    stage = timescale_stage
    for _ in range(14):
        await send_zeros(stage, "lz4", LARGE_BYTES)
    await stage.produce(events(seed, 60))
    stage.start_worker()
    await stage.drained(seconds=150)
    await assert_invariants(stage)
