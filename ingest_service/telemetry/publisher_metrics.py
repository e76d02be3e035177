"""The publisher's metrics in the gateway's own registry, by prometheus_client's own instruments."""

from collections.abc import Callable
from typing import TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from ingest_service.telemetry import metrics_publisher as metrics
from ingest_service.telemetry.declaration import Declaration

_Instrument = TypeVar("_Instrument", Counter, Gauge)


class PublisherMetrics:
    """What a gateway's Prometheus sees of its publisher; no label comes from an event."""

    def __init__(
        self,
        registry: CollectorRegistry | None,
        depth: Callable[[], float],
        capacity: int,
    ) -> None:
        self._registry = registry = REGISTRY if registry is None else registry
        waiting = _made(Gauge, metrics.QUEUE_DEPTH, registry)
        waiting.set_function(depth)
        most = _made(Gauge, metrics.QUEUE_CAPACITY, registry)
        most.set(capacity)
        drops = _made(Counter, metrics.QUEUE_DROPS, registry)
        events = _made(Counter, metrics.PUBLISHED, registry)
        self.recorded = events.labels("recorded")
        self.not_sent = events.labels("not_sent")
        self.unknown = events.labels("unknown")
        self.refused = events.labels("refused")
        self.late = _made(Counter, metrics.DEADLINE_EXCEEDED, registry)
        self.trimmed = _made(Counter, metrics.TRIMMED, registry)
        acknowledged = metrics.ACKNOWLEDGE_SECONDS
        self.acknowledge_seconds = Histogram(
            acknowledged.name, acknowledged.help, buckets=acknowledged.buckets, registry=registry
        )
        set_once = (waiting, most, drops, events)
        self._all = (*set_once, self.late, self.trimmed, self.acknowledge_seconds)

    def unregister(self) -> None:
        """Leave the registry, so that the next publisher of this process can register."""
        for collector in self._all:
            self._registry.unregister(collector)


def _made(
    instrument: type[_Instrument], declared: Declaration, registry: CollectorRegistry
) -> _Instrument:
    labels = [label.name for label in declared.labels]
    return instrument(declared.name, declared.help, labels, registry=registry)
