"""What the persister counts on from a consumer: the fake and the real one keep the same promises."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ingest_service.errors import PartitionFault
from ingest_service.shapes import Bounds
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract.clusters import Cluster
    from ingest_service.persist.ports import Source

POLL_SECONDS = 0.05


def values(count: int, first: int = 0) -> list[bytes]:
    return [str(n).encode() for n in range(first, first + count)]


async def has_joined(source: Source) -> None:
    await until(lambda: source.assigned)


async def read(
    source: Source, count: int, partitions: Sequence[int] = (0,), at_most: int = 100
) -> dict[int, list[int]]:
    """Fetch until this many records have come; return their offsets."""
    offsets: dict[int, list[int]] = {}
    async with asyncio.timeout(30):
        while sum(map(len, offsets.values())) < count:
            fetched = await source.fetch(partitions, at_most, POLL_SECONDS)
            assert sum(map(len, fetched.values())) <= at_most
            for partition, records in fetched.items():
                offsets.setdefault(partition, []).extend(each.offset for each in records)
    return offsets


def begin(source: Source, offsets: dict[int, int]) -> None:
    for partition, offset in offsets.items():
        source.seek(partition, offset)
    source.resume(offsets)


async def test_nothing_comes_before_the_durable_offset_was_looked_up(cluster: Cluster):
    """A new assignment is paused: reading begins where and when the worker says."""
    await cluster.create(1)
    await cluster.produce(0, values(3))
    async with cluster.member() as source:
        await has_joined(source)
        assert source.joined
        assert source.topic == cluster.topic
        for _ in range(3):
            assert await source.fetch([0], 100, POLL_SECONDS) == {}
        begin(source, {0: 1})
        assert await read(source, 2) == {0: [1, 2]}


async def test_records_come_in_order_without_a_hole(cluster: Cluster):
    """From where it was told on, every record of every partition comes once, and as it was sent."""
    await cluster.create(2)
    await cluster.produce(0, [*values(5), None, b"", b"\x00\xff"])
    await cluster.produce(1, values(4))
    async with cluster.member() as source:
        await has_joined(source)
        assert list(source.assigned) == [0, 1]
        begin(source, {0: 0, 1: 2})
        assert await read(source, 10, (0, 1), at_most=3) == {0: list(range(8)), 1: [2, 3]}
        source.seek(0, 5)
        fetched = await source.fetch([0], 100, 30)
        assert [each.value for each in fetched[0]] == [None, b"", b"\x00\xff"]
        assert {(each.topic, each.partition) for each in fetched[0]} == {(cluster.topic, 0)}


async def test_seek_goes_back_and_drops_what_was_fetched(cluster: Cluster):
    """After a seek the next record is the one that was named, whatever had been fetched."""
    await cluster.create(1)
    await cluster.produce(0, values(10))
    async with cluster.member() as source:
        await has_joined(source)
        begin(source, {0: 0})
        assert await read(source, 2, at_most=2) == {0: [0, 1]}
        for offset in (0, 7, 3):
            source.seek(0, offset)
            assert await read(source, 1, at_most=1) == {0: [offset]}


async def test_paused_fetch_returns_nothing_and_returns(cluster: Cluster):
    """While paused, polling goes on with nothing coming; afterwards nothing is missing."""
    await cluster.create(1)
    await cluster.produce(0, values(5))
    async with cluster.member() as source:
        await has_joined(source)
        begin(source, {0: 0})
        assert await read(source, 1, at_most=1) == {0: [0]}
        source.pause([0])
        async with asyncio.timeout(10):
            for _ in range(3):
                assert await source.fetch([0], 100, POLL_SECONDS) == {}
        begin(source, {0: 1})
        assert await read(source, 4) == {0: [1, 2, 3, 4]}


async def test_neighbours_records_are_left_alone(cluster: Cluster):
    """A writer that fetches for its own partitions takes nothing of another writer's."""
    await cluster.create(2)
    await cluster.produce(0, values(3))
    await cluster.produce(1, values(3))
    async with cluster.member() as source:
        await has_joined(source)
        begin(source, {0: 0, 1: 0})
        assert await read(source, 3, (0,)) == {0: [0, 1, 2]}
        assert await source.fetch([0], 100, POLL_SECONDS) == {}
        assert await read(source, 3, (1,)) == {1: [0, 1, 2]}


async def test_new_records_wake_a_waiting_fetch(cluster: Cluster):
    """A fetch at the log's end returns when something arrives."""
    await cluster.create(1)
    async with cluster.member() as source:
        await has_joined(source)
        begin(source, {0: 0})
        assert await source.fetch([0], 100, POLL_SECONDS) == {}
        await cluster.produce(0, values(1))
        assert await read(source, 1) == {0: [0]}


