"""Filling a sink from the originals: the wanted offsets, each once, and what is not kept is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service import ledger
from ingest_service.adapters.kept_originals import KeptEntry
from ingest_service.errors import SetupError
from ingest_service.events.record import StoredRecord
from ingest_service.ledger import Stream
from ingest_service.originals import pack_originals
from ingest_service.replay.refill import Refilled, Wanted, find_stream, refill
from ingest_service.replay.resumption import Step, judge
from unit.replay.post import Post

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STREAM = Stream(1, "events", 0, 1)


def kept(sequence: int, first: int, end: int) -> KeptEntry:
    frames = [
        ledger.frame(StoredRecord("events", 0, offset, 5, b"k", b"{}"))
        for offset in range(first, end)
    ]
    packed = pack_originals(frames, [None] * len(frames))
    return KeptEntry(sequence, "records", first, end, packed)


class Archive:
    """Offsets 10-19 and 20-24, a gap up to 30, 30-34 purged, 35-39."""

    def __init__(self, *entries: KeptEntry) -> None:
        self._entries = entries or (
            kept(1, 10, 20),
            kept(2, 20, 25),
            KeptEntry(3, "gap", 25, 30, None),
            KeptEntry(4, "records", 30, 35, None),
            kept(5, 35, 40),
        )

    async def stream(self, topic: str, partition: int) -> Stream | None:
        return STREAM if (topic, partition) == ("events", 0) else None

    async def reach(self, stream: Stream) -> tuple[int, int] | None:
        assert stream == STREAM
        return self._entries[0].first_offset, self._entries[-1].next_offset

    async def entries(self, stream: Stream, first: int, end: int) -> AsyncIterator[KeptEntry]:
        assert stream == STREAM
        for entry in self._entries:
            if entry.first_offset < end and first < entry.next_offset:
                yield entry


@given(st.integers(10, 39), st.integers(11, 40))
async def test_each_wanted_offset_is_sent_once_or_missing(first: int, end: int) -> None:
    """Nothing outside the range; every offset within is sent, or counted as not kept."""
    if first >= end:
        return
    post, told = Post(), list[tuple[int, int]]()
    wanted = Wanted("events", 0, first, end)
    report = await refill(Archive(), STREAM, wanted, post, lambda *done: told.append(done))
    there = [n for n in (*range(10, 25), *range(35, 40)) if first <= n < end]
    assert post.arrived == there
    assert report == Refilled(accepted=len(there), missing=end - first - len(there))
    assert told == sorted(told)
    assert told[-1] == (end - first, end - first)


async def test_refused_record_is_counted_as_dead_lettered() -> None:
    """A record that its sink refuses here goes where the forwarder would have put it."""
    post = Post()
    post.refuses = {12}
    wanted = Wanted("events", 0, 10, 15)
    report = await refill(Archive(), STREAM, wanted, post, lambda *_: None)
    assert report == Refilled(accepted=4, dead_lettered=1)


@pytest.mark.parametrize("wanted", [(9, 12), (38, 41), (50, 60)])
async def test_range_that_is_not_kept_says_what_is(wanted: tuple[int, int]) -> None:
    """A mistyped offset, or a persister that is behind, must not look like a refill of nothing."""
    with pytest.raises(SetupError, match="from offset 10 up to 40"):
        await find_stream(Archive(), Wanted("events", 0, *wanted))


async def test_partition_that_nobody_persisted_is_said() -> None:
    """There is nothing to refill from."""
    with pytest.raises(SetupError, match="nothing of events/7"):
        await find_stream(Archive(), Wanted("events", 7, 0, 1))


async def test_damaged_originals_are_not_passed_over() -> None:
    """Bytes that cannot be read are a finding for `verify`, not a smaller refill."""
    entry = kept(1, 10, 20)
    archive = Archive(entry._replace(records=b"not gzip"))
    with pytest.raises(SetupError, match="ingest-service verify"):
        await refill(archive, STREAM, Wanted("events", 0, 10, 12), Post(), lambda *_: None)


@pytest.mark.parametrize(
    ("committed", "members", "step"),
    [
        (10, 0, Step.MOVE),
        (19, 0, Step.MOVE),
        (10, 1, Step.STOP_FIRST),
        (9, 0, Step.LEAVE),
        (20, 0, Step.LEAVE),
        (None, 0, Step.LEAVE),
        (9, 1, Step.LEAVE),
    ],
)
def test_forwarder_is_moved_only_from_within_the_range(
    committed: int | None, members: int, step: Step
) -> None:
    """From before it records would be skipped, from behind it repeated; a running one is stopped."""
    assert judge(committed, Wanted("events", 0, 10, 20), members) is step
