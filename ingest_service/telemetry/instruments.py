"""Counters, gauges and histograms that take a whole batch under one lock.

prometheus_client's own cost 1-2 us an increment (four an event would cost more than decoding and
COPY together), and its histogram has no "observe n times". These keep plain dictionaries and
render them when scraped; a scrape never sees half a batch.
"""

import time
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, product
from operator import add
from threading import Lock
from typing import Any, ClassVar, NamedTuple

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


class _Instrument(Collector):
    _family: ClassVar[Any]

    def __init__(self, declaration: Declaration, registry: CollectorRegistry) -> None:
        self._declaration = declaration
        self._names = [label.name for label in declaration.labels]
        self._bounds = LabelBounds(declaration)
        self._lock = Lock()
        registry.register(self)

    def describe(self) -> list[Any]:
        """Name the family, so that a registry refuses a second of this name."""
        name = self._declaration.name.removesuffix("_total")  # the library adds it to a counter's
        return [self._family(name, self._declaration.help, labels=self._names)]

    def _shown(self) -> Iterable[Labels]:
        """List the series that are there from the start."""
        values = (label.values if label.shown else () for label in self._declaration.labels)
        return product(*values)


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
        self._values = dict.fromkeys(self._shown(), 0)

    def add(self, counts: Mapping[Labels, float]) -> None:
        """Add a batch's counts, by label values in the declaration's order."""
        values = self._values
        with self._lock:
            for labels, count in counts.items():
                key = labels if labels in values else self._bounds.of(labels, values)
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

    def get(self, labels: Labels) -> float | None:
        """Return the last value, if there is one."""
        return self._values.get(labels)

    def forget(self, labels: Labels) -> None:
        """Stop showing this series: it is somebody else's now."""
        with self._lock:
            self._values.pop(labels, None)

    def forget_all(self, labels: Labels) -> None:
        """Stop showing every series whose first labels are these."""
        with self._lock:
            for key in [key for key in self._values if key[: len(labels)] == labels]:
                del self._values[key]


class _LastValue(NamedTuple):
    value: float
    at: float


class ExpiringGauge(_Instrument):
    """Last values that others tell, and may stop telling: what is older than its time is gone.

    Events of one gateway come by several partitions, so they come out of order: the newest wins.
    There is no `other` here, since the last value of several gateways together means nothing.
    """

    _family = GaugeMetricFamily

    def __init__(
        self,
        declaration: Declaration,
        registry: CollectorRegistry,
        expire_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(declaration, registry)
        self._expire_seconds = expire_seconds
        self._clock = clock
        self._values: dict[Labels, _LastValue] = {}

    def set(self, labels: Labels, value: float, at: float) -> bool:
        """Show what was true at a time, for a while; False when there is no place for it."""
        now = self._clock()
        at = min(at, now)  # a clock ahead of ours would hold its value for as long
        with self._lock:
            before = self._values.get(labels)
            if before is None and len(self._values) >= self._declaration.most_series:
                self._expire(now)
                if len(self._values) >= self._declaration.most_series:
                    return False
            if before is None or before.at <= at:
                self._values[labels] = _LastValue(value, at)
        return True

    def collect(self) -> Iterable[Metric]:
        """Render what has not expired."""
        [family] = self.describe()
        with self._lock:
            self._expire(self._clock())
            values = list(self._values.items())
        for labels, last in values:
            family.add_metric(labels, last.value)
        return [family]

    def _expire(self, now: float) -> None:
        oldest = now - self._expire_seconds
        for key in [key for key, last in self._values.items() if last.at < oldest]:
            del self._values[key]


@dataclass(slots=True)
class Distribution:
    """Observations by bucket (not cumulative, the last without a bound), and their sum."""

    counts: Sequence[int]
    total: float
    exemplars: Mapping[int, Exemplar] = field(default_factory=dict)
    """By bucket: one observation that fell into it, with the labels that lead to it."""


class Histogram(_Instrument):
    """Distributions over the declaration's buckets."""

    _family = HistogramMetricFamily

    def __init__(self, declaration: Declaration, registry: CollectorRegistry) -> None:
        super().__init__(declaration, registry)
        self._upper = declaration.buckets
        self._series: dict[Labels, Distribution] = {
            labels: self._empty() for labels in self._shown()
        }

    def observe(self, values: Mapping[float, int], labels: Labels = ()) -> None:
        """Add a batch of observations: each value, and how often it was seen."""
        counts, total = [0] * (len(self._upper) + 1), 0.0
        for value, count in values.items():
            counts[bisect_left(self._upper, value)] += count
            total += value * count
        self.add({labels: Distribution(counts, total)})

    def add(self, batch: Mapping[Labels, Distribution]) -> None:
        """Add distributions over the same buckets; their exemplars replace older ones."""
        with self._lock:
            for labels, more in batch.items():
                key = self._bounds.of(labels, self._series)
                before = self._series.get(key) or self._empty()
                self._series[key] = Distribution(
                    [*map(add, before.counts, more.counts)],
                    before.total + more.total,
                    {**before.exemplars, **more.exemplars},
                )

    def collect(self) -> Iterable[Metric]:
        """Render the buckets, cumulative as Prometheus wants them."""
        [family] = self.describe()
        bounds = [*map(floatToGoString, self._upper), "+Inf"]
        with self._lock:
            series = list(self._series.items())
        for labels, found in series:
            cumulative = map(float, accumulate(found.counts))
            exemplars = map(found.exemplars.get, range(len(bounds)))
            family.add_metric(
                labels, list(zip(bounds, cumulative, exemplars, strict=True)), found.total
            )
        return [family]

    def _empty(self) -> Distribution:
        return Distribution([0] * (len(self._upper) + 1), 0.0)


def tally_delays(seconds: Mapping[float, int]) -> Mapping[float, int]:
    """Return the delays with those of a clock ahead of ours as 0, or a sum would shrink."""
    observed: Tally[float] = Tally()
    for value, count in seconds.items():
        observed[max(value, 0.0)] += count
    return observed
