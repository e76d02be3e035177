"""What a gateway tells in `metadata.telemetry`, read as additions to declared metrics: pure.

Anybody who publishes may write anything there. What is of another shape, has no metric, or is no
number to add is left out and counted; its neighbours are read all the same.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Raw

from ingest_service.telemetry.declaration import NONE, Declaration, Kind
from ingest_service.telemetry.distribution import Distribution, rebucketed
from ingest_service.telemetry.metrics import TOLD
from ingest_service.telemetry.metrics_labels import GATEWAY_INSTANCE

MAX_SERIES: Final = 2000
"""Of one event; the publisher sends at most 501 of each kind."""
MAX_NUMBER: Final = 1e15
"""Beyond it a double can not count by ones any more: no gateway has counted that far."""

MALFORMED, UNKNOWN, BAD_VALUE, TOO_MANY = "malformed", "unknown_name", "bad_value", "too_many"

Labels = tuple[str, ...]


class Reading(NamedTuple):
    """What one event's telemetry adds, and how many of its values were left out, by why."""

    counts: Mapping[Declaration, Mapping[Labels, float]]
    distributions: Mapping[Declaration, Mapping[Labels, Distribution]]
    gauges: Mapping[Declaration, Mapping[Labels, float]]
    ignored: Mapping[str, int]


class _Telemetry(msgspec.Struct, gc=False):
    instance: str = NONE
    counters: list[Raw] = []
    histograms: list[Raw] = []
    gauges: list[Raw] = []


class _Series(msgspec.Struct, kw_only=True, gc=False):
    name: str
    labels: dict[str, str] = {}


class _Count(_Series, kw_only=True, gc=False):
    delta: float


class _Spread(_Series, kw_only=True, gc=False):
    bounds: list[float]
    deltas: list[int]
    sum: float


class _Value(_Series, kw_only=True, gc=False):
    value: float


_S = TypeVar("_S", bound=_Series)
_read: Final = msgspec.json.Decoder(_Telemetry).decode
_read_count: Final = msgspec.json.Decoder(_Count).decode
_read_spread: Final = msgspec.json.Decoder(_Spread).decode
_read_value: Final = msgspec.json.Decoder(_Value).decode


def read_told(telemetry: bytes | Raw) -> Reading:
    """Return what this telemetry adds to which metric."""
    reader = _Reader()
    try:
        told = _read(telemetry)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        reader.ignored[MALFORMED] += 1
    else:
        reader.read(told)
    return Reading(reader.counts, reader.distributions, reader.gauges, reader.ignored)


class _Reader:
    def __init__(self) -> None:
        self.counts: dict[Declaration, Counter[Labels]] = {}
        self.distributions: dict[Declaration, dict[Labels, Distribution]] = {}
        self.gauges: dict[Declaration, dict[Labels, float]] = {}
        self.ignored: Counter[str] = Counter()
        self._room = MAX_SERIES

    def read(self, told: _Telemetry) -> None:
        for metric, count in self._known(told.counters, Kind.COUNTER, _read_count):
            if self._adds(count.delta):
                labels = _labels(metric, count.labels, told.instance)
                self.counts.setdefault(metric, Counter())[labels] += count.delta  # type: ignore[assignment]  # a Counter adds floats, too
        for metric, seen in self._known(told.histograms, Kind.HISTOGRAM, _read_spread):
            found = self._distribution(metric, seen)
            if found is not None:
                labels = _labels(metric, seen.labels, told.instance)
                series = self.distributions.setdefault(metric, {})
                series[labels] = series[labels] + found if labels in series else found
        for metric, last in self._known(told.gauges, Kind.GAUGE, _read_value):
            if abs(last.value) <= MAX_NUMBER:
                labels = _labels(metric, last.labels, told.instance)
                self.gauges.setdefault(metric, {})[labels] = last.value
            else:
                self.ignored[BAD_VALUE] += 1

    def _known(
        self, series: Sequence[Raw], kind: Kind, read: Callable[[Raw], _S]
    ) -> Iterable[tuple[Declaration, _S]]:
        """Yield each series of a declared name and its kind, as long as there is room."""
        taken, self._room = series[: self._room], max(0, self._room - len(series))
        self.ignored[TOO_MANY] += len(series) - len(taken)
        for one in taken:
            try:
                found = read(one)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                self.ignored[MALFORMED] += 1
                continue
            metric = TOLD.get(found.name)
            if metric is None or metric.kind is not kind:
                self.ignored[UNKNOWN] += 1
            else:
                yield metric, found

    def _adds(self, *numbers: float) -> bool:
        """Say whether these can be added to a counter, which only grows."""
        if all(0 <= number <= MAX_NUMBER for number in numbers):
            return True
        self.ignored[BAD_VALUE] += 1
        return False

    def _distribution(self, metric: Declaration, seen: _Spread) -> Distribution | None:
        if len(seen.deltas) != len(seen.bounds) + 1 or seen.bounds != sorted(seen.bounds):
            self.ignored[MALFORMED] += 1
            return None
        if not self._adds(seen.sum, *seen.deltas):
            return None
        return Distribution(rebucketed(seen.deltas, seen.bounds, metric.buckets), seen.sum)


def _labels(metric: Declaration, told: Mapping[str, str], instance: str) -> Labels:
    """Return the declared labels in their order; what was told beside them has no place."""
    found: dict[str, Any] = {**told, GATEWAY_INSTANCE.name: instance}
    return tuple(found.get(label.name, NONE) for label in metric.labels)
