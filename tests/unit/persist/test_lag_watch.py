"""What goes on beside the writers: lag, the watchdog, and what Kafka is told."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from fakes.events import TOPIC, record
from fakes.source import FakeBroker, FakeSource
from ingest_service.errors import Stop, StopReason
from ingest_service.persist import commits
from ingest_service.persist.observer import WorkerObserver
from ingest_service.telemetry import watch
from ingest_service.telemetry.health import Health, Phase
from ingest_service.telemetry.liveness import STALL_SECONDS
from ingest_service.telemetry.worker_metrics import new_registry
from waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine


STOP = Stop(StopReason.GAP, "operator, decide")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_LOOK_EVERY_SECONDS", 0.002)
    monkeypatch.setattr(commits, "_EVERY_SECONDS", 0.002)
    monkeypatch.setattr(watch, "_END_OFFSETS_EVERY_SECONDS", 0.01)


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker(TOPIC, [[], []])


@pytest.fixture
def observer() -> WorkerObserver:
    return WorkerObserver(new_registry(), Health())


@asynccontextmanager
async def beside(work: Coroutine) -> AsyncIterator[None]:
    """Run a loop that never ends by itself; a crash of it fails the test."""
    task = asyncio.create_task(work)
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def long_after() -> float:
    return time.monotonic() + STALL_SECONDS + 1


async def test_lag_is_asked_for_while_partitions_are_paused(
    broker: FakeBroker, observer: WorkerObserver
):
    """The end of the log is the broker's answer, for lag grows exactly while nothing is fetched."""
    async with broker.member() as source, beside(watch.watch(source, observer)):
        await until(lambda: observer.ends == {0: 0, 1: 0})
        broker.logs[1] += [record(0, 1), record(1, 1)]
        await until(lambda: observer.ends == {0: 0, 1: 2})
        assert observer.health.phase is Phase.ASSIGNED


async def test_partition_without_a_leader_keeps_its_last_end(
    broker: FakeBroker, observer: WorkerObserver
):
    """And hides no other's: what arrives there is seen."""
    async with broker.member() as source, beside(watch.watch(source, observer)):
        await until(lambda: observer.ends == {0: 0, 1: 0})
        broker.leaderless.add(0)
        broker.logs[1] += [record(0, 1)]
        await until(lambda: observer.ends == {0: 0, 1: 1})


async def test_broker_that_does_not_answer_shows_and_comes_back(
    broker: FakeBroker, observer: WorkerObserver
):
    """The loop outlives an outage, and health says which dependency is away."""
    broker.available = False
    async with broker.member() as source, beside(watch.watch(source, observer)):
        await until(lambda: "away" in str(observer.health.detailed(time.monotonic())))
        broker.available = True
        await until(lambda: observer.ends == {0: 0, 1: 0})
        assert "away" not in str(observer.health.detailed(time.monotonic()))


async def test_member_without_partitions_stands_by(broker: FakeBroker, observer: WorkerObserver):
    """A spare worker is ready, although it has nothing to do."""
    async with broker.member() as source, beside(watch.watch(source, observer)):
        source.reassign(())
        await until(lambda: observer.health.phase is Phase.STANDING_BY)
        assert observer.health.ready()


@pytest.mark.parametrize("cause", ["database", "operator", None])
def test_only_work_that_stands_still_without_a_cause_fails_health(
    observer: WorkerObserver, cause: str | None
):
    """An outage, or a partition that waits for an operator, is no reason to restart a worker."""
    observer.durable_offset(TOPIC, 0, 5)
    observer.end_offsets(TOPIC, {0: 9})
    if cause == "database":
        observer.database_unavailable("away")
    elif cause == "operator":
        observer.partition_stopped(TOPIC, 0, STOP)
    watch.feed_watchdog(observer, time.monotonic())
    watch.feed_watchdog(observer, long_after() - 1)
    later = long_after() + 0.5
    assert observer.health.alive(later) is (cause is not None)


