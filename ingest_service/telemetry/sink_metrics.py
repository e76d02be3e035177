"""What a forwarder counts, by sink; one object and one registry a worker."""

from collections import Counter as Tally
from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from ingest_service.telemetry import metrics_persister, metrics_siem
from ingest_service.telemetry.instruments import Counter, Gauge, Histogram


class SinkMetrics:
    """The instruments of all sinks of a worker. Any thread may call; the endpoint's scrapes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(metrics_siem.SINK_EVENTS, registry)
        self.duration = Histogram(metrics_siem.SINK_DURATION, registry)
        self.batch = Histogram(metrics_siem.SINK_BATCH, registry)
        self.retries = Counter(metrics_siem.SINK_RETRIES, registry)
        self.status = Gauge(metrics_siem.SINK_STATUS, registry)
        self.backlog = Gauge(metrics_siem.SINK_BACKLOG, registry)
        self.oldest = Gauge(metrics_siem.SINK_OLDEST, registry)
        self.raw_bytes = Counter(metrics_siem.SINK_RAW_BYTES, registry)
        self.sent_bytes = Counter(metrics_siem.SINK_SENT_BYTES, registry)
        self.breaker = Gauge(metrics_siem.SINK_BREAKER, registry)
        self.transitions = Counter(metrics_siem.SINK_BREAKER_TRANSITIONS, registry)
        self.dead_letters = Counter(metrics_siem.SINK_DEAD_LETTERS, registry)
        self.ack_pending = Gauge(metrics_siem.SINK_ACK_PENDING, registry)
        self.ack_expired = Counter(metrics_siem.SINK_ACK_EXPIRED, registry)
        self.end = Gauge(metrics_persister.END_OFFSET, registry)
        self._delay = Histogram(metrics_persister.END_TO_END_DELAY, registry)

    def delays(self, seconds: Mapping[float, int]) -> None:
        """Count how long each record took from its Kafka time to its sink."""
        observed: Tally[float] = Tally()
        for value, count in seconds.items():
            observed[max(value, 0.0)] += count
        self._delay.observe(observed)
