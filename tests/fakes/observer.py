"""An observer that remembers what it was told."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingest_service.errors import Stop
    from ingest_service.events.record import Row


class FakeObserver:
    """Implements `persist.ports.Observer`."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.reasons: Counter[str] = Counter()
        self.duplicate_count = 0
        self.fences = 0
        self.errors: Counter[str] = Counter()
        self.unavailable: list[str] = []
        self.is_available = True
        self.stopped: dict[int, str] = {}
        self.delay_count = 0
        self.durable: dict[int, int] = {}
        self.beats: Counter[str] = Counter()
        self.oldest_ms: dict[str, int | None] = {}
        self.forgotten: list[int] = []

    def written(self, rows: Sequence[Row], seconds: float) -> None:
        self.rows += rows

    def quarantined(self, reasons: Mapping[str, int]) -> None:
        self.reasons.update(reasons)

    def duplicates(self, count: int) -> None:
        self.duplicate_count += count

    def fenced(self) -> None:
        self.fences += 1

    def write_error(self, kind: str) -> None:
        self.errors[kind] += 1

    def database_available(self, seconds: float) -> None:
        self.is_available = True

    def database_unavailable(self, why: str) -> None:
        self.is_available = False
        self.unavailable.append(why)

    def partition_stopped(self, topic: str, partition: int, stop: Stop) -> None:
        self.stopped[partition] = stop.message

    def delays(self, seconds: Mapping[float, int]) -> None:
        self.delay_count += sum(seconds.values())

    def durable_offset(self, topic: str, partition: int, offset: int) -> None:
        self.durable[partition] = offset

    def beat(self, loop: str, oldest_ms: int | None) -> None:
        self.beats[loop] += 1
        self.oldest_ms[loop] = oldest_ms

    def forget_partition(self, topic: str, partition: int) -> None:
        self.forgotten.append(partition)
