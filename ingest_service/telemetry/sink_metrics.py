"""What a forwarder counts, by sink; one object and one registry a worker."""

from prometheus_client import CollectorRegistry

from ingest_service.telemetry import metrics_siem as metrics
from ingest_service.telemetry.instruments import Counter, Gauge, Histogram
from ingest_service.telemetry.topic_metrics import TopicMetrics


class SinkMetrics(TopicMetrics):
    """The instruments of all sinks of a worker. Any thread may call; the endpoint's scrapes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry, "forwarder")
        self.events = Counter(metrics.SINK_EVENTS, registry)
        self.duration = Histogram(metrics.SINK_DURATION, registry)
        self.batch = Histogram(metrics.SINK_BATCH, registry)
        self.retries = Counter(metrics.SINK_RETRIES, registry)
        self.status = Gauge(metrics.SINK_STATUS, registry)
        self.committed = Gauge(metrics.SINK_COMMITTED, registry)
        self.lag = Gauge(metrics.SINK_LAG, registry)
        self.stopped = Gauge(metrics.SINK_STOPPED, registry)
        self.backlog = Gauge(metrics.SINK_BACKLOG, registry)
        self.oldest = Gauge(metrics.SINK_OLDEST, registry)
        self.raw_bytes = Counter(metrics.SINK_RAW_BYTES, registry)
        self.sent_bytes = Counter(metrics.SINK_SENT_BYTES, registry)
        self.breaker = Gauge(metrics.SINK_BREAKER, registry)
        self.transitions = Counter(metrics.SINK_BREAKER_TRANSITIONS, registry)
        self.dead_letters = Counter(metrics.SINK_DEAD_LETTERS, registry)
        self.ack_pending = Gauge(metrics.SINK_ACK_PENDING, registry)
        self.ack_expired = Counter(metrics.SINK_ACK_EXPIRED, registry)
