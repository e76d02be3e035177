"""Waiting before another try: longer each time, never together, never for ever."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.persist import retry

FIRST, LONGEST = retry._FIRST_SECONDS, retry._LONGEST_SECONDS


@given(attempt=st.integers(1, 10**9), seed=st.integers())
def test_wait_is_bounded_and_never_nothing(attempt: int, seed: int):
    """However often it failed, the next try comes, and does not come at once."""
    seconds = retry.backoff_seconds(attempt, Random(seed))
    assert retry._FIRST_SECONDS / 2 <= seconds <= retry._LONGEST_SECONDS


@given(seed=st.integers())
def test_wait_doubles(seed: int):
    """The same luck waits twice as long after each failure, up to the longest wait."""
    first, second = (retry.backoff_seconds(n, Random(seed)) for n in (1, 2))
    assert second == first * 2


def test_workers_do_not_come_back_together():
    """Jitter spreads those that failed at the same moment."""
    assert len({retry.backoff_seconds(5, Random(seed)) for seed in range(20)}) == 20


def test_outage_is_noticed_to_be_over_within_seconds():
    """What an operator waits for after an outage is seconds, not minutes."""
    assert (FIRST, LONGEST) == (0.1, 5.0)
