"""What the persister lets be seen: counts for Prometheus, and where it stands, for /health.

The loops beside the writers read it as well: how far each partition is, and what holds it.
"""

import time

from prometheus_client import CollectorRegistry

from ingest_service.telemetry.health import Health, Status
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
        self.ends: dict[int, int] = {}
        self.faults: dict[int, str] = {}
        self.database_fault: str | None = None

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
        self.health.partition_stopped(f"partition {partition}", why, time.monotonic())

    def durable_offset(self, topic: str, partition: int, offset: int) -> None:
        """Show how far a partition is durable; it moves, so it is not stopped."""
        self.durable[partition] = offset
        super().durable_offset(topic, partition, offset)
        if self.faults.pop(partition, None) is not None:
            self.health.forget(f"partition {partition}")

    def end_offset(self, topic: str, partition: int, offset: int) -> None:
        """Show where a partition's log ends."""
        self.ends[partition] = offset
        super().end_offset(topic, partition, offset)

    def forget_partition(self, topic: str, partition: int) -> None:
        """Say no more about a partition that another worker has now."""
        self.durable.pop(partition, None)
        self.ends.pop(partition, None)
        self.faults.pop(partition, None)
        super().forget_partition(topic, partition)
        self.health.forget(f"partition {partition}")
        self.health.liveness.forget(str(partition))

    def beat(self, loop: str) -> None:
        """Note that a loop came round."""
        self.health.liveness.beat(loop, time.monotonic())

    def assigned(self, *, any_partition: bool) -> None:
        """Show that the worker is a member of its group."""
        self.health.joined(_MEMBER, any_partition=any_partition)
