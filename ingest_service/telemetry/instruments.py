"""Counters, gauges and histograms that take a whole batch under one lock.

prometheus_client's own cost 1-2 us an increment (four an event would cost more than decoding and
COPY together), and its histogram has no "observe n times". These keep plain dictionaries and
render them when scraped; a scrape never sees half a batch.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate, product
from threading import Lock
from typing import Any, ClassVar, Final

from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from ingest_service.telemetry.bounds import LabelBounds, Labels
from ingest_service.telemetry.declaration import Declaration
from ingest_service.telemetry.distribution import Distribution, Example

_MOST_BOUNDED: Final = 8_192
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,99}")
"""OpenMetrics has room for 128 characters, and what looks otherwise is nobody's correlation id."""


class Instrument(Collector):
    """One declared metric in a registry, which refuses a second of its name."""

    _family: ClassVar[Any]

    def __init__(self, declaration: Declaration, registry: CollectorRegistry) -> None:
        self._declaration = declaration
        self._names = [label.name for label in declaration.labels]
        self._bounds = LabelBounds(declaration)
        self._lock = Lock()
        registry.register(self)

    def describe(self) -> list[Any]:
        """Name the family."""
        name = self._declaration.name.removesuffix("_total")  # the library adds it to a counter's
        return [self._family(name, self._declaration.help, labels=self._names)]

    def _shown(self) -> Iterable[Labels]:
        """List the series that are there from the start."""
        values = (label.values if label.shown else () for label in self._declaration.labels)
        return product(*values)


class _Numbers(Instrument):
    _values: dict[Labels, float]

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
        self._values = dict.fromkeys(self._shown(), 0)
        # What was bounded once is bounded so for ever, since no series of a counter goes.
        self._bounded: dict[Labels, Labels] = {}

    def add(self, counts: Mapping[Labels, float]) -> None:
        """Add a batch's counts, by label values in the declaration's order."""
        values, bounded = self._values, self._bounded
        with self._lock:
            for labels, count in counts.items():
                key = labels if labels in values else bounded.get(labels)
                if key is None:
                    key = self._bounds.of(labels, values)
                    if len(bounded) < _MOST_BOUNDED:
                        bounded[labels] = key
                values[key] = values.get(key, 0) + count


class Gauge(_Numbers):
    """Last values."""

    _family = GaugeMetricFamily

    def __init__(self, declaration: Declaration, registry: CollectorRegistry) -> None:
        super().__init__(declaration, registry)
        self._values = {}

    def set(self, labels: Labels, value: float) -> None:
        """Show this value from now on."""
        with self._lock:
            self._values[self._bounds.of(labels, self._values)] = value

    def replace(self, values: Mapping[Labels, float]) -> None:
        """Show these values from now on, and no others."""
        with self._lock:
            self._values = dict(values)

    def get(self, labels: Labels) -> float | None:
        """Return the last value, if there is one."""
        return self._values.get(labels)

    def forget(self, labels: Labels) -> None:
        """Stop showing this series: it is somebody else's now."""
        with self._lock:
            self._values.pop(labels, None)

    def forget_all(self, first: Labels) -> None:
        """Stop showing every series whose first labels are these."""
        with self._lock:
            for key in [key for key in self._values if key[: len(first)] == first]:
                del self._values[key]


class Histogram(Instrument):
    """Distributions over the declaration's buckets."""

    _family = HistogramMetricFamily

    def __init__(self, declaration: Declaration, registry: CollectorRegistry) -> None:
        super().__init__(declaration, registry)
        self._upper = declaration.buckets
        self._series = {labels: self._spread({}) for labels in self._shown()}

    def observe(self, values: Mapping[float, int], labels: Labels = ()) -> None:
        """Add a batch of observations: each value, and how often it was seen."""
        self.add({labels: self._spread(values)})

    def add(self, batch: Mapping[Labels, Distribution]) -> None:
        """Add distributions over the same buckets; their examples replace older ones."""
        with self._lock:
            for labels, more in batch.items():
                key = self._bounds.of(labels, self._series)
                before = self._series.get(key)
                self._series[key] = before + more if before else more

    def collect(self) -> Iterable[Metric]:
        """Render the buckets, cumulative as Prometheus wants them, with examples as exemplars."""
        [family] = self.describe()
        bounds = [*map(floatToGoString, self._upper), "+Inf"]
        with self._lock:
            series = list(self._series.items())
        for labels, found in series:
            cumulative = map(float, accumulate(found.counts))
            exemplars = [_exemplar(found.examples.get(n)) for n in range(len(bounds))]
            buckets = list(zip(bounds, cumulative, exemplars, strict=True))
            family.add_metric(labels, buckets, found.total)
        return [family]

    def _spread(self, values: Mapping[float, int]) -> Distribution:
        counts, total = [0] * (len(self._upper) + 1), 0.0
        for value, count in values.items():
            counts[bisect_left(self._upper, value)] += count
            total += value * count
        return Distribution(counts, total)


def _exemplar(example: Example | None) -> Exemplar | None:
    if example is None or not _REQUEST_ID.fullmatch(example.request_id):
        return None
    return Exemplar({"request_id": example.request_id}, example.value, example.at)
