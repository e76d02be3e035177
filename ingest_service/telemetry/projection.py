"""What a batch of committed rows adds to the gateway's metrics: a pure function, one pass.

Call it with rows that were written, after their commit, and never with duplicates: a worker that
replays must not count again. No user or agent id ever becomes a label.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Raw

from ingest_service.events.record import Row
from ingest_service.telemetry.counting import Alike, adds_to
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
    groups, timings, told = _grouped(rows)
    event_types: Counter[Labels] = Counter()
    counts: dict[Declaration, dict[Labels, float]] = defaultdict(dict)
    timed: dict[Labels, list[float]] = defaultdict(list)
    for alike, latencies in groups.items():
        event_types[alike.event_type,] += len(latencies)
        for metric, labels in adds_to(alike):
            series = counts[metric]
            series[labels] = series.get(labels, 0) + len(latencies)
        if alike.is_authorisation:
            sound = [ms for ms in latencies if ms is not None and 0 <= ms <= MAX_LATENCY_MS]
            timed[alike.action or NONE,] += sound
    spread_out = {
        action: _latency(sorted(values), timings, rows)
        for action, values in timed.items()
        if values
    }
    return Projection(event_types, counts, spread_out, told)


def _grouped(
    rows: Sequence[Row],
) -> tuple[Mapping[Alike, Sequence[float | None]], list[float | None], list[Told]]:
    """Return the latencies of the rows that count as the same, those of all rows, what was told.

    The only loop over rows: all that follows is done once for each kind of row.
    """
    groups: dict[tuple[object, ...], list[float | None]] = {}
    timings: list[float | None] = []
    told: list[Told] = []
    for row in rows:
        try:
            facts = read_facts(row.metadata)
        except UNREADABLE:
            facts = read_facts_carefully(row.metadata)
        key = (
            row.event_type,
            row.decision,
            row.server_name,
            row.tool_name,
            facts.action,
            facts.cache_hit,
            facts.source_type,
            facts.target_type,
            facts.error,
            facts.policy,
        )
        latencies = groups.get(key)
        if latencies is None:
            latencies = groups[key] = []
        latencies.append(facts.latency_ms)
        timings.append(facts.latency_ms)
        if facts.telemetry:
            told.append(Told(facts.telemetry, row.timestamp_us / 1e6))
    return {Alike._make(key): found for key, found in groups.items()}, timings, told


def _latency(
    values: Sequence[float], timings: list[float | None], rows: Sequence[Row]
) -> Distribution:
    """Return how these sorted latencies spread, with the slowest request as an example."""
    counts, slowest = spread(values, _BOUNDS_MS), values[-1]
    row = rows[timings.index(slowest)]
    bucket = max(n for n, count in enumerate(counts) if count)
    example = Example(row.gateway_request_id, slowest / 1000, row.timestamp_us / 1e6)
    return Distribution(counts, sum(values) / 1000, {bucket: example})
