"""Deltas are handed out once, and come back whole when they did not arrive."""

import math
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.publisher.gathering import Telemetry
from ingest_service.telemetry.metrics_labels import DURATION_SECONDS, LATENCY_SECONDS


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["count", "lost", "arrived"]))))
def test_every_count_is_told_exactly_once(steps: list[tuple[str, str]]) -> None:
    """However takes, losses and arrivals interleave, what arrived plus what is left is the truth."""
    telemetry = Telemetry()
    counted: Counter[str] = Counter()
    arrived: Counter[str] = Counter()
    for name, step in steps:
        if step == "count":
            telemetry.count(name, {})
            counted[name] += 1
        elif step == "lost":
            telemetry.put_back(telemetry.take())
        else:
            taken = telemetry.take()
            arrived.update({key[0]: int(value) for key, value in taken.counters.items()})
    left = telemetry.take()
    arrived.update({key[0]: int(value) for key, value in left.counters.items()})
    assert arrived == counted


def test_a_late_loss_adds_to_what_was_gathered_since() -> None:
    """Counts and observations made meanwhile stay; the lost ones join them."""
    telemetry = Telemetry()
    telemetry.count("hits", {}, 2)
    telemetry.observe("latency", {}, 0.004)
    taken = telemetry.take()
    telemetry.count("hits", {}, 3)
    telemetry.observe("latency", {}, 0.004)
    telemetry.put_back(taken)
    told = telemetry.as_json()
    assert told["counters"][0]["delta"] == 5
    assert told["histograms"][0]["deltas"][0] == 2
    assert told["histograms"][0]["sum"] == pytest.approx(0.008)


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0, 0), (0.005, 0), (0.0051, 1), (1.0, 7), (1.1, 8), (60, 8)]
)
def test_observations_fall_into_the_bucket_that_bounds_them(seconds: float, bucket: int) -> None:
    """A bound belongs to its own bucket, as in Prometheus; beyond the last there is one more."""
    telemetry = Telemetry()
    telemetry.observe("latency", {}, seconds)
    deltas = telemetry.as_json()["histograms"][0]["deltas"]
    assert deltas.index(1) == bucket
    assert len(deltas) == len(LATENCY_SECONDS) + 1


def test_histogram_has_the_buckets_of_its_metric() -> None:
    """A tool may take half a minute: told in the buckets that show it, nothing is lost."""
    telemetry = Telemetry()
    telemetry.observe("tool_execution_duration_seconds", {}, 20)
    telemetry.put_back(telemetry.take())
    [series] = telemetry.as_json()["histograms"]
    assert series["bounds"] == DURATION_SECONDS
    assert series["deltas"] == [0] * (len(DURATION_SECONDS) - 1) + [1, 0]


def test_gauges_tell_their_last_value_each_time() -> None:
    """A gauge is no delta: it is told again until it changes."""
    telemetry = Telemetry()
    telemetry.set("connections", {}, 3)
    telemetry.set("connections", {}, 5)
    for _ in range(2):
        assert telemetry.take().as_json() == {
            "gauges": [{"name": "connections", "labels": {}, "value": 5}]
        }


def test_made_up_labels_end_as_other() -> None:
    """A caller who makes up server names fills neither the memory nor the event."""
    telemetry = Telemetry()
    for number in range(2000):
        telemetry.count("authorizations", {"server": f"server-{number}"})
    series = telemetry.as_json()["counters"]
    assert len(series) == 501
    assert series[-1] == {
        "name": "authorizations",
        "labels": {"server": "other"},
        "delta": 1500,
    }


def test_labels_are_text_that_can_be_sent() -> None:
    """A lone surrogate or an endless name in a label does not keep the event from its encoding."""
    telemetry = Telemetry()
    telemetry.count("authorizations", {"server": "\ud800" + "x" * 1000})
    [series] = telemetry.as_json()["counters"]
    assert series["labels"]["server"] == "\ufffd" + "x" * 127
    msgspec.json.encode(telemetry.as_json())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_refused(value: float) -> None:
    """One NaN would spoil every sum that it is added to."""
    telemetry = Telemetry()
    with pytest.raises(ValueError, match="finite"):
        telemetry.observe("latency", {}, value)
    with pytest.raises(ValueError, match="finite"):
        telemetry.set("connections", {}, value)
    assert not telemetry
