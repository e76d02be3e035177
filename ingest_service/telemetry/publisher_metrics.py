"""The publisher's metrics, in the gateway's own registry: declared once, here."""

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

# Name and help of each.
_DEPTH = (
    "sark_audit_queue_depth",
    "Audit events that wait for the broker's acknowledgement.",
)
_CAPACITY = (
    "sark_audit_queue_capacity",
    "How many audit events may wait; beyond that the publisher refuses.",
)
_DROPS = (
    "sark_audit_queue_drops",
    "Audit events that were taken and then dropped: always 0, the publisher refuses.",
)
_EVENTS = (
    "sark_audit_publisher_events",
    (
        "Audit events by outcome: recorded (acknowledged by all replicas), not_sent (never left "
        "the process), unknown (may have arrived), refused (the buffer was full)."
    ),
)
_LATE = (
    "sark_audit_publisher_deadline_exceeded",
    (
        "Calls that were told NotRecorded because the broker had not answered in time; an event "
        "that was on its way is counted by its outcome too, later."
    ),
)
_TRIMMED = (
    "sark_audit_publisher_trimmed_events",
    "Audit events of which something was cut or replaced to fit the contract.",
)
_ACKNOWLEDGE = (
    "sark_audit_publisher_acknowledge_seconds",
    "Time from handing an event over to its acknowledgement by all replicas.",
)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class PublisherMetrics:
    """What a gateway's Prometheus sees of its publisher; no label comes from an event."""

    def __init__(
        self,
        registry: CollectorRegistry | None,
        depth: Callable[[], float],
        capacity: int,
    ) -> None:
        self._registry = registry = REGISTRY if registry is None else registry
        waiting = Gauge(*_DEPTH, registry=registry)
        waiting.set_function(depth)
        most = Gauge(*_CAPACITY, registry=registry)
        most.set(capacity)
        drops = Counter(*_DROPS, registry=registry)
        events = Counter(*_EVENTS, ("outcome",), registry=registry)
        self.recorded = events.labels("recorded")
        self.not_sent = events.labels("not_sent")
        self.unknown = events.labels("unknown")
        self.refused = events.labels("refused")
        self.late = Counter(*_LATE, registry=registry)
        self.trimmed = Counter(*_TRIMMED, registry=registry)
        self.acknowledge_seconds = Histogram(*_ACKNOWLEDGE, buckets=_SECONDS, registry=registry)
        set_once = (waiting, most, drops, events)
        self._all = (*set_once, self.late, self.trimmed, self.acknowledge_seconds)

    def unregister(self) -> None:
        """Leave the registry, so that the next publisher of this process can register."""
        for collector in self._all:
            self._registry.unregister(collector)
