"""What a sink's loop cannot see: where the logs end, and whether everything moves that should."""

import asyncio
import time

from ingest_service.errors import BrokerUnavailableError
from ingest_service.forward.environment import Source
from ingest_service.forward.observer import SinkObserver
from ingest_service.telemetry.health import Status

_END_OFFSETS_EVERY_SECONDS = 15.0
_LOOK_EVERY_SECONDS = 1.0


async def watch(source: Source, observer: SinkObserver) -> None:
    """Ask the broker where the logs end, also while partitions are paused; feed the watchdog."""
    asked_at, asked = float("-inf"), source.epoch
    while True:
        now = time.monotonic()
        if source.joined:
            observer.health.joined(observer.sink, any_partition=bool(source.assigned))
        if source.assigned and (
            now - asked_at >= _END_OFFSETS_EVERY_SECONDS or asked != source.epoch
        ):
            asked_at, asked = now, source.epoch
            await _ask_for_ends(source, observer)
        _feed_watchdog(observer, now)
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


async def _ask_for_ends(source: Source, observer: SinkObserver) -> None:
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


def _feed_watchdog(observer: SinkObserver, now: float) -> None:
    for partition, done in observer.done.items():
        observer.health.liveness.observe(
            observer.place(partition),
            position=done,
            end=observer.ends.get(partition, done),
            now=now,
            cause=observer.faults.get(partition) or observer.held_by,
        )
