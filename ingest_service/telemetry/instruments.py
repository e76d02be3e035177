"""Counters, gauges and histograms that take a whole batch under one lock.

prometheus_client's own cost 1-2 us an increment (four an event would cost more than decoding and
COPY together), and its histogram has no "observe n times". These keep plain dictionaries and
render them when scraped; a scrape never sees half a batch.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from itertools import accumulate, product
from threading import Lock
from typing import Any, ClassVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from ingest_service.telemetry.metrics import OTHER, Declaration, Label

Labels = tuple[str, ...]


class _Bound:
    """A label's first `most` distinct values pass; the rest become `other`, so memory is bounded.

    Who comes first stays: a flood of invented names can hide a new server behind `other` until
    the worker restarts, but it can not grow the exposition.
    """

    def __init__(self, label: Label) -> None:
        self._most = label.most
        self._seen: set[str] = set(label.known)

    def __call__(self, value: str) -> str:
        if self._most is None or value in self._seen:
            return value
        if len(self._seen) >= self._most:
            return OTHER
        self._seen.add(value)
        return value


class _Instrument(Collector):
    _family: ClassVar[Any]

    def __init__(self, declaration: Declaration, registry: CollectorRegistry) -> None:
        self._declaration = declaration
        self._names = [label.name for label in declaration.labels]
        self._bounds = [_Bound(label) for label in declaration.labels]
        self._lock = Lock()
        registry.register(self)

    def describe(self) -> list[Any]:
        """Name the family, so that a registry refuses a second of this name."""
        name = self._declaration.name.removesuffix("_total")  # the library adds it to a counter's
        return [self._family(name, self._declaration.help, labels=self._names)]

    def _key(self, labels: Labels) -> Labels:
        """Return the labels with each at its bound; a wrong number of them is a bug of ours."""
        return tuple(bound(value) for bound, value in zip(self._bounds, labels, strict=True))

    def _known(self) -> Iterable[Labels]:
        """List the series that are shown from the start."""
        return product(*(label.known for label in self._declaration.labels))


class _Numbers(_Instrument):
    _values: dict[Labels, Any]

    def collect(self) -> Iterable[Metric]:
        """Render each series' number."""
        [family] = self.describe()
        with self._lock:
            values = list(self._values.items())
        for labels, value in values:
            family.add_metric(labels, value)
        return [family]


class Counter(_Numbers):
    """Counts that only grow."""

    _family = CounterMetricFamily

    def __init__(self, declaration: Declaration, registry: CollectorRegistry) -> None:
        super().__init__(declaration, registry)
        self._values = Tally(dict.fromkeys(self._known(), 0))

    def add(self, counts: Mapping[Labels, int]) -> None:
        """Add a batch's counts, by label values in the declaration's order."""
        with self._lock:
            for labels, count in counts.items():
                self._values[self._key(labels)] += count


class Gauge(_Numbers):
    """Last values."""

    _family = GaugeMetricFamily

    def __init__(self, declaration: Declaration, registry: CollectorRegistry) -> None:
        super().__init__(declaration, registry)
        self._values = {}

    def set(self, labels: Labels, value: float) -> None:
        """Show this value from now on."""
        with self._lock:
            self._values[self._key(labels)] = value

    def get(self, labels: Labels) -> float | None:
        """Return the last value, if there is one."""
        return self._values.get(labels)

    def forget(self, labels: Labels) -> None:
        """Stop showing this series: it is somebody else's now."""
        with self._lock:
            self._values.pop(labels, None)


class Histogram(_Instrument):
    """Distributions over the declaration's buckets."""

    _family = HistogramMetricFamily

    def __init__(self, declaration: Declaration, registry: CollectorRegistry) -> None:
        super().__init__(declaration, registry)
        self._upper = declaration.buckets
        self._series: dict[Labels, tuple[list[int], float]] = {
            labels: self._empty() for labels in self._known()
        }

    def observe(self, values: Mapping[float, int], labels: Labels = ()) -> None:
        """Add a batch of observations: each value, and how often it was seen."""
        with self._lock:
            key = self._key(labels)
            counts, total = self._series.get(key) or self._empty()
            for value, count in values.items():
                counts[bisect_left(self._upper, value)] += count
                total += value * count
            self._series[key] = counts, total

    def collect(self) -> Iterable[Metric]:
        """Render the buckets, cumulative as Prometheus wants them."""
        [family] = self.describe()
        bounds = [*map(floatToGoString, self._upper), "+Inf"]
        with self._lock:
            series = [(key, [*accumulate(c)], total) for key, (c, total) in self._series.items()]
        for labels, cumulative, total in series:
            buckets = [(bound, float(n)) for bound, n in zip(bounds, cumulative, strict=True)]
            family.add_metric(labels, buckets, total)
        return [family]

    def _empty(self) -> tuple[list[int], float]:
        return [0] * (len(self._upper) + 1), 0.0
