"""Gauges whose values others tell, and may stop telling."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import CollectorRegistry

from ingest_service.telemetry.bounds import Labels, short
from ingest_service.telemetry.declaration import Declaration
from ingest_service.telemetry.instruments import Instrument

TOO_OLD, TOO_MANY = "too_old", "too_many"

_LOOK_SECONDS: Final = 1.0


class _LastValue(NamedTuple):
    value: float
    at: float


class ExpiringGauge(Instrument):
    """Last values by gateway instance; what nobody has told again in time is gone.

    Events of one gateway come by several partitions, so they come out of order: the newest wins.
    There is no `other` here, since one last value for several gateways means nothing: when there
    is no place, a newcomer waits until somebody is gone. So replaced instances free their place.
    """

    _family = GaugeMetricFamily

    def __init__(
        self,
        declaration: Declaration,
        registry: CollectorRegistry,
        expire_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(declaration, registry)
        self._expire_seconds = expire_seconds
        self._clock = clock
        self._values: dict[Labels, _LastValue] = {}
        self._looked_at = 0.0

    def set(self, labels: Labels, value: float, at: float) -> str | None:
        """Show what was true at a time, in seconds since 1970; return why not, if not."""
        now = self._clock()
        at = min(at, now)  # a clock ahead of ours would hold its value for as long
        if at < now - self._expire_seconds:
            return TOO_OLD
        labels = tuple(map(short, labels))
        with self._lock:
            if labels not in self._values and not self._has_place(now):
                return TOO_MANY
            before = self._values.get(labels)
            if before is None or before.at <= at:
                self._values[labels] = _LastValue(value, at)
        return None

    def collect(self) -> Iterable[Metric]:
        """Render what has not expired."""
        [family] = self.describe()
        with self._lock:
            self._expire(self._clock())
            values = list(self._values.items())
        for labels, last in values:
            family.add_metric(labels, last.value)
        return [family]

    def _has_place(self, now: float) -> bool:
        full = len(self._values) >= self._declaration.most_series
        if full and now - self._looked_at >= _LOOK_SECONDS:  # a flood of names looks once
            self._looked_at = now
            self._expire(now)
        return len(self._values) < self._declaration.most_series

    def _expire(self, now: float) -> None:
        oldest = now - self._expire_seconds
        for key in [key for key, last in self._values.items() if last.at < oldest]:
            del self._values[key]
