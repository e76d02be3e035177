"""What a worker's loops cannot see: where the logs end, and whether what should move moves."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ingest_service.errors import BrokerUnavailableError
from ingest_service.telemetry.health import Health, Status

_END_OFFSETS_EVERY_SECONDS = 15.0
_LOOK_EVERY_SECONDS = 1.0


class Source(Protocol):
    """A member of a consumer group."""

    @property
    def topic(self) -> str:
        """The topic that is read."""
        ...

    @property
    def epoch(self) -> int:
        """A number that grows with each assignment."""
        ...

    @property
    def joined(self) -> bool:
        """Whether the group has answered once: with partitions, or to stand by."""
        ...

    @property
    def assigned(self) -> Sequence[int]:
        """The partitions of this epoch."""
        ...

    async def ends(self) -> Mapping[int, int | None]:
        """Ask the broker where each partition ends, also those of others; None: no answer."""
        ...


class Standing(NamedTuple):
    """How far one of this worker's partitions is; with a `cause` it is held by something known."""

    name: str
    position: int
    end: int
    cause: str | None


class Observer(Protocol):
    """Where it is shown."""

    @property
    def health(self) -> Health:
        """What the health endpoints answer."""
        ...

    def assigned(self, *, any_partition: bool) -> None:
        """Note that the group has answered: with partitions, or to stand by."""
        ...

    def end_offsets(self, topic: str, ends: Mapping[int, int]) -> None:
        """Note where every partition ends."""
        ...

    def standings(self, now: float) -> Iterable[Standing]:
        """Return where this worker's partitions stand, and show what depends on the time."""
        ...


async def watch(source: Source, observer: Observer) -> None:
    """Ask the broker where the logs end, also while partitions are paused, and feed the watchdog.

    The fetcher's own high-water mark stands still exactly while nothing is fetched. A worker that
    stands by asks too, and everybody asks for all: so a partition that nobody owns can be seen.
    """
    asked_at, asked = float("-inf"), source.epoch
    ends: Mapping[int, int] = {}
    while True:
        now = time.monotonic()
        if source.joined:
            observer.assigned(any_partition=bool(source.assigned))
        if now - asked_at >= _END_OFFSETS_EVERY_SECONDS or asked != source.epoch:
            asked_at, asked = now, source.epoch
            ends = await _ask_for_ends(source, observer, ends)
        feed_watchdog(observer, now)
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


async def _ask_for_ends(
    source: Source, observer: Observer, before: Mapping[int, int]
) -> Mapping[int, int]:
    """Return where the logs end: as of before, where nobody answers now."""
    began = time.monotonic()
    try:
        answers = await source.ends()
    except BrokerUnavailableError as exc:
        observer.health.report("kafka", Status.UNHEALTHY, began, detail=str(exc))
        return before
    now = time.monotonic()
    observer.health.report("kafka", Status.HEALTHY, now, latency_seconds=now - began)
    known = {n: before.get(n) if end is None else end for n, end in answers.items()}
    ends = {n: end for n, end in known.items() if end is not None}
    observer.end_offsets(source.topic, ends)
    return ends


def feed_watchdog(observer: Observer, now: float) -> None:
    """Tell the watchdog how far each partition is."""
    for each in observer.standings(now):
        observer.health.liveness.observe(
            each.name, position=each.position, end=each.end, now=now, cause=each.cause
        )
