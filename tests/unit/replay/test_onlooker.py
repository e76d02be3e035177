"""A person waits for a replay: it gives up where the worker would hold the offsets."""

from __future__ import annotations

import pytest

from ingest_service.errors import BrokerUnavailableError, SinkUnavailableError
from ingest_service.forward.breaker import State
from ingest_service.replay.onlooker import Onlooker

TRIES = 8


def test_sink_that_goes_on_failing_ends_the_replay() -> None:
    """After eight tries in a row, with the reason's code."""
    onlooker = Onlooker("splunk")
    for _ in range(TRIES - 1):
        onlooker.retried("busy")
    with pytest.raises(SinkUnavailableError, match=r"splunk.*busy"):
        onlooker.retried("busy")


def test_sink_that_works_now_and_then_is_waited_for() -> None:
    """An acceptance between failures begins the count anew."""
    onlooker = Onlooker("splunk")
    for _ in range(3):
        for _ in range(TRIES - 1):
            onlooker.retried("busy")
        onlooker.available(0.1)


def test_open_breaker_ends_the_replay_with_its_reason() -> None:
    """What only a person can mend is said at once; a breaker that closes is no news."""
    onlooker = Onlooker("splunk")
    onlooker.breaker(State.CLOSED, "")
    with pytest.raises(SinkUnavailableError, match="the token is disabled"):
        onlooker.breaker(State.OPEN, "the token is disabled")


def test_dead_letters_that_cannot_be_written_end_the_replay() -> None:
    """A refused record would have nowhere to go."""
    onlooker = Onlooker("splunk")
    onlooker.dead_letters_unavailable(None)
    with pytest.raises(BrokerUnavailableError, match="no leader"):
        onlooker.dead_letters_unavailable("no leader")
