"""What is done about refusals that a real SIEM seldom gives: bounded in requests, never lost."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from fakes.forwarding import Letters
from given_events import record
from ingest_service.forward.answers import Accepted, Bisect, Isolate, Split, Why
from ingest_service.forward.batch import Batch
from ingest_service.forward.delivery import Delivery
from ingest_service.forward.gate import Gate
from ingest_service.forward.observer import SinkObserver
from ingest_service.forward.ports import Encoded, Filtered, Limits, Request, Unsendable
from ingest_service.shapes import HttpAnswer
from ingest_service.telemetry.health import Health
from ingest_service.telemetry.sink_metrics import SinkMetrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest_service.events.record import Record
    from ingest_service.forward.answers import Answer, Outcome

WHY = Why("refused", "refused by a test")


class FakeSink:
    """Refuses what begins with `!`; how, is the test's to say."""

    name = "splunk"
    limits = Limits(2000, 1 << 20, 1 << 20)
    acks = None

    def __init__(self, refusal: str) -> None:
        self.refusal = refusal
        self.sent: list[Sequence[bytes]] = []
        self.taken: list[bytes] = []

    def encode(self, records: Sequence[Record]) -> Sequence[Encoded]:
        return [self._encode(record) for record in records]

    def _encode(self, record: Record) -> Encoded:
        value = record.value or b""
        if value.startswith(b"?"):
            return Unsendable(WHY, b"marked")
        return Filtered("rule") if value.startswith(b"-") else value

    def request(self, bodies: Sequence[bytes]) -> Request:
        self.sent.append(bodies)
        return Request("http://sink", {}, b"")

    def judge(self, answer: Answer, count: int) -> Outcome:
        bodies = self.sent[-1]
        bad = [place for place, body in enumerate(bodies) if body.startswith(b"!")]
        if not bad:
            self.taken += bodies
            return Accepted()
        if self.refusal == "split":
            return Split(WHY)
        if self.refusal == "bisect":
            return Bisect(WHY)
        if self.refusal == "isolate none":
            return Isolate(bad[0], WHY, before_accepted=False)
        self.taken += bodies[: bad[0]]
        return Isolate(bad[0], WHY, before_accepted=True)


class Echo:
    async def post(self, url, headers, body, *, packed=True) -> HttpAnswer:
        return HttpAnswer(200, {}, b"", 0, 0.01)


def delivery(sink: FakeSink, letters: Letters) -> Delivery:
    observer = SinkObserver("splunk", "events", SinkMetrics(CollectorRegistry()), Health())
    return Delivery(sink, Echo(), letters, Gate(observer), observer=observer, rng=Random(1))


def batch_of(sink: FakeSink, *values: bytes) -> Batch:
    batch = Batch(0.0)
    records = [record(value, offset=place) for place, value in enumerate(values)]
    assert batch.take(records, sink.encode(records), sink.limits) == len(values)
    return batch


@pytest.mark.parametrize("refusal", ["split", "bisect", "isolate", "isolate none"])
@pytest.mark.parametrize("bad", [{0}, {31}, {5, 6, 31}, set(range(64))], ids=len)
async def test_each_event_is_taken_or_dead_lettered_once(
    impatient: None, refusal: str, bad: set[int]
) -> None:
    """However a sink words its refusal, the good are taken once each and the bad are kept."""
    sink, letters = FakeSink(refusal), Letters()
    values = [(b"!%d" if n in bad else b"%d") % n for n in range(64)]
    await delivery(sink, letters).deliver(batch_of(sink, *values))
    assert sorted(letters.values) == sorted(v for v in values if v.startswith(b"!"))
    taken = [body for body in sink.taken if not body.startswith(b"{")]  # a probe of ours
    good = [value for value in values if not value.startswith(b"!")]
    assert sorted(set(taken)) == sorted(good)
    assert len(taken) <= len(good) + 1  # one known to be good may go twice


async def test_flood_of_named_refusals_does_not_send_everything_each_time(impatient: None) -> None:
    """Two thousand refusals cost two thousand requests, of a few dozen events each."""
    sink, letters = FakeSink("isolate"), Letters()
    await delivery(sink, letters).deliver(batch_of(sink, *[b"!x"] * 2000))
    assert len(letters.letters) == 2000
    assert sum(map(len, sink.sent)) < 110_000


async def test_bisecting_is_capped(impatient: None) -> None:
    """Beyond the cap a refused piece is dead-lettered together: kept, and nothing is lost."""
    sink, letters = FakeSink("bisect"), Letters()
    values = [b"%d" % n if n % 3 else b"!%d" % n for n in range(1000)]
    await delivery(sink, letters).deliver(batch_of(sink, *values))
    assert len(sink.sent) < 600
    kept = {*letters.values, *sink.taken}
    assert set(values) <= kept
    codes = {letter.refusal.reason for letter in letters.letters}
    assert codes == {"refused", "refused_together"}


async def test_event_that_would_be_cut_is_kept_whole_and_its_mark_is_sent(impatient: None) -> None:
    """The dead letter has the original; the sink has what points to it; left out is left out."""
    sink, letters = FakeSink("isolate"), Letters()
    batch = batch_of(sink, b"good", b"?large", b"-quiet")
    await delivery(sink, letters).deliver(batch)
    assert letters.values == [b"?large"]
    assert sink.taken == [b"good", b"marked"]
    assert batch.filtered == {"rule": 1}


def test_batch_is_full_by_entries_and_by_bytes() -> None:
    """What does not fit stays for the next one; one event larger than all goes alone."""
    sink = FakeSink("isolate")
    limits = Limits(3, 100, 100)

    def taken(values: list[bytes]) -> tuple[int, bool]:
        batch, records = Batch(0.0), [record(value) for value in values]
        return batch.take(records, sink.encode(records), limits), batch.is_full(limits)

    assert taken([b"x" * 40] * 5) == (2, False)
    assert taken([b"x"] * 5) == (3, True)
    assert taken([b"x" * 500] * 2) == (1, True)