async def test_bounds_say_what_the_log_holds(cluster: Cluster):
    """Start and end are the broker's own, also of partitions that are paused or empty."""
    await cluster.create(2)
    await cluster.produce(0, values(4))
    async with cluster.member() as source:
        await has_joined(source)
        assert await source.bounds([0, 1]) == {0: Bounds(0, 4), 1: Bounds(0, 0)}
        await cluster.delete_before(0, 3)
        assert await source.bounds([0]) == {0: Bounds(3, 4)}


@pytest.mark.parametrize("offset", [0, 9], ids=["left the log", "beyond the end"])
async def test_offset_outside_of_the_log_is_a_partitions_fault(cluster: Cluster, offset: int):
    """Kafka's clients are never let choose another offset; the neighbours go on."""
    await cluster.create(2)
    await cluster.produce(0, values(4))
    await cluster.delete_before(0, 2)
    await cluster.produce(1, values(2))
    async with cluster.member() as source:
        await has_joined(source)
        begin(source, {0: offset})
        with pytest.raises(PartitionFault) as fault:
            await read(source, 1)
        assert (fault.value.topic, fault.value.partition) == (cluster.topic, 0)
        source.pause([0])
        begin(source, {1: 0})
        assert await read(source, 2, (0, 1)) == {1: [0, 1]}


async def test_publishers_clock_is_a_partitions_fault(cluster: Cluster):
    """Kafka time has to be the broker's: the message names the topic's setting."""
    await cluster.create(1, log_append_time=False)
    await cluster.produce(0, values(1))
    async with cluster.member() as source:
        await has_joined(source)
        begin(source, {0: 0})
        with pytest.raises(PartitionFault, match=r"message\.timestamp\.type=LogAppendTime"):
            await read(source, 1)


async def test_rebalance_makes_a_new_epoch_and_shares_all_out(cluster: Cluster):
    """When a member joins or leaves, older work is void and every partition has one owner."""
    await cluster.create(3)
    await cluster.produce(0, values(2))
    async with cluster.member() as source:
        await has_joined(source)
        begin(source, {0: 0})
        assert await read(source, 2) == {0: [0, 1]}
        alone = source.epoch
        async with cluster.member() as other:
            await until(lambda: other.assigned and len(source.assigned) < 3 and source.assigned)
            assert sorted([*source.assigned, *other.assigned]) == [0, 1, 2]
            assert source.epoch > alone
            shared = source.epoch
        await until(lambda: len(source.assigned) == 3)
        assert source.epoch > shared
        assert await source.fetch([0, 1, 2], 100, POLL_SECONDS) == {}
        begin(source, {0: 0})
        assert await read(source, 2) == {0: [0, 1]}


async def test_member_without_a_partition_stands_by(cluster: Cluster):
    """A spare member has joined, has nothing to read, and takes over when the other one leaves."""
    await cluster.create(1)
    async with cluster.member() as spare:
        async with cluster.member() as other:
            await until(lambda: spare.joined and other.joined)
            await until(lambda: len(spare.assigned) + len(other.assigned) == 1)
            idle = other if spare.assigned else spare
            for _ in range(3):
                await idle.stand_by(POLL_SECONDS)
            assert idle.joined
            assert not idle.assigned
        await until(lambda: spare.assigned)


async def test_partitions_that_are_not_ours_are_passed_over(cluster: Cluster):
    """Whoever is a moment behind a rebalance does no harm and gets no error."""
    await cluster.create(1)
    async with cluster.member() as source:
        await has_joined(source)
        source.seek(7, 3)
        source.pause([7])
        source.resume([7])
        await source.commit({7: 3})


async def test_commit_tells_kafka_and_never_raises(cluster: Cluster):
    """What Kafka is told is for lag tools; a refusal is no reason to stop."""
    await cluster.create(2)
    await cluster.produce(0, values(3))
    async with cluster.member() as source:
        await has_joined(source)
        await source.commit({})
        await source.commit({0: 3})
        assert await cluster.committed(0) == 3
        assert await cluster.committed(1) is None


async def test_partition_that_is_never_begun_holds_nobody_up(cluster: Cluster):
    """A partition that is stopped from the start is fetched for beside its neighbour, in peace."""
    await cluster.create(2)
    await cluster.produce(0, values(1))
    await cluster.produce(1, values(1))
    async with cluster.member() as source:
        await has_joined(source)
        begin(source, {1: 0})
        assert await read(source, 1, (0, 1)) == {1: [0]}
        for _ in range(5):
            assert await source.fetch([0, 1], 100, POLL_SECONDS) == {}


async def test_ends_are_those_of_every_partition(cluster: Cluster):
    """Also of those that nobody has been given: so a partition without an owner can be seen."""
    await cluster.create(2)
    await cluster.produce(1, values(3))
    async with cluster.member() as source:
        await has_joined(source)
        assert await source.ends() == {0: 0, 1: 3}
