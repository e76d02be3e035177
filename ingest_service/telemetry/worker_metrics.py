"""What a worker counts, in the words of the persist loop; one object and one registry a worker."""

from collections import Counter as Tally
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from ingest_service.events.record import Row
from ingest_service.telemetry import metrics_gateway, metrics_persister
from ingest_service.telemetry.instruments import Counter, Gauge, Histogram
from ingest_service.telemetry.projection import project

DATABASE = "database"


def new_registry() -> CollectorRegistry:
    """Return a registry of its own for a worker, with what the process itself can tell."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class WorkerMetrics:
    """Counts what one worker did; each method takes a batch and costs microseconds.

    Call `written`, `quarantined`, `duplicates` and `delays` after the commit, never before: what
    was rolled back was not written. Any thread may call; the endpoint's scrapes.
    """

    def __init__(self, registry: CollectorRegistry, destination: str = DATABASE) -> None:
        self._destination = destination
        self._written = Counter(metrics_persister.EVENTS_WRITTEN, registry)
        self._write_duration = Histogram(metrics_persister.WRITE_DURATION, registry)
        self._write_errors = Counter(metrics_persister.WRITE_ERRORS, registry)
        self._end = Gauge(metrics_persister.END_OFFSET, registry)
        self._durable = Gauge(metrics_persister.DURABLE_OFFSET, registry)
        self._lag = Gauge(metrics_persister.CONSUMER_LAG, registry)
        self._delay = Histogram(metrics_persister.END_TO_END_DELAY, registry)
        self._quarantined = Counter(metrics_persister.QUARANTINED, registry)
        self._duplicates = Counter(metrics_persister.DUPLICATES, registry)
        self._fenced = Counter(metrics_persister.FENCED_WRITES, registry)
        self._audit_events = Counter(metrics_gateway.AUDIT_EVENTS, registry)
        self._authz_requests = Counter(metrics_gateway.AUTHZ_REQUESTS, registry)

    def written(self, rows: Sequence[Row], seconds: float) -> None:
        """Count the rows of a batch that committed after `seconds`; duplicates are not among them.

        A batch may hold no row at all, only quarantine: its duration counts too.
        """
        batch = project(rows)
        self._written.add(
            {(*labels, self._destination): count for labels, count in batch.written.items()}
        )
        self._audit_events.add(batch.audit_events)
        self._authz_requests.add(batch.authz_requests)
        self._write_duration.observe({seconds: 1}, (self._destination,))

    def delays(self, seconds: Mapping[float, int]) -> None:
        """Count how long each record took from its Kafka time to its commit."""
        observed: Tally[float] = Tally()
        for value, count in seconds.items():
            observed[max(value, 0.0)] += count
        self._delay.observe(observed)

    def quarantined(self, reasons: Mapping[str, int]) -> None:
        """Count quarantined records by `Reason`."""
        self._quarantined.add({(str(reason),): count for reason, count in reasons.items()})

    def duplicates(self, count: int) -> None:
        """Count records whose event was there already, with the same content."""
        self._duplicates.add({(): count})

    def fenced(self) -> None:
        """Count a write that changed nothing because the stream's head had moved."""
        self._fenced.add({(): 1})

    def write_error(self, error: BaseException | str) -> None:
        """Count a write that failed, by our error's name (a code of ours, never a message)."""
        kind = error if isinstance(error, str) else type(error).__name__
        self._write_errors.add({(self._destination, kind): 1})

    def end_offset(self, topic: str, partition: int, offset: int) -> None:
        """Show where the partition ends, as the broker said."""
        self._end.set((topic, str(partition)), offset)
        self._show_lag((topic, str(partition)))

    def durable_offset(self, topic: str, partition: int, offset: int) -> None:
        """Show the next offset that is to become durable."""
        self._durable.set((topic, str(partition)), offset)
        self._show_lag((topic, str(partition)))

    def forget_partition(self, topic: str, partition: int) -> None:
        """Stop showing a partition that another worker has now."""
        for gauge in (self._end, self._durable, self._lag):
            gauge.forget((topic, str(partition)))

    def _show_lag(self, labels: tuple[str, str]) -> None:
        end, durable = self._end.get(labels), self._durable.get(labels)
        if end is not None and durable is not None:
            # The end is asked every 15 s, and the durable offset passes it meanwhile.
            self._lag.set(labels, max(0, end - durable))
