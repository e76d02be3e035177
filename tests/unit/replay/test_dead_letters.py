"""Sending dead letters again: each once, whatever was refused, filtered or interrupted before."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.errors import SinkUnavailableError
from ingest_service.replay import dead_letters
from ingest_service.replay.backlog import Choice, Kind
from ingest_service.replay.dead_letters import Resent, resend, survey
from unit.replay.post import PARTITIONS, Post, Topic

if TYPE_CHECKING:
    from collections.abc import Iterator

BAD = Kind("splunk", "bad")


@pytest.fixture(autouse=True)
def small_steps() -> Iterator[None]:
    """Let a step hold four letters, so that a few letters make several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dead_letters, "_STEP_LETTERS", 4)
        yield


async def replay(topic: Topic, *posts: Post, choice: Choice = Choice()) -> Resent:  # noqa: B008 - a constant
    told: list[tuple[int, int]] = []
    couriers = {post.sink.name: post for post in posts}
    report = await resend(
        topic, await survey(topic, choice), couriers, topic, lambda *done: told.append(done)
    )
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    return report


def topic_with(*offsets: int, sink: str = "splunk") -> Topic:
    topic = Topic()
    for offset in offsets:
        topic.add(offset % PARTITIONS, sink, offset)
    return topic


async def test_second_run_repeats_nothing() -> None:
    """What a run sent has its receipt; letters that came since are sent."""
    topic, post = topic_with(*range(10)), Post()
    first = await replay(topic, post)
    assert (first.sent, first.is_done) == ({BAD: 10}, True)
    assert sorted(post.arrived) == list(range(10))
    topic.add(1, "splunk", 10)
    second = await replay(topic, post)
    assert (second.sent_before, second.sent) == ({BAD: 10}, {BAD: 1})
    assert sorted(post.arrived) == list(range(11))


async def test_letter_that_is_refused_again_stays_and_makes_no_other() -> None:
    """Neither a receipt nor a second letter: the next run tries it once more."""
    topic, post = topic_with(*range(6)), Post()
    post.refuses = {2, 3}
    first = await replay(topic, post)
    assert (first.sent, first.refused_again, first.is_done) == ({BAD: 4}, {BAD: 2}, False)
    post.refuses = ()
    second = await replay(topic, post)
    assert (second.found, second.sent, second.is_done) == ({BAD: 6}, {BAD: 2}, True)
    assert sorted(post.arrived) == list(range(6))


async def test_letter_that_is_still_too_large_is_not_sent_cut() -> None:
    """Its shortened stand-in is at the sink already; the letter stays whole."""
    topic, post = topic_with(0, 1), Post()
    post.too_large = {1}
    report = await replay(topic, post)
    assert (post.arrived, report.refused_again) == ([0], {BAD: 1})


@given(st.integers(0, 30), st.integers(0, 31))
async def test_interrupted_run_repeats_at_most_a_step(letters: int, after: int) -> None:
    """The sink goes away in the middle: what arrived before has its receipt, nothing is missing."""
    topic, post = topic_with(*range(letters)), Post()
    post.goes_away_after = after
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dead_letters, "_STEP_LETTERS", 4)
        with suppress(SinkUnavailableError):
            await replay(topic, post)
        post.goes_away_after = None
        await replay(topic, post)
    assert sorted(post.arrived) == list(range(letters))


async def test_filters_and_sinks_that_are_off_leave_letters_alone() -> None:
    """They are counted and named, and a later run without the filter sends them."""
    topic, post = topic_with(0, 1), Post()
    topic.add(0, "splunk", 7, "too_large")
    topic.add(0, "datadog", 8)
    chosen = await replay(topic, post, choice=Choice(reasons={"bad"}))
    assert (chosen.found, chosen.sinks_off) == ({BAD: 2, Kind("datadog", "bad"): 1}, ["datadog"])
    assert not chosen.is_done
    assert sorted(post.arrived) == [0, 1]
    other = Post("datadog")
    rest = await replay(topic, post, other)
    assert (sorted(post.arrived), other.arrived, rest.is_done) == ([0, 1, 7], [8], True)


async def test_record_with_two_letters_is_sent_once() -> None:
    """A letter that was not acknowledged in time is written again: both get the receipt."""
    topic, post = topic_with(3), Post()
    topic.add(0, "splunk", 3)
    topic.add(2, "splunk", 3)
    report = await replay(topic, post)
    assert (post.arrived, report.sent) == ([3], {BAD: 3})
    assert (await replay(topic, post)).sent == {}
