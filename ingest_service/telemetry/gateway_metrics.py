"""The gateway's metrics as one persister shows them: what its committed rows say."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry

from ingest_service.events.record import Row
from ingest_service.telemetry import metrics_gateway as gateway
from ingest_service.telemetry.declaration import Declaration, Kind, Source
from ingest_service.telemetry.expiring import ExpiringGauge
from ingest_service.telemetry.instruments import Counter, Histogram
from ingest_service.telemetry.metrics_gateway import GATEWAY
from ingest_service.telemetry.metrics_gateway_told import GATEWAY_TOLD
from ingest_service.telemetry.metrics_persister import TELEMETRY_IGNORED
from ingest_service.telemetry.metrics_policy import POLICY
from ingest_service.telemetry.projection import Told, project
from ingest_service.telemetry.told import Reading, read_told

GAUGE_SECONDS: Final = 60.0
"""How long a gateway's last value is shown; it tells it every 15 s."""

_PROJECTED: Final = (Source.EVENTS, Source.TELEMETRY, Source.BOTH)


class GatewayMetrics:
    """Counts rows once each: call `count` after their commit, and never with duplicates."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        shown = [each for each in (*GATEWAY, *GATEWAY_TOLD, *POLICY) if each.source in _PROJECTED]
        self._counters = {each: Counter(each, registry) for each in _of(shown, Kind.COUNTER)}
        self._histograms = {each: Histogram(each, registry) for each in _of(shown, Kind.HISTOGRAM)}
        self._gauges = {
            each: ExpiringGauge(each, registry, GAUGE_SECONDS, clock)
            for each in _of(shown, Kind.GAUGE)
        }
        self._ignored = Counter(TELEMETRY_IGNORED, registry)

    def count(self, rows: Sequence[Row]) -> Mapping[tuple[str, ...], float]:
        """Count the rows; return how many there were of each event type."""
        batch = project(rows)
        for metric, counts in batch.counts.items():
            self._counters[metric].add(counts)
        self._histograms[gateway.AUTHZ_LATENCY].add(batch.latencies)
        for told in batch.told:
            self._hear(told)
        return batch.event_types

    def _hear(self, told: Told) -> None:
        reading = read_told(told.telemetry)
        for metric, counts in reading.counts.items():
            self._counters[metric].add(counts)
        for metric, distributions in reading.distributions.items():
            self._histograms[metric].add(distributions)
        self._show_gauges(reading, told.at)
        self._ignored.add({(why,): count for why, count in reading.ignored.items()})

    def _show_gauges(self, reading: Reading, at: float) -> None:
        for metric, values in reading.gauges.items():
            for labels, value in values.items():
                why = self._gauges[metric].set(labels, value, at)
                if why is not None:
                    self._ignored.add({(why,): 1})


def _of(shown: Iterable[Declaration], kind: Kind) -> Iterable[Declaration]:
    return (each for each in shown if each.kind is kind)
