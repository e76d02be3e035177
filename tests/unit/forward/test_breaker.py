"""The breaker: when a sink is left alone, and what one probe decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.forward.breaker import FAILURES_TO_OPEN, OPEN_SECONDS, Breaker, State


def asked(breaker: Breaker, now: float = 0.0) -> int:
    permit = breaker.ask(now)
    assert permit is not None
    return permit


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed(asked(breaker, now), now)
    assert breaker.state is State.OPEN
    return breaker


def test_five_failures_in_a_row_open_it():
    """Four do not, and a success between them begins the count anew."""
    breaker = Breaker()
    for _ in range(2):
        for _ in range(FAILURES_TO_OPEN - 1):
            breaker.failed(asked(breaker), 0.0)
        assert breaker.state is State.CLOSED
        breaker.succeeded(asked(breaker))
    assert (FAILURES_TO_OPEN, breaker.state) == (5, State.CLOSED)


def test_open_gives_no_permit_for_a_minute():
    """The sink is left alone, and says for how long."""
    breaker = opened(now=100.0)
    assert OPEN_SECONDS == 60.0
    assert breaker.ask(159.9) is None
    assert breaker.seconds_to_wait(130.0) == 30.0
    assert breaker.ask(160.0) is not None


def test_half_open_sends_one_probe():
    """Whoever asks while the probe is out waits for what comes of it."""
    breaker = opened()
    asked(breaker, 60.0)
    assert breaker.state is State.HALF_OPEN
    assert breaker.ask(60.0) is None
    assert breaker.ask(119.0) is None


def test_probe_that_succeeds_closes_it():
    """Everybody may send again, and five more failures are allowed."""
    breaker = opened()
    breaker.succeeded(asked(breaker, 60.0))
    assert breaker.state is State.CLOSED
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed(asked(breaker, 61.0), 61.0)
    assert breaker.state is State.CLOSED
    assert breaker.seconds_to_wait(61.0) == 0.0


@pytest.mark.parametrize("report", [Breaker.failed, Breaker.trip])
def test_probe_that_fails_opens_it_again(report):
    """For another minute, counted from the failure."""
    breaker = opened()
    report(breaker, asked(breaker, 60.0), 75.0)
    assert breaker.state is State.OPEN
    assert breaker.ask(134.9) is None
    assert breaker.ask(135.0) is not None


def test_probe_that_is_never_heard_of_is_void_after_a_minute():
    """A cancelled task does not keep the sink shut for ever; its late word counts for nothing."""
    breaker = opened()
    lost = asked(breaker, 60.0)
    second = asked(breaker, 120.0)
    breaker.succeeded(lost)
    assert breaker.state is State.HALF_OPEN
    breaker.succeeded(second)
    assert breaker.state is State.CLOSED


def test_our_own_mistake_opens_it_at_once():
    """Four more tries with a refused token would be four more alarms at the sink."""
    breaker = Breaker()
    breaker.trip(asked(breaker), 5.0)
    assert breaker.state is State.OPEN
    assert breaker.seconds_to_wait(5.0) == OPEN_SECONDS


def test_requests_in_flight_when_it_opened_change_nothing():
    """A late failure does not keep it open longer, a late success does not close it."""
    breaker = Breaker()
    early = asked(breaker)
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed(asked(breaker), 0.0)
    breaker.failed(early, 50.0)
    breaker.trip(early, 50.0)
    breaker.succeeded(early)
    assert breaker.state is State.OPEN
    assert breaker.seconds_to_wait(50.0) == 10.0
    breaker.succeeded(asked(breaker, 60.0))
    breaker.trip(early, 61.0)
    assert breaker.state is State.CLOSED


def test_states_are_the_metrics_numbers():
    """Dashboards and alerts read 0 closed, 1 half-open, 2 open."""
    assert [state.value for state in (State.CLOSED, State.HALF_OPEN, State.OPEN)] == [0, 1, 2]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "succeeded", "failed", "trip"]),
            st.integers(0, 5),
            st.integers(0, 40),
        )
    )
)
def test_it_never_stays_shut_and_never_floods(steps: list[tuple[str, int, int]]):
    """Whatever is reported in whatever order: one probe at a time, and a minute later there is one."""
    breaker, now, permits = Breaker(), 0.0, [0]
    for step, which, passed in steps:
        now += passed
        permit = permits[-1 - which % len(permits)]
        if step == "ask":
            given_permit = breaker.ask(now)
            if given_permit is not None:
                permits.append(given_permit)
                if breaker.state is State.HALF_OPEN:
                    assert breaker.ask(now) is None
        elif step == "succeeded":
            breaker.succeeded(permit)
        else:
            getattr(breaker, step)(permit, now)
        assert breaker.seconds_to_wait(now) <= OPEN_SECONDS
    assert breaker.ask(now + OPEN_SECONDS) is not None
