"""What a batch of committed rows adds to the gateway's metrics: a pure function, one pass.

Call it with rows that were written, after their commit, and never with duplicates: a worker that
replays must not count again. No user or agent id ever becomes a label.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Raw

from ingest_service.events.record import Row
from ingest_service.telemetry.counting import Addition, Alike, Call, adds_to, called
from ingest_service.telemetry.declaration import NONE, Declaration
from ingest_service.telemetry.distribution import Distribution, Example, spread
from ingest_service.telemetry.facts import UNREADABLE, read_facts, read_facts_carefully
from ingest_service.telemetry.metrics_labels import LATENCY_SECONDS

Labels = tuple[str, ...]
Counts = Mapping[Labels, float]

MAX_LATENCY_MS: Final = 86_400_000.0
"""What is longer than a day is a mistake of the gateway's, and would spoil the sum for ever."""

_BOUNDS_MS: Final = [1000 * seconds for seconds in LATENCY_SECONDS]


class Told(NamedTuple):
    """What a gateway told in `metadata.telemetry`, and when, in seconds by its own clock."""

    telemetry: Raw
    at: float


class Projection(NamedTuple):
    """What a batch adds: counts by label values in the order of each metric's declaration."""

    event_types: Counts
    counts: Mapping[Declaration, Counts]
    latencies: Mapping[Labels, Distribution]
    """By action."""
    told: Sequence[Told]


def project(rows: Sequence[Row]) -> Projection:
    """Count the rows by what their metrics are labelled with."""
    kinds, calls, timings, told = _grouped(rows)
    event_types: Counter[Labels] = Counter()
    counts: dict[Declaration, dict[Labels, float]] = defaultdict(dict)
    timed: dict[Labels, list[float]] = defaultdict(list)
    for alike, latencies in kinds.items():
        event_types[alike.event_type,] += len(latencies)
        _add(counts, adds_to(alike), len(latencies))
        if alike.is_authorisation:
            sound = [ms for ms in latencies if ms is not None and 0 <= ms <= MAX_LATENCY_MS]
            timed[alike.action or NONE,] += sound
    for call, count in calls.items():
        _add(counts, called(call), count)
    spread_out = {
        action: _latency(sorted(values), timings, rows)
        for action, values in timed.items()
        if values
    }
    return Projection(event_types, counts, spread_out, told)


def _add(
    counts: dict[Declaration, dict[Labels, float]], additions: Sequence[Addition], count: int
) -> None:
    for metric, labels in additions:
        series = counts[metric]
        series[labels] = series.get(labels, 0) + count


class _Grouped(NamedTuple):
    kinds: Mapping[Alike, Sequence[float | None]]
    """The latencies of the rows that count as the same."""
    calls: Mapping[Call, int]
    timings: list[float | None]
    """The latency of each row."""
    told: list[Told]


def _grouped(rows: Sequence[Row]) -> _Grouped:
    """Group the rows: the only loop over them, all that follows is done once for each kind."""
    kinds: defaultdict[tuple[object, ...], list[float | None]] = defaultdict(list)
    calls: list[tuple[object, ...]] = []
    timings: list[float | None] = []
    told: list[Told] = []
    for row in rows:
        try:
            facts = read_facts(row.metadata)
        except UNREADABLE:
            facts = read_facts_carefully(row.metadata)
        event_type, decision, action = row.event_type, row.decision, facts.action
        error, latency = facts.error, facts.latency_ms
        kinds[
            event_type,
            decision,
            action,
            facts.cache_hit,
            facts.source_type,
            facts.target_type,
            error,
            facts.policy,
        ].append(latency)
        calls.append(
            (event_type, decision, action, row.server_name, row.tool_name, error is not None)
        )
        timings.append(latency)
        if facts.telemetry:
            told.append(Told(facts.telemetry, row.timestamp_us / 1e6))
    return _Grouped(
        {Alike._make(key): found for key, found in kinds.items()},
        {Call._make(key): count for key, count in Counter(calls).items()},
        timings,
        told,
    )


def _latency(
    values: Sequence[float], timings: list[float | None], rows: Sequence[Row]
) -> Distribution:
    """Return how these sorted latencies spread, with the slowest request as an example."""
    counts, slowest = spread(values, _BOUNDS_MS), values[-1]
    row = rows[timings.index(slowest)]
    bucket = max(n for n, count in enumerate(counts) if count)
    example = Example(row.gateway_request_id, slowest / 1000, row.timestamp_us / 1e6)
    return Distribution(counts, sum(values) / 1000, {bucket: example})
