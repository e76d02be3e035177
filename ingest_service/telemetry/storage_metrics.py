"""What the database says about the audit as a whole; asked beside the work, never in it."""

from prometheus_client import CollectorRegistry

from ingest_service.shapes import Storage
from ingest_service.telemetry import metrics_persister as metrics
from ingest_service.telemetry.instruments import Counter, Gauge
from ingest_service.telemetry.metrics_gateway import UNIQUE_USERS


class StorageMetrics:
    """Every persister shows the same: aggregate with max."""

    def __init__(self, registry: CollectorRegistry, capacity_bytes: int | None) -> None:
        self._capacity_bytes = capacity_bytes
        self._size = Gauge(metrics.LOG_SIZE, registry)
        self._utilization = Gauge(metrics.STORAGE_UTILIZATION, registry)
        self._rotations = Counter(metrics.LOG_ROTATIONS, registry)
        self._purges = Counter(metrics.RETENTION_PURGES, registry)
        self._users = Gauge(UNIQUE_USERS, registry)

    def storage(self, found: Storage) -> None:
        """Show how much is stored, and count what was made and purged since the last answer."""
        self._size.set((), found.size_bytes)
        if self._capacity_bytes is not None:
            self._utilization.set((), found.size_bytes / self._capacity_bytes)
        self._rotations.add({(): found.new_chunks})
        self._purges.add({(): found.new_purges})

    def unique_users(self, users: int) -> None:
        """Show about how many users had an event in the last hour."""
        self._users.set((), users)
