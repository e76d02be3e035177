"""How long what nobody has read has waited, by when the log was first seen to hold it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.telemetry.waiting import Waiting


def test_age_counts_from_when_the_log_was_seen_to_reach_beyond() -> None:
    """A partition that stands still grows old; one that is read to its end is not."""
    waiting = Waiting()
    waiting.ends(0, 10, now=100)
    waiting.ends(0, 20, now=115)
    assert waiting.seconds(0, 5, now=130) == 30
    assert waiting.seconds(0, 10, now=130) == 15
    assert waiting.seconds(0, 20, now=130) == 0


def test_partition_of_somebody_else_says_nothing() -> None:
    """And neither does one that was never asked for."""
    waiting = Waiting()
    waiting.ends(0, 10, now=100)
    waiting.forget(0)
    assert waiting.seconds(0, 5, now=130) == 0


def test_topic_that_was_made_again_begins_anew() -> None:
    """An end before the last one is another log's."""
    waiting = Waiting()
    waiting.ends(0, 1000, now=100)
    waiting.ends(0, 3, now=500)
    assert waiting.seconds(0, 0, now=510) == 10


@given(st.lists(st.integers(0, 5), max_size=300), st.integers(0, 500))
def test_age_is_never_more_than_the_truth(grown: list[int], position: int) -> None:
    """However long the outage and however many times it is asked, in bounded room."""
    waiting, end, arrived = Waiting(), 0, {}
    for now, more in enumerate(grown):
        for offset in range(end, end + more):
            arrived[offset] = now
        end += more
        waiting.ends(0, end, now)
    age = waiting.seconds(0, position, len(grown))
    if position in arrived:
        assert 0 < age <= len(grown) - arrived[position]
    else:
        assert age == 0
    assert len(waiting._marks.get(0, ())) <= 64


def test_long_outage_is_remembered_in_bounded_room() -> None:
    """The first mark counts most and stays, however often the end is asked meanwhile."""
    waiting = Waiting()
    for now in range(1, 1000):
        waiting.ends(0, now, now)
    assert waiting.seconds(0, 0, 1000) == 999
    assert 0 < waiting.seconds(0, 900, 1000) <= 99
    assert len(waiting._marks[0]) <= 64
