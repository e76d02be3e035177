"""Two slow loops beside the writers: what the broker knows, and what the broker is told."""

import asyncio
import time

from ingest_service.errors import BrokerUnavailableError
from ingest_service.persist.failpoints import failpoint
from ingest_service.persist.observer import WorkerObserver
from ingest_service.persist.ports import Source
from ingest_service.telemetry.health import Status

_END_OFFSETS_EVERY_SECONDS = 15.0
_LOOK_EVERY_SECONDS = 1.0


async def watch_lag(source: Source, observer: WorkerObserver) -> None:
    """Ask the broker where the logs end, also while partitions are paused, and feed the watchdog.

    The fetcher's own high-water mark stands still exactly while the database is away.
    """
    asked_at, asked = float("-inf"), source.epoch
    while True:
        now = time.monotonic()
        if source.joined:
            observer.assigned(any_partition=bool(source.assigned))
        if source.assigned and (
            now - asked_at >= _END_OFFSETS_EVERY_SECONDS or asked != source.epoch
        ):
            asked_at, asked = now, source.epoch
            await _ask_for_ends(source, observer)
        _feed_watchdog(observer, now)
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


async def _ask_for_ends(source: Source, observer: WorkerObserver) -> None:
    began = time.monotonic()
    try:
        bounds = await source.bounds(source.assigned)
    except BrokerUnavailableError as exc:
        observer.health.report("kafka", Status.UNHEALTHY, began, detail=str(exc))
        return
    now = time.monotonic()
    observer.health.report("kafka", Status.HEALTHY, now, latency_seconds=now - began)
    for partition in set(source.assigned) & bounds.keys():
        observer.end_offset(source.topic, partition, bounds[partition].end)


def _feed_watchdog(observer: WorkerObserver, now: float) -> None:
    for partition, durable in observer.durable.items():
        observer.health.liveness.observe(
            str(partition),
            position=durable,
            end=observer.ends.get(partition, durable),
            now=now,
            cause=observer.faults.get(partition) or observer.database_fault,
        )


async def commit_offsets(source: Source, observer: WorkerObserver) -> None:
    """Tell Kafka once a second how far the ledger is; only lag tools read it."""
    told: dict[int, int] = {}
    while True:
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        told = await commit_durable(source, observer, told)


async def commit_durable(
    source: Source, observer: WorkerObserver, told: dict[int, int]
) -> dict[int, int]:
    """Commit what has moved since `told`; return what is told now."""
    durable = dict(observer.durable)
    moved = {n: offset for n, offset in durable.items() if told.get(n) != offset}
    if not await source.commit(moved):
        return told
    failpoint("after_kafka_commit")
    return durable
