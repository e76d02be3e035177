"""How observations spread over buckets, and are moved to other ones."""

from __future__ import annotations

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.telemetry.distribution import Distribution, Example, rebucketed, spread

values = st.lists(st.floats(0, 100, allow_nan=False), max_size=30)
bounds = st.lists(st.floats(0, 100, allow_nan=False), max_size=8, unique=True).map(sorted)


@given(values, bounds)
def test_each_value_is_in_the_first_bucket_that_holds_it(found: list, upper: list) -> None:
    """As Prometheus has it: a bound belongs to its own bucket."""
    one_by_one = [0] * (len(upper) + 1)
    for value in found:
        one_by_one[bisect_left(upper, value)] += 1
    assert spread(sorted(found), upper) == one_by_one


@given(values, bounds, bounds)
def test_moving_to_other_buckets_shortens_nothing(found: list, told: list, wanted: list) -> None:
    """Nothing is lost, and at each bound no more is counted than there was."""
    moved = rebucketed(spread(sorted(found), told), told, wanted)
    assert sum(moved) == len(found)
    for n, upper in enumerate(wanted):
        assert sum(moved[: n + 1]) <= sum(value <= upper for value in found)


@given(values, bounds)
def test_same_buckets_are_kept_as_they_are(found: list, upper: list) -> None:
    """A publisher of this version loses no precision."""
    counts = spread(sorted(found), upper)
    assert rebucketed(counts, upper, upper) == counts


def test_two_together_have_all_observations_and_the_newer_examples() -> None:
    """Adding changes neither of them."""
    first = Distribution([1, 0], 0.5, {0: Example("a", 0.5, 1), 1: Example("b", 9, 1)})
    both = first + Distribution([2, 3], 30.0, {1: Example("c", 8, 2)})
    assert (both.counts, both.total) == ([3, 3], 30.5)
    assert {n: each.request_id for n, each in both.examples.items()} == {0: "a", 1: "c"}
    assert first.counts == [1, 0]
