"""How long to wait, when a batch is due, which token is used: time is an argument."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.errors import SetupError
from ingest_service.forward.batching import (
    LINGER_SECONDS,
    entries_to_gather,
    is_due,
    seconds_to_linger,
)
from ingest_service.forward.ports import Limits
from ingest_service.forward.retry import LONGEST_ASKED_SECONDS, backoff_seconds
from ingest_service.forward.secrets import FreshSecret

LIMITS = Limits(max_entries=1000, max_bytes=10_000, max_entry_bytes=5_000)


# --- retry ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempt", "ceiling"), [(1, 0.5), (2, 1.0), (4, 4.0), (7, 30.0), (10_000, 30.0)]
)
def test_backoff_doubles_to_half_a_minute_with_full_jitter(attempt: int, ceiling: float):
    """Many workers spread over the whole wait, and none waits longer than its ceiling."""
    rng = Random(1)
    waits = [backoff_seconds(attempt, rng) for _ in range(500)]
    assert max(waits) <= ceiling
    assert max(waits) > 0.95 * ceiling
    assert min(waits) < 0.05 * ceiling


@given(attempt=st.integers(1, 50), asked=st.floats(-1e9, 1e9), seed=st.integers(0, 9))
def test_sink_gets_the_patience_it_asks_for_within_bounds(attempt: int, asked: float, seed: int):
    """Never sooner than asked, but a sink that asks for a day does not get it."""
    wait = backoff_seconds(attempt, Random(seed), asked)
    assert min(max(asked, 0.0), LONGEST_ASKED_SECONDS) <= wait <= LONGEST_ASKED_SECONDS * 1.1


# --- batching ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "size_bytes", "age_seconds", "behind", "due"),
    [
        (99, 500, 0.5, False, False),
        (100, 500, 0.0, False, True),
        (100, 500, 0.5, True, False),
        (1000, 500, 0.0, True, True),
        (2, 10_000, 0.0, True, True),
        (1, 500, LINGER_SECONDS, False, True),
        (1, 500, LINGER_SECONDS, True, True),
        (0, 0, 100.0, False, False),
    ],
)
def test_batch_goes_when_it_is_full_or_old(
    entries: int, size_bytes: int, age_seconds: float, behind: bool, due: bool
):
    """A hundred events, the sink's bytes, or a second; with a backlog the sink's own limit."""
    assert is_due(entries, size_bytes, age_seconds, LIMITS, behind=behind) is due


@given(entries=st.integers(1, 99), age=st.floats(0, 100))
def test_waiting_ends_when_the_batch_is_due(entries: int, age: float):
    """Whoever waits as long as he is told finds the batch due; nobody waits longer."""
    wait = seconds_to_linger(entries, age)
    assert 0.0 <= wait <= LINGER_SECONDS
    assert (wait == 0.0) == is_due(entries, 1, age, LIMITS, behind=False)


def test_usual_batch_is_never_more_than_the_sink_takes():
    """A sink with small requests gets small ones."""
    small = Limits(max_entries=10, max_bytes=10, max_entry_bytes=10)
    assert entries_to_gather(small, behind=False) == 10
    assert seconds_to_linger(0, 100.0) == LINGER_SECONDS


# --- a token that is rotated ---------------------------------------------------------------------


class Rotated:
    """A token's file and a clock, both moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.text: str | None = "one"
        self.reads = 0
        self.secret = FreshSecret(self.read, lambda: self.now)

    def read(self) -> str:
        self.reads += 1
        if self.text is None:
            raise SetupError("INGEST_SPLUNK__TOKEN is not set")
        return self.text


def test_rotated_token_is_used_within_five_seconds():
    """A token that is replaced on disk needs no restart, and no reading at each request."""
    rotated = Rotated()
    assert rotated.secret() == "one"
    rotated.text = "two"
    rotated.now = 4.9
    assert (rotated.secret(), rotated.reads) == ("one", 1)
    rotated.now = 5.0
    assert (rotated.secret(), rotated.reads) == ("two", 2)


def test_token_that_is_gone_for_a_moment_is_still_used():
    """A file that is being replaced stops nothing; the sink says whether the old one is good."""
    rotated = Rotated()
    assert rotated.secret() == "one"
    rotated.text, rotated.now = None, 10.0
    assert (rotated.secret(), rotated.secret()) == ("one", "one")
    assert rotated.reads == 2


def test_token_that_never_was_is_said():
    """Without a token there is nothing to fall back on."""
    rotated = Rotated()
    rotated.text = None
    for _ in range(2):
        with pytest.raises(SetupError, match="INGEST_SPLUNK__TOKEN"):
            rotated.secret()
