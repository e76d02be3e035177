"""Where the persister's counts and states go: metrics for Prometheus, health for whoever asks."""

import time
from collections.abc import Mapping, Sequence

from ingest_service.events.record import Row
from ingest_service.telemetry.health import Health, Phase, Status
from ingest_service.telemetry.worker_metrics import WorkerMetrics

_DATABASE = "database"


class WorkerObserver:
    """Implements `persist.ports.Observer`; remembers the offsets that the background loops need."""

    def __init__(self, metrics: WorkerMetrics, health: Health) -> None:
        self.health = health
        self.durable: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self.faults: dict[int, str] = {}
        self.database_fault: str | None = None
        self._metrics = metrics

    def written(self, rows: Sequence[Row], seconds: float) -> None:
        """Count a committed batch."""
        self._metrics.written(rows, seconds)

    def quarantined(self, reasons: Mapping[str, int]) -> None:
        """Count committed quarantine."""
        self._metrics.quarantined(reasons)

    def duplicates(self, count: int) -> None:
        """Count records that were there already."""
        self._metrics.duplicates(count)

    def fenced(self) -> None:
        """Count a write that somebody else's head refused."""
        self._metrics.fenced()

    def write_error(self, kind: str) -> None:
        """Count a write that will be tried again."""
        self._metrics.write_error(kind)

    def delays(self, seconds: Mapping[float, int]) -> None:
        """Count how long records took from Kafka to their commit."""
        self._metrics.delays(seconds)

    def database_available(self, seconds: float) -> None:
        """Show that the database takes what it is given."""
        self.database_fault = None
        self.health.report(_DATABASE, Status.HEALTHY, time.monotonic(), latency_seconds=seconds)

    def database_unavailable(self, why: str) -> None:
        """Show the database as away: degraded, for a restart would not bring it back."""
        self.database_fault = why
        self.health.report(_DATABASE, Status.UNHEALTHY, time.monotonic(), detail=why)

    def partition_stopped(self, partition: int, why: str) -> None:
        """Show a partition that waits for an operator."""
        self.faults[partition] = why
        self.health.report(f"partition {partition}", Status.UNHEALTHY, time.monotonic(), detail=why)

    def durable_offset(self, topic: str, partition: int, offset: int) -> None:
        """Show how far a partition is durable; it moves, so it is not stopped."""
        self.durable[partition] = offset
        self._metrics.durable_offset(topic, partition, offset)
        if self.faults.pop(partition, None) is not None:
            self.health.forget(f"partition {partition}")

    def end_offset(self, topic: str, partition: int, offset: int) -> None:
        """Show where a partition's log ends."""
        self.ends[partition] = offset
        self._metrics.end_offset(topic, partition, offset)

    def forget_partition(self, topic: str, partition: int) -> None:
        """Say no more about a partition that another worker has now."""
        self.durable.pop(partition, None)
        self.ends.pop(partition, None)
        self.faults.pop(partition, None)
        self._metrics.forget_partition(topic, partition)
        self.health.forget(f"partition {partition}")
        self.health.liveness.forget(str(partition))

    def beat(self, loop: str) -> None:
        """Note that a loop came round."""
        self.health.liveness.beat(loop, time.monotonic())

    def assigned(self, *, any_partition: bool) -> None:
        """Show that the worker is a member of its group, unless it is on its way out."""
        if self.health.phase is not Phase.STOPPING:
            self.health.phase = Phase.ASSIGNED if any_partition else Phase.STANDING_BY
