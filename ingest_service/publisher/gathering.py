"""What only the gateway knows, gathered between two events: counts, latencies, last values.

Counters and histograms leave as deltas. A delta is handed out once; the one who carried it says
whether it arrived. What did not arrive is put back, so nothing is lost and nothing is told twice.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from ingest_service.publisher.text import as_text
from ingest_service.telemetry.metrics import TOLD
from ingest_service.telemetry.metrics_labels import LATENCY_SECONDS

_MAX_SERIES = 500
_MAX_LABEL = 128
_OTHER = "other"

Series = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class Histogram:
    """Observations by bucket (not cumulative; the last one has no upper bound), and their sum."""

    bounds: Sequence[float]
    counts: list[int] = field(init=False)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def add(self, other: "Histogram") -> None:
        """Count another histogram's observations too."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


@dataclass(slots=True)
class Telemetry:
    """Deltas since the last `take`, and the gauges' last values; true when there are deltas.

    At most 500 series each: beyond that, label values become `other`, so a caller who makes up
    names fills neither the memory nor the event.
    """

    counters: dict[Series, float] = field(default_factory=dict)
    histograms: dict[Series, Histogram] = field(default_factory=dict)
    gauges: dict[Series, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.counters or self.histograms)

    def count(self, name: str, labels: dict[str, str], amount: float = 1) -> None:
        """Add to a counter."""
        _check(amount)
        series = _series(name, labels, self.counters)
        self.counters[series] = self.counters.get(series, 0) + amount

    def observe(self, name: str, labels: dict[str, str], seconds: float) -> None:
        """Add one observation to a histogram."""
        _check(seconds)
        series = _series(name, labels, self.histograms)
        self.histograms.setdefault(series, Histogram(_bounds(name))).observe(seconds)

    def set(self, name: str, labels: dict[str, str], value: float) -> None:
        """Remember a gauge's value."""
        _check(value)
        self.gauges[_series(name, labels, self.gauges)] = value

    def take(self) -> "Telemetry":
        """Hand out what was gathered; what is gathered from now on is the next delta."""
        taken = Telemetry(self.counters, self.histograms, dict(self.gauges))
        self.counters, self.histograms = {}, {}
        return taken

    def put_back(self, taken: "Telemetry") -> None:
        """Take back the deltas that did not arrive; a gauge tells its last value anyway."""
        for series, amount in taken.counters.items():
            self.counters[series] = self.counters.get(series, 0) + amount
        for series, histogram in taken.histograms.items():
            self.histograms.setdefault(series, Histogram(histogram.bounds)).add(histogram)

    def as_json(self) -> dict[str, Any]:
        """Return the value of `metadata.telemetry`; kinds without series are left out."""
        kinds: dict[str, list[dict[str, Any]]] = {
            "counters": [_named(key, delta=delta) for key, delta in self.counters.items()],
            "histograms": [
                _named(key, bounds=histogram.bounds, deltas=histogram.counts, sum=histogram.sum)
                for key, histogram in self.histograms.items()
            ],
            "gauges": [_named(key, value=value) for key, value in self.gauges.items()],
        }
        return {kind: series for kind, series in kinds.items() if series}


def _bounds(name: str) -> Sequence[float]:
    """Return the buckets of the metric that shows it: told so, nothing is lost on the way."""
    metric = TOLD.get(name)
    return metric.buckets if metric is not None and metric.buckets else LATENCY_SECONDS


def _check(value: float) -> None:
    if not isfinite(value):
        raise ValueError(f"a metric's value must be a finite number, and is {value}")


def _series(name: str, labels: dict[str, str], known: dict[Series, Any]) -> Series:
    values = tuple((label, as_text(str(value)[:_MAX_LABEL])) for label, value in labels.items())
    if len(known) >= _MAX_SERIES and (name, values) not in known:
        return name, tuple((label, _OTHER) for label, _ in values)
    return name, values


def _named(series: Series, **values: Any) -> dict[str, Any]:
    name, labels = series
    return {"name": name, "labels": dict(labels), **values}
