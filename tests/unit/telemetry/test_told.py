"""What gateways tell in `metadata.telemetry` is added to the declared metrics, and to no others."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.publisher.gathering import Telemetry
from ingest_service.telemetry import metrics_gateway, told
from ingest_service.telemetry import metrics_gateway_told as gateway
from ingest_service.telemetry.declaration import Kind
from ingest_service.telemetry.metrics import TOLD
from ingest_service.telemetry.told import Reading, read_told


def read(**kinds: object) -> Reading:
    return read_told(msgspec.json.encode({"instance": "gw-1", **kinds}))


def ignored(reading: Reading) -> dict[str, int]:
    return {why: count for why, count in reading.ignored.items() if count}


def test_deltas_add_up_and_labels_are_the_declared_ones() -> None:
    """A label that the metric does not have is dropped, and one that is missing is none."""
    reading = read(
        counters=[
            {"name": "errors", "labels": {"error_type": "io", "surplus": "x"}, "delta": 2},
            {"name": "errors", "labels": {"error_type": "io"}, "delta": 3},
        ]
    )
    assert reading.counts == {gateway.ERRORS: {("io", "none", "none"): 5}}
    assert not ignored(reading)


def test_gauges_are_of_their_gateway() -> None:
    """The instance is told once for all, and no label of a series can forge another's."""
    labels = {"connection_type": "sse", "gateway_instance": "somebody-else"}
    reading = read(gauges=[{"name": "active_connections", "labels": labels, "value": 7}])
    assert reading.gauges == {gateway.ACTIVE_CONNECTIONS: {("sse", "gw-1"): 7}}


def test_histogram_with_other_bounds_counts_at_its_own_upper_ends() -> None:
    """A latency may be shown longer than it was, and never shorter."""
    reading = read(
        histograms=[
            {
                "name": "authorization_latency_seconds",
                "labels": {"action": "invoke"},
                "bounds": [0.007, 0.05, 3],
                "deltas": [1, 2, 4, 8],
                "sum": 40.5,
            }
        ]
    )
    [(labels, found)] = reading.distributions[metrics_gateway.AUTHZ_LATENCY].items()
    assert labels == ("invoke",)
    assert (found.counts, found.total) == ([0, 1, 0, 2, 0, 0, 0, 0, 12], 40.5)


@pytest.mark.parametrize(
    ("series", "why"),
    [
        ({"name": "no_such_metric", "delta": 1}, "unknown_name"),
        ({"name": "active_connections", "delta": 1}, "unknown_name"),
        ({"name": "errors", "delta": -1}, "bad_value"),
        ({"name": "errors", "delta": 1e300}, "bad_value"),
        ({"name": "errors", "delta": "1"}, "malformed"),
        ({"name": "errors", "labels": {"error_type": 1}, "delta": 1}, "malformed"),
        ({"name": "errors"}, "malformed"),
        (7, "malformed"),
    ],
)
def test_what_cannot_be_added_is_counted_and_hides_no_neighbour(series: object, why: str) -> None:
    """Each value that is left out is counted by why."""
    good = {"name": "errors", "labels": {}, "delta": 1}
    reading = read(counters=[series, good])
    assert ignored(reading) == {why: 1}
    assert reading.counts == {gateway.ERRORS: {("none",) * 3: 1}}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"deltas": [1, 2]}, "malformed"),
        ({"bounds": [2, 1]}, "malformed"),
        ({"deltas": [1, 2, -1]}, "bad_value"),
        ({"sum": -1}, "bad_value"),
        ({"deltas": [1.5, 2, 3]}, "malformed"),
    ],
)
def test_histogram_that_is_none_is_left_out(fields: dict, why: str) -> None:
    """Counts of another number than buckets, or below zero, would break every sum."""
    series = {"name": "authorization_latency_seconds", "bounds": [1, 2], "deltas": [1, 2, 3]}
    reading = read(histograms=[series | {"sum": 1} | fields])
    assert ignored(reading) == {why: 1}
    assert not reading.distributions


def test_gauge_that_is_no_number_of_anything_is_left_out() -> None:
    """A gateway has never had so many connections."""
    reading = read(gauges=[{"name": "active_connections", "value": 1e16}])
    assert ignored(reading) == {"bad_value": 1}


def test_one_event_tells_a_bounded_number_of_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is counted and not read."""
    monkeypatch.setattr(told, "MAX_SERIES", 3)
    one = {"name": "errors", "delta": 1}
    reading = read(counters=[one] * 2, gauges=[{"name": "active_connections", "value": 1}] * 4)
    assert reading.counts[gateway.ERRORS] == {("none",) * 3: 2}
    assert ignored(reading) == {"too_many": 3}


@given(st.binary(max_size=50))
def test_whatever_was_written_there_is_survived(value: bytes) -> None:
    """Telemetry of another shape is one value that is left out."""
    assert not read_told(value).counts


def test_everything_told_arrives_as_the_publisher_writes_it() -> None:
    """Each metric that can be told takes what the publisher gathers under its name."""
    telemetry = Telemetry()
    for name, metric in TOLD.items():
        labels = {label.name: "allow" for label in metric.labels}
        if metric.kind is Kind.COUNTER:
            telemetry.count(name, labels, 2)
        elif metric.kind is Kind.HISTOGRAM:
            telemetry.observe(name, labels, 0.004)
        else:
            telemetry.set(name, labels, 3)
    reading = read(**telemetry.as_json())
    assert not ignored(reading)
    arrived = {*reading.counts, *reading.distributions, *reading.gauges}
    assert arrived == set(TOLD.values())
    for metric, series in reading.distributions.items():
        [found] = series.values()
        assert found.counts == [1] + [0] * len(metric.buckets)
