"""What a batch of committed rows adds to the gateway's metrics: a pure function, one pass.

Call it with rows that were written, after their commit, and never with duplicates: a worker that
replays must not count again. No user or agent id ever becomes a label.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from ingest_service.events.record import Row
from ingest_service.telemetry.counting import Alike, adds_to
from ingest_service.telemetry.declaration import NONE, Declaration
from ingest_service.telemetry.distribution import Distribution, Example, spread
from ingest_service.telemetry.facts import Facts, read_facts, read_facts_carefully
from ingest_service.telemetry.metrics_labels import LATENCY_SECONDS

Counts = Mapping[tuple[str, ...], float]

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
    latencies: Mapping[tuple[str, ...], Distribution]
    """By action."""
    told: Sequence[Told]


def project(rows: Sequence[Row]) -> Projection:
    """Count the rows by what their metrics are labelled with."""
    facts = _facts_of(rows)
    event_types: Counter[tuple[str, ...]] = Counter()
    counts: dict[Declaration, Counter[tuple[str, ...]]] = defaultdict(Counter)
    latencies: dict[tuple[str, ...], Distribution] = {}
    for alike, places in _grouped(rows, facts).items():
        event_types[alike.event_type,] += len(places)
        for metric, labels in adds_to(alike):
            counts[metric][labels] += len(places)
        if alike.is_authorisation and (found := _latency(places, rows, facts)):
            action = (alike.action or NONE,)
            before = latencies.get(action)
            latencies[action] = before + found if before else found
    told = [
        Told(known.telemetry, row.timestamp_us / 1e6)
        for known, row in zip(facts, rows, strict=True)
        if known.telemetry
    ]
    return Projection(event_types, counts, latencies, told)


def _facts_of(rows: Sequence[Row]) -> list[Facts]:
    try:
        return [read_facts(row.metadata) for row in rows]
    except (msgspec.MsgspecError, ValueError, RecursionError):  # a call more a row is 10 % of all
        return [read_facts_carefully(row.metadata) for row in rows]


def _grouped(rows: Sequence[Row], facts: Sequence[Facts]) -> Mapping[Alike, Sequence[int]]:
    """Return the places of the rows that count as the same; what follows is done once for each."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, (row, known) in enumerate(zip(rows, facts, strict=True)):
        key = (
            row.event_type,
            row.decision,
            row.server_name,
            row.tool_name,
            known.action,
            known.cache_hit,
            known.source_type,
            known.target_type,
            known.error,
            known.policy,
        )
        places = groups.get(key)
        if places is None:
            groups[key] = [place]
        else:
            places.append(place)
    return {Alike._make(key): places for key, places in groups.items()}


def _latency(
    places: Sequence[int], rows: Sequence[Row], facts: Sequence[Facts]
) -> Distribution | None:
    """Return how the latencies spread, with the slowest request as an example."""
    timed = [(ms, n) for n in places if (ms := facts[n].latency_ms) is not None]
    values = sorted([ms for ms, _ in timed if 0 <= ms <= MAX_LATENCY_MS])
    if not values:
        return None
    counts, slowest = spread(values, _BOUNDS_MS), values[-1]
    row = rows[next(n for ms, n in timed if ms == slowest)]
    bucket = max(n for n, count in enumerate(counts) if count)
    example = Example(row.gateway_request_id, slowest / 1000, row.timestamp_us / 1e6)
    return Distribution(counts, sum(values) / 1000, {bucket: example})