def test_idle_partition_is_healthy(observer: WorkerObserver):
    """With nothing to do nothing has to move."""
    observer.durable_offset(TOPIC, 0, 9)
    observer.end_offsets(TOPIC, {0: 9})
    watch.feed_watchdog(observer, time.monotonic())
    watch.feed_watchdog(observer, long_after())
    assert observer.health.alive(long_after() + 1)


def test_partition_that_moves_again_is_no_longer_stopped(observer: WorkerObserver):
    """What health says about a stopped partition ends with its next durable offset."""
    observer.partition_stopped(TOPIC, 0, STOP)
    assert "operator, decide" in str(observer.health.detailed(time.monotonic()))
    observer.durable_offset(TOPIC, 0, 5)
    assert "operator, decide" not in str(observer.health.detailed(time.monotonic()))


def test_partition_of_another_worker_is_forgotten(observer: WorkerObserver):
    """Nothing is committed, watched or shown for what is not ours any more."""
    observer.partition_stopped(TOPIC, 0, STOP)
    observer.durable_offset(TOPIC, 0, 5)
    observer.partition_stopped(TOPIC, 0, STOP)
    observer.end_offsets(TOPIC, {0: 9})
    watch.feed_watchdog(observer, time.monotonic())
    observer.forget_partition(TOPIC, 0)
    assert (observer.durable, observer.faults) == ({}, {})
    assert observer.health.alive(long_after())
    assert "operator, decide" not in str(observer.health.detailed(time.monotonic()))


def test_age_of_what_is_not_durable_grows_until_it_is():
    """By the Kafka time of what is held, or by when the log was seen to hold more; then 0."""
    registry = new_registry()
    observer = WorkerObserver(registry, Health())

    def shown() -> float | None:
        return registry.get_sample_value("sark_audit_oldest_undurable_seconds")

    now = time.monotonic()
    observer.durable_offset(TOPIC, 0, 5)
    observer.end_offsets(TOPIC, {0: 9})
    watch.feed_watchdog(observer, now + 100)
    assert shown() == pytest.approx(100, abs=5)
    observer.beat("writer-0", int((time.time() - 7000) * 1000))
    watch.feed_watchdog(observer, now + 100)
    assert shown() == pytest.approx(7000, abs=5)
    observer.beat("writer-0", None)
    observer.durable_offset(TOPIC, 0, 9)
    watch.feed_watchdog(observer, now + 100)
    assert shown() == 0


class CountingSource(FakeSource):
    """Remembers each commit."""

    def __init__(self, broker: FakeBroker) -> None:
        super().__init__(broker)
        self.commits: list[dict[int, int]] = []

    async def commit(self, offsets) -> bool:
        self.commits.append(dict(offsets))
        return self._broker.available


async def test_kafka_is_told_only_what_has_moved(broker: FakeBroker, observer: WorkerObserver):
    """An idle worker writes nothing into Kafka's offsets topic."""
    source = CountingSource(broker)
    observer.durable_offset(TOPIC, 0, 5)
    observer.durable_offset(TOPIC, 1, 7)
    told = await commits.commit_durable(source, observer, {})
    observer.durable_offset(TOPIC, 1, 8)
    told = await commits.commit_durable(source, observer, told)
    await commits.commit_durable(source, observer, told)
    assert source.commits == [{0: 5, 1: 7}, {1: 8}, {}]


async def test_what_kafka_did_not_hear_is_said_again(broker: FakeBroker, observer: WorkerObserver):
    """A commit that failed is not taken for told, or a quiet topic would show lag for hours."""
    source = CountingSource(broker)
    observer.durable_offset(TOPIC, 0, 5)
    broker.available = False
    told = await commits.commit_durable(source, observer, {})
    broker.available = True
    await commits.commit_durable(source, observer, told)
    assert source.commits == [{0: 5}, {0: 5}]


async def test_kafka_is_told_again_and_again(broker: FakeBroker, observer: WorkerObserver):
    """Lag tools see the ledger's progress while the worker runs, not only at its end."""
    async with broker.member() as source, beside(commits.commit_offsets(source, observer)):
        for offset in (3, 4):
            observer.durable_offset(TOPIC, 0, offset)
            await until(lambda: broker.committed == {0: offset})  # noqa: B023 - ends before the next
