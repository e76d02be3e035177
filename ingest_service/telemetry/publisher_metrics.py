"""The publisher's metrics, in the gateway's own registry: declared once, here."""

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class PublisherMetrics:
    """What a gateway's Prometheus sees of its publisher; no label comes from an event."""

    def __init__(
        self,
        registry: CollectorRegistry | None,
        depth: Callable[[], float],
        capacity: int,
    ) -> None:
        self._registry = REGISTRY if registry is None else registry
        self._depth = Gauge(
            "sark_audit_queue_depth",
            "Audit events that wait for the broker's acknowledgement.",
            registry=self._registry,
        )
        self._depth.set_function(depth)
        self._capacity = Gauge(
            "sark_audit_queue_capacity",
            "How many audit events may wait; beyond that the publisher refuses.",
            registry=self._registry,
        )
        self._capacity.set(capacity)
        self._drops = Counter(
            "sark_audit_queue_drops",
            "Audit events that were taken and then dropped: always 0, the publisher refuses.",
            registry=self._registry,
        )
        self._events = Counter(
            "sark_audit_publisher_events",
            "Audit events by outcome: recorded (acknowledged by all replicas), not_sent (never "
            "left the process), unknown (may have arrived), refused (the buffer was full).",
            ("outcome",),
            registry=self._registry,
        )
        self.recorded = self._events.labels("recorded")
        self.not_sent = self._events.labels("not_sent")
        self.unknown = self._events.labels("unknown")
        self.refused = self._events.labels("refused")
        self.late = Counter(
            "sark_audit_publisher_deadline_exceeded",
            "Calls that were told NotRecorded because the broker had not answered in time; an "
            "event that was on its way is counted by its outcome too, later.",
            registry=self._registry,
        )
        self.trimmed = Counter(
            "sark_audit_publisher_trimmed_events",
            "Audit events of which something was cut or replaced to fit the contract.",
            registry=self._registry,
        )
        self.acknowledge_seconds = Histogram(
            "sark_audit_publisher_acknowledge_seconds",
            "Time from handing an event over to its acknowledgement by all replicas.",
            buckets=_SECONDS,
            registry=self._registry,
        )

    def unregister(self) -> None:
        """Leave the registry, so that the next publisher of this process can register."""
        for collector in (
            self._depth,
            self._capacity,
            self._drops,
            self._events,
            self.late,
            self.trimmed,
            self.acknowledge_seconds,
        ):
            self._registry.unregister(collector)
