"""What the persister lets be seen: counts for Prometheus, and where it stands, for /health.

The loops beside the writers read it as well: how far each partition is, and what holds it.
"""

import time
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry

from ingest_service.errors import Stop
from ingest_service.telemetry.health import Health, Status
from ingest_service.telemetry.waiting import Waiting
from ingest_service.telemetry.watch import Standing
from ingest_service.telemetry.worker_metrics import WorkerMetrics

_DATABASE = "database"
_MEMBER = "persister"


class WorkerObserver(WorkerMetrics):
    """Implements `persist.ports.Observer`: the worker's metrics, its health, and its standing."""

    def __init__(self, registry: CollectorRegistry, health: Health) -> None:
        super().__init__(registry)
        self.health = health
        health.expect(_MEMBER)
        self.durable: dict[int, int] = {}
        self.ends: Mapping[int, int] = {}
        self.faults: dict[int, str] = {}
        self.database_fault: str | None = None
        self._waiting = Waiting()
        self._held_ms: dict[str, int | None] = {}

    def database_available(self, seconds: float) -> None:
        """Show that the database takes what it is given."""
        self.database_fault = None
        self.health.report(_DATABASE, Status.HEALTHY, time.monotonic(), latency_seconds=seconds)

    def database_unavailable(self, why: str) -> None:
        """Show the database as away: degraded, for a restart would not bring it back."""
        self.database_fault = why
        self.health.report(_DATABASE, Status.UNHEALTHY, time.monotonic(), detail=why)

    def partition_stopped(self, topic: str, partition: int, stop: Stop) -> None:
        """Show a partition that waits for an operator."""
        self.faults[partition] = stop.message
        self.show_stopped(topic, partition, stop.reason)
        self.health.partition_stopped(f"partition {partition}", stop.message, time.monotonic())

    def durable_offset(self, topic: str, partition: int, offset: int) -> None:
        """Show how far a partition is durable; it moves, so it is not stopped."""
        self.durable[partition] = offset
        super().durable_offset(topic, partition, offset)
        if self.faults.pop(partition, None) is not None:
            self.show_moving(topic, partition)
            self.health.forget(f"partition {partition}")

    def end_offsets(self, topic: str, ends: Mapping[int, int]) -> None:
        """Show where the partitions end, everybody's; age and lag are shown of one's own."""
        super().end_offsets(topic, ends)
        self.ends, now = ends, time.monotonic()
        for partition in self.durable.keys() & ends.keys():
            self._waiting.ends(partition, ends[partition], now)

    def standings(self, now: float) -> Iterable[Standing]:
        """Return where each partition stands, and show how old the oldest record is."""
        self.show_oldest(self._oldest_seconds(now))
        return [
            Standing(
                name=str(partition),
                position=durable,
                end=self.ends.get(partition, durable),
                cause=self.faults.get(partition) or self.database_fault,
            )
            for partition, durable in self.durable.items()
        ]

    def _oldest_seconds(self, now: float) -> float:
        """Of what is held the Kafka time is known; of the rest, since when it has been there."""
        held = [stamp for stamp in self._held_ms.values() if stamp is not None]
        ages = [time.time() - min(held) / 1000] if held else []
        ages += [self._waiting.seconds(each, at, now) for each, at in self.durable.items()]
        return max(0.0, *ages) if ages else 0.0

    def forget_partition(self, topic: str, partition: int) -> None:
        """Say no more about a partition that another worker has now."""
        self.durable.pop(partition, None)
        self.faults.pop(partition, None)
        self._waiting.forget(partition)
        super().forget_partition(topic, partition)
        self.health.forget(f"partition {partition}")
        self.health.liveness.forget(str(partition))

    def beat(self, loop: str, oldest_ms: int | None = None) -> None:
        """Note that a loop came round, and the Kafka time of the oldest record that it holds."""
        self._held_ms[loop] = oldest_ms
        self.health.liveness.beat(loop, time.monotonic())

    def assigned(self, *, any_partition: bool) -> None:
        """Show that the worker is a member of its group."""
        self.health.joined(_MEMBER, any_partition=any_partition)
