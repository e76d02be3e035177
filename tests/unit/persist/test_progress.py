"""Until when a partition is complete: what may be noted, and when."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.events import TOPIC, record
from fakes.source import FakeBroker
from ingest_service.errors import DatabaseUnavailableError
from ingest_service.persist import progress
from ingest_service.persist.progress import Marks, Moment, note_progress
from waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

BEGAN = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def moment(seconds: int, partitions: int = 2) -> Moment:
    return Moment(BEGAN + dt.timedelta(seconds=seconds), partitions)


class FakeNotes:
    """A database whose clock ticks a second a question."""

    def __init__(self) -> None:
        self.now = 0
        self.available = True
        self.noted: dict[int, tuple[dt.datetime, int]] = {}
        self.partitions = 0
        self.sinks: dict[tuple[str, int], int] = {}

    async def clock(self) -> dt.datetime:
        self._ask()
        self.now += 1
        return moment(self.now).asked_at

    async def note(
        self, topic: str, asked_at: dt.datetime, partitions: int, ends: Mapping[int, int]
    ) -> None:
        self._ask()
        assert topic == TOPIC
        self.partitions = partitions
        self.noted |= {partition: (asked_at, end) for partition, end in ends.items()}

    async def note_sinks(self, topic: str, offsets: Mapping[tuple[str, int], int]) -> None:
        self._ask()
        assert topic == TOPIC
        self.sinks |= offsets

    def _ask(self) -> None:
        if not self.available:
            raise DatabaseUnavailableError("away")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_EVERY_SECONDS", 0.002)


@asynccontextmanager
async def noting(work: Coroutine) -> AsyncIterator[None]:
    """Run the loop, which never ends by itself."""
    task = asyncio.create_task(work)
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def no_sinks() -> dict[tuple[str, int], int]:
    return {}


@given(
    durable=st.integers(0, 50),
    end=st.integers(0, 50),
    later=st.integers(0, 50),
)
def test_a_mark_is_reached_only_when_all_before_it_is_durable(durable: int, end: int, later: int):
    """Nothing is said of a log that ends before what is durable; else it waits until it is true."""
    marks = Marks()
    marks.add(moment(1), {0: end}, {0: durable})
    now = durable + later
    reached = marks.reached({0: now})
    assert reached == ({moment(1): {0: end}} if durable <= end <= now else {})


def test_a_mark_is_kept_until_it_is_reached():
    """A partition that lags is not asked for again: the older question is the one that is answered."""
    marks = Marks()
    marks.add(moment(1), {0: 10, 1: 5}, {0: 3, 1: 5})
    assert marks.missing([0, 1, 2]) == [2]
    assert marks.reached({0: 9, 1: 5}) == {moment(1): {1: 5}}
    marks.remove([1])
    assert marks.missing([0, 1, 2]) == [1, 2]
    assert marks.reached({0: 10}) == {moment(1): {0: 10}}


async def test_quiet_partition_goes_on_with_the_time():
    """Where nothing comes, that nothing came is noted again and again."""
    broker, notes = FakeBroker(TOPIC, [[], []]), FakeNotes()
    async with (
        broker.member() as source,
        noting(note_progress(source, {0: 0, 1: 0}, notes, no_sinks)),
    ):
        await until(lambda: len(notes.noted) == 2)
        first = dict(notes.noted)
        await until(lambda: all(notes.noted[n][0] > first[n][0] for n in (0, 1)))
    assert {end for _, end in notes.noted.values()} == {0}
    assert notes.partitions == 2


async def test_lagging_partition_waits_and_its_neighbour_does_not():
    """What is not durable yet holds its own partition's time back, and that one alone."""
    broker, notes = FakeBroker(TOPIC, [[record(0)], []]), FakeNotes()
    durable = {0: 0, 1: 0}
    async with broker.member() as source, noting(note_progress(source, durable, notes, no_sinks)):
        await until(lambda: notes.now > 3)
        assert notes.noted.keys() == {1}
        durable[0] = 1
        await until(lambda: 0 in notes.noted)
    asked_at, end = notes.noted[0]
    assert (asked_at, end) == (moment(1).asked_at, 1), "the first question is the one answered"


async def test_log_that_was_made_again_is_not_noted():
    """A log that is shorter than the ledger is another topic's life: nothing is known of it."""
    broker, notes = FakeBroker(TOPIC, [[record(0)], []]), FakeNotes()
    async with (
        broker.member() as source,
        noting(note_progress(source, {0: 7, 1: 0}, notes, no_sinks)),
    ):
        await until(lambda: notes.now > 3)
    assert notes.noted.keys() == {1}


async def test_partition_that_is_not_open_is_not_asked_for():
    """Before the ledger's head is known nothing can be said."""
    broker, notes = FakeBroker(TOPIC, [[], []]), FakeNotes()
    async with broker.member() as source, noting(note_progress(source, {1: 0}, notes, no_sinks)):
        await until(lambda: notes.now > 2)
    assert notes.noted.keys() == {1}


async def test_marks_do_not_outlive_the_assignment():
    """After a rebalance the question is asked anew: it may be somebody else's partition."""
    broker, notes = FakeBroker(TOPIC, [[record(0)], []]), FakeNotes()
    durable = {0: 0, 1: 0}
    async with broker.member() as source, noting(note_progress(source, durable, notes, no_sinks)):
        await until(lambda: notes.now > 2)
        broker.rebalance()
        asked = notes.now
        await until(lambda: notes.now > asked + 2)
        durable[0] = 1
        await until(lambda: 0 in notes.noted)
    assert notes.noted[0][0] > moment(asked).asked_at


@pytest.mark.parametrize("who", ["broker", "database"])
async def test_outage_is_outlived(who: str):
    """What cannot be noted now is noted later; the loop goes on."""
    broker, notes = FakeBroker(TOPIC, [[]]), FakeNotes()
    sick = broker if who == "broker" else notes
    sick.available = False
    async with broker.member() as source, noting(note_progress(source, {0: 0}, notes, no_sinks)):
        await asyncio.sleep(0)
        sick.available = True
        await until(lambda: notes.noted)
        sick.available = False
        before = notes.noted[0]
        sick.available = True
        await until(lambda: notes.noted[0] > before)


async def test_sinks_of_our_own_partitions_are_noted():
    """Each worker notes what it has; nobody notes a partition that is another's."""

    async def offsets() -> dict[tuple[str, int], int]:
        return {("splunk", 0): 5, ("splunk", 1): 6, ("datadog", 0): 7}

    broker, notes = FakeBroker(TOPIC, [[], []]), FakeNotes()
    async with broker.member() as source:
        source.reassign((0,))
        async with noting(note_progress(source, {}, notes, offsets)):
            await until(lambda: notes.sinks)
    assert notes.sinks == {("splunk", 0): 5, ("datadog", 0): 7}
