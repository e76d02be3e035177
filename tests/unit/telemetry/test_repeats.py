from __future__ import annotations

from collections import Counter

import structlog
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.telemetry import repeats
from ingest_service.telemetry.repeats import (
    LEFT_OUT,
    LIBRARY_WINDOW_SECONDS,
    TEMPLATE,
    WINDOW_SECONDS,
    Repeats,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def passed(limiter: Repeats, **event: object) -> dict | None:
    try:
        return dict(limiter(None, "", dict(event)))
    except structlog.DropEvent:
        return None


def test_event_is_written_at_once_and_then_once_a_window() -> None:
    """The first passes; the next after the window says how many did not."""
    clock = Clock()
    limiter = Repeats(clock)
    out = [passed(limiter, event="retry", n=n) for n in range(20)]
    assert [event for event in out if event] == [{"event": "retry", "n": 0}]
    clock.now = WINDOW_SECONDS
    assert passed(limiter, event="retry", n=20) == {"event": "retry", "n": 20, LEFT_OUT: 19}
    clock.now = 3 * WINDOW_SECONDS
    assert passed(limiter, event="retry", n=21) == {"event": "retry", "n": 21}


def test_last_of_a_burst_is_told_when_its_window_is_over() -> None:
    """How a burst ended is not lost because nothing follows it; it is told once."""
    clock = Clock()
    limiter = Repeats(clock)
    for n in range(4):
        passed(limiter, event="retry", n=n)
    assert limiter.overdue() == []
    clock.now = WINDOW_SECONDS
    assert limiter.overdue() == [{"event": "retry", "n": 3, LEFT_OUT: 3}]
    assert limiter.overdue() == []
    assert passed(limiter, event="retry") is None  # told just now


def test_everything_is_told_at_the_end() -> None:
    """A worker that ends waits for no window."""
    limiter = Repeats(Clock())
    for _ in range(2):
        passed(limiter, event="retry")
    assert limiter.overdue(all_of_them=True) == [{"event": "retry", LEFT_OUT: 1}]


def test_other_places_are_other_events() -> None:
    """One partition's, sink's or dependency's noise hides nobody else's news."""
    limiter = Repeats(Clock())
    for place in ({"partition": 1}, {"partition": 2}, {"sink": "splunk"}, {"component": "kafka"}):
        assert passed(limiter, event="stopped", **place)
        assert passed(limiter, event="stopped", **place) is None


def test_other_reasons_are_other_events() -> None:
    """A partition that goes on and stops again for something else is news."""
    limiter = Repeats(Clock())
    for why in ("the log was truncated", "a batch is damaged"):
        assert passed(limiter, event="partition stopped", partition=3, why=why)
        assert passed(limiter, event="partition stopped", partition=3, why=why) is None


def test_library_says_the_same_for_everybody_once_a_minute() -> None:
    """Its words count, not their arguments, nor on whose behalf it says them."""
    clock = Clock()
    limiter = Repeats(clock)
    for node in range(3):
        event = {"event": f"no node {node}", "sink": f"sink {node}", TEMPLATE: "no node %s"}
        assert (passed(limiter, **event) is None) == bool(node)
    clock.now = WINDOW_SECONDS
    assert limiter.overdue() == []
    clock.now = LIBRARY_WINDOW_SECONDS
    assert limiter.overdue() == [{"event": "no node 2", "sink": "sink 2", LEFT_OUT: 2}]


def test_debug_is_written_whole() -> None:
    """Who asks for debug lines wants them."""
    limiter = Repeats(Clock())
    assert all(passed(limiter, event="batch", level="debug") for _ in range(50))


def test_memory_is_bounded() -> None:
    """A thousand kinds of events are remembered, not a million."""
    limiter = Repeats(Clock())
    for n in range(5000):
        passed(limiter, event=f"e{n}")
    assert len(limiter._seen) <= repeats._MOST_REMEMBERED


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1.5 * WINDOW_SECONDS)), max_size=60))
def test_no_event_is_lost_from_the_counts(steps: list[tuple[str, float]]) -> None:
    """Whatever comes when: written lines and what they say was left out are all that happened."""
    clock = Clock()
    limiter = Repeats(clock)
    told: Counter[str] = Counter()
    for name, seconds in steps:
        clock.now += seconds
        written = [*limiter.overdue(), passed(limiter, event=name)]
        for event in filter(None, written):
            # An overdue line stands for itself as well: it is the last of those left out.
            told[event["event"]] += event.get(LEFT_OUT, 0) + (event is written[-1])
    for event in limiter.overdue(all_of_them=True):
        told[event["event"]] += event[LEFT_OUT]
    assert told == Counter(name for name, _ in steps)
