"""What Kafka knows of a place: bounded, and honest about what was not looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from given_events import record
from ingest_service.adapters.kafka_look import Search
from ingest_service.compliance.question import question
from ingest_service.compliance.sighting import Sighting, Standing
from ingest_service.compliance.trace_kafka import in_kafka, waiting
from ingest_service.ledger import Stream
from ingest_service.shapes import Bounds
from ingest_service.tracer import _Kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest_service.events.record import Record

STREAM = Stream(1, "gateway.audit.events", 3, 1)
RECORDS = [record(b"a needle", offset=4), record(b"", offset=5), record(None, offset=6)]


class FakeLook:
    """Implements what is used of `KafkaLook`, over a few records."""

    def __init__(self, records: Sequence[Record], *, complete: bool = True) -> None:
        self.within: list[Bounds] = []
        self._records = records
        self._complete = complete

    async def bounds(self, _: int) -> Bounds:
        return Bounds(4, 7)

    async def record(self, _: int, offset: int) -> Record | None:
        return next((each for each in self._records if each.offset == offset), None)

    async def first_since(self, _: int, __: int) -> int | None:
        return 4

    async def search(
        self, _: int, within: Bounds, wanted: Callable[[Record], bool], __: float
    ) -> Search:
        self.within.append(within)
        found = [each for each in self._records if each.offset >= within.start and wanted(each)]
        return Search(found, self._complete)


async def test_only_what_is_not_durable_is_searched():
    """From the durable offset on, or from where the log starts when that is later."""
    look = FakeLook(RECORDS)
    found, complete = await waiting(look, {3: (STREAM, 5), 2: (STREAM, 0)}, "needle", 20)
    assert look.within == [Bounds(5, 7), Bounds(4, 7)]
    assert ([each.offset for each in found], complete) == ([4], True)
    found, _ = await waiting(FakeLook(RECORDS), {3: (STREAM, 0)}, "req-1", 2)
    assert [each.offset for each in found] == [4, 5], "by their key, and no more than asked for"


async def test_what_was_not_searched_to_its_end_is_said():
    """A backlog or dead letters beyond the time make the answer incomplete, and it says so."""
    look, unasked = FakeLook(RECORDS, complete=False), list[str]()
    kafka = _Kafka(look, 4, look, 1, {}, ())
    assert await kafka.only_there(question("x"), {3: (STREAM, 0)}, unasked) == []
    seen = await kafka.stations(Sighting(STREAM, 4, Standing.WAITING), {3: (STREAM, 0)}, unasked)
    assert (seen.record, seen.sinks) == (RECORDS[0], [])
    assert [each.split(" too ")[0] for each in unasked] == [
        "what Kafka has and is not durable yet is",
        "the dead letters are",
    ]


async def test_another_life_of_the_topic_is_not_asked_for():
    """What Kafka has now says nothing of the partition's life before."""
    kafka = _Kafka(FakeLook(RECORDS), 4, None, 0, {}, ())
    old = Sighting(STREAM, 4, Standing.ROW)
    assert await kafka.stations(old, {3: (STREAM._replace(id=2, epoch=2), 0)}, []) == old
    assert await kafka.stations(old._replace(stream=None), {}, []) == old._replace(stream=None)


@pytest.mark.parametrize(
    ("seen", "is_there"),
    [
        (Sighting(STREAM, 6, Standing.ROW), True),
        (Sighting(STREAM, 2, Standing.ROW), False),
        (Sighting(STREAM, 6, Standing.ROW)._replace(offset=6), True),
    ],
)
async def test_presence_is_the_logs_own(seen: Sighting, is_there: bool):
    """Within the log's bounds the record is read; before them it has left."""
    found = await in_kafka(FakeLook(RECORDS), seen)
    assert (found.kafka.is_there, found.wrong) == (is_there, ())


async def test_offset_without_a_record_is_not_there():
    """A transaction's marker takes an offset and is no record."""
    found = await in_kafka(FakeLook(RECORDS[:1]), Sighting(STREAM, 5, Standing.WAITING))
    assert (found.kafka.is_there, found.record) == (False, None)
