"""What every worker shows, persister or forwarder: where the topic ends, and what it is itself."""

from collections import Counter
from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from ingest_service import __version__
from ingest_service.telemetry import metrics_persister as metrics
from ingest_service.telemetry.instruments import Gauge, Histogram


class TopicMetrics:
    """The end of every partition, not only of one's own: so one without an owner can be seen."""

    def __init__(self, registry: CollectorRegistry, role: str) -> None:
        self._end = Gauge(metrics.END_OFFSET, registry)
        self._retention = Gauge(metrics.TOPIC_RETENTION, registry)
        self._delay = Histogram(metrics.END_TO_END_DELAY, registry)
        Gauge(metrics.WORKER_INFO, registry).set((role, __version__), 1)

    def end_offsets(self, topic: str, ends: Mapping[int, int]) -> None:
        """Show where the partitions end, as the broker said, and no other ones."""
        self._end.replace({(topic, str(number)): end for number, end in ends.items()})

    def topic_retention(self, topic: str, seconds: float | None) -> None:
        """Show how long Kafka keeps a record; None is for ever."""
        self._retention.replace({} if seconds is None else {(topic,): seconds})

    def delays(self, seconds: Mapping[float, int]) -> None:
        """Count how long each record took from its Kafka time; a clock ahead of ours counts as 0.

        A value below 0 would make a sum shrink.
        """
        observed: Counter[float] = Counter()
        for value, count in seconds.items():
            observed[max(value, 0.0)] += count
        self._delay.observe(observed)
