"""What a persister counts, in the words of its loop; one object and one registry a worker."""

import time
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from ingest_service.errors import StopReason
from ingest_service.events.record import Row
from ingest_service.telemetry import metrics_persister as metrics
from ingest_service.telemetry.gateway_metrics import GatewayMetrics
from ingest_service.telemetry.instruments import Counter, Gauge, Histogram
from ingest_service.telemetry.topic_metrics import TopicMetrics

DATABASE = "database"


def new_registry() -> CollectorRegistry:
    """Return a registry of its own for a worker, with what the process itself can tell."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class WorkerMetrics(TopicMetrics):
    """Counts what one worker did; each method takes a batch and costs microseconds.

    Call `written`, `quarantined`, `duplicates` and `delays` after the commit, never before: what
    was rolled back was not written. Any thread may call; the endpoint's scrapes.
    """

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.time) -> None:
        super().__init__(registry, "persister")
        self._clock = clock
        self._gateway = GatewayMetrics(registry, clock)
        self._written = Counter(metrics.EVENTS_WRITTEN, registry)
        self._write_duration = Histogram(metrics.WRITE_DURATION, registry)
        self._write_errors = Counter(metrics.WRITE_ERRORS, registry)
        self._durable = Gauge(metrics.DURABLE_OFFSET, registry)
        self._lag = Gauge(metrics.CONSUMER_LAG, registry)
        self._oldest = Gauge(metrics.OLDEST_UNDURABLE, registry)
        self._stopped = Gauge(metrics.PARTITION_STOPPED, registry)
        self._quarantined = Counter(metrics.QUARANTINED, registry)
        self._duplicates = Counter(metrics.DUPLICATES, registry)
        self._fenced = Counter(metrics.FENCED_WRITES, registry)

    def written(self, rows: Sequence[Row], seconds: float) -> None:
        """Count the rows of a batch that committed after `seconds`; duplicates are not among them.

        A batch may hold no row at all, only quarantine: its duration counts too.
        """
        written = self._gateway.count(rows)
        self._written.add({(*labels, DATABASE): count for labels, count in written.items()})
        self._write_duration.observe({seconds: 1}, (DATABASE,))

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
        self._write_errors.add({(DATABASE, kind): 1})

    def durable_offset(self, topic: str, partition: int, offset: int) -> None:
        """Show the next offset that is to become durable."""
        self._durable.set((topic, str(partition)), offset)
        self._show_lag((topic, str(partition)))

    def end_offsets(self, topic: str, ends: Mapping[int, int]) -> None:
        """Show where the partitions end; lag is shown of this worker's own alone."""
        super().end_offsets(topic, ends)
        for number in ends:
            self._show_lag((topic, str(number)))

    def show_oldest(self, age_seconds: float) -> None:
        """Show how old the oldest record is that is not durable; 0 when all are."""
        self._oldest.set((), age_seconds)

    def show_stopped(self, topic: str, partition: int, reason: StopReason) -> None:
        """Show that a partition waits for an operator, and for which decision."""
        self.show_moving(topic, partition)
        self._stopped.set((topic, str(partition), reason), 1)

    def show_moving(self, topic: str, partition: int) -> None:
        """Show that a partition waits for nobody."""
        self._stopped.forget_all((topic, str(partition)))

    def forget_partition(self, topic: str, partition: int) -> None:
        """Stop showing a partition that another worker has now; where it ends is everybody's."""
        self.show_moving(topic, partition)
        for gauge in (self._durable, self._lag):
            gauge.forget((topic, str(partition)))

    def _show_lag(self, labels: tuple[str, str]) -> None:
        end, durable = self._end.get(labels), self._durable.get(labels)
        if end is not None and durable is not None:
            # The end is asked every 15 s, and the durable offset passes it meanwhile.
            self._lag.set(labels, max(0, end - durable))
