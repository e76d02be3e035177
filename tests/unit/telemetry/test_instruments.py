from __future__ import annotations

from collections import Counter as Tally
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from ingest_service.telemetry.declaration import OTHER, Kind, Source
from ingest_service.telemetry.instruments import Counter, Gauge, Histogram
from ingest_service.telemetry.metrics import CATALOGUE
from ingest_service.telemetry.metrics_gateway import AUTHZ_REQUESTS
from ingest_service.telemetry.metrics_persister import (
    CONSUMER_LAG,
    DUPLICATES,
    END_TO_END_DELAY,
    EVENTS_WRITTEN,
    QUARANTINED,
)

delays = st.lists(st.floats(0, 1e6, allow_nan=False), max_size=50)


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_hostile_label_values_are_bounded() -> None:
    """100,000 invented values make no more series than declared, and lose no count."""
    registry = CollectorRegistry()
    counter = Counter(AUTHZ_REQUESTS, registry)
    for start in range(0, 100_000, 1000):
        counter.add({(f"d{n}", f"a{n}", f"s{n}"): 1 for n in range(start, start + 1000)})
    found = samples(registry)
    assert len(found) <= AUTHZ_REQUESTS.most_series + 1
    assert sum(found.values()) == 100_000
    assert found["sark_gateway_authz_requests_total", (OTHER, OTHER, OTHER)] > 99_000


def test_every_label_from_events_is_bounded() -> None:
    """What an event or a gateway says is a label's value only within a bound."""
    for declaration in CATALOGUE:
        if declaration.source in {Source.EVENTS, Source.TELEMETRY, Source.BOTH}:
            for label in declaration.labels:
                assert label.most or label.values, (declaration.name, label.name)


def test_known_values_keep_their_label_after_the_bound() -> None:
    """A value that was there before the flood goes on being counted by its name."""
    registry = CollectorRegistry()
    counter = Counter(EVENTS_WRITTEN, registry)
    counter.add({("tool_invoke", "database"): 1})
    counter.add({(f"e{n}", "database"): 1 for n in range(100)})
    counter.add({("tool_invoke", "database"): 1})
    assert samples(registry)["sark_audit_events_written_total", ("tool_invoke", "database")] == 2


def test_known_series_are_shown_from_the_start() -> None:
    """A counter whose values are known shows each at 0, so a rate sees the first of them."""
    registry = CollectorRegistry()
    Counter(QUARANTINED, registry)
    Counter(DUPLICATES, registry)
    found = samples(registry)
    assert found["sark_audit_quarantined_total", ("not_json",)] == 0
    assert found["sark_audit_duplicates_total", ()] == 0


def test_wrong_number_of_labels_is_refused() -> None:
    """A caller that forgets a label is a bug, and never a series of another shape."""
    with pytest.raises(ValueError, match="argument"):
        Counter(DUPLICATES, CollectorRegistry()).add({("surplus",): 1})


def test_same_name_twice_is_refused() -> None:
    """Two instruments of one name in a registry would answer a scrape with nonsense."""
    registry = CollectorRegistry()
    Gauge(CONSUMER_LAG, registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Gauge(CONSUMER_LAG, registry)


@given(st.lists(delays, max_size=5))
def test_histogram_holds_every_observation(batches: list[list[float]]) -> None:
    """Buckets are cumulative, count at most their bound, and end at the number observed."""
    registry = CollectorRegistry()
    histogram = Histogram(END_TO_END_DELAY, registry)
    for batch in batches:
        histogram.observe(Tally(batch))
    [family] = registry.collect()
    buckets = [(s.labels["le"], s.value) for s in family.samples if s.name.endswith("_bucket")]
    everything = [value for batch in batches for value in batch]
    for bound, count in buckets:
        assert count == sum(value <= float(bound) for value in everything)
    assert all(before[1] <= after[1] for before, after in pairwise(buckets))
    total = next(s.value for s in family.samples if s.name.endswith("_sum"))
    assert total == pytest.approx(sum(everything))


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=60))
def test_exposition_has_one_line_a_series_whatever_the_values(names: list) -> None:
    """Quotes, line breaks and control characters in a value break no line of the exposition."""
    registry = CollectorRegistry()
    Counter(EVENTS_WRITTEN, registry).add(Tally(names))
    text = generate_latest(registry).decode()
    lines = [line for line in text.split("\n") if line.startswith("sark_")]
    assert len(lines) == len(samples(registry))


def test_names_follow_prometheus() -> None:
    """Counters end in _total, histograms have buckets that rise, names are used once."""
    assert len({declaration.name for declaration in CATALOGUE}) == len(CATALOGUE)
    for declaration in CATALOGUE:
        assert (declaration.kind is Kind.COUNTER) == declaration.name.endswith("_total")
        assert (declaration.kind is Kind.HISTOGRAM) == bool(declaration.buckets)
        assert list(declaration.buckets) == sorted(set(declaration.buckets))
        assert not {"user", "user_id", "agent_id"} & {label.name for label in declaration.labels}
