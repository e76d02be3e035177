"""The forwarder's sinks and the stand-ins, written apart from the same documents, agree."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import pytest

from contract.siem_client import ask, packed
from given_events import GOOD, event, record
from ingest_service.forward.answers import Accepted, Answer, Isolate, Ours, Split
from ingest_service.forward.sinks.choice import Choice
from ingest_service.forward.sinks.datadog import Datadog, Origin
from ingest_service.forward.sinks.splunk import Envelope, Splunk
from made_sinks import encoded
from siem import Intake, Siem, SplunkSettings, stand_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ingest_service.forward.answers import Outcome
    from ingest_service.forward.ports import Request, Sink

RECORDS = {
    "ordinary": event(),
    "other alphabets": event(reason='„ü" \\ \n 猫 🙂'),
    "no id": record(b'{"event_type":"tool_invoke","timestamp":1700000000}'),
    "telemetry": event(event_type="telemetry", decision=None),
    "no time": event(timestamp="soon"),
    "tombstone": record(None),
    "empty": record(b""),
    "not JSON": record(b"not JSON"),
    "not UTF-8": record(b'{"reason":"\xff"}'),
    "a string": record(b'"text"'),
    "a NUL": record(b"\x00"),
}


@pytest.fixture
async def siem() -> AsyncIterator[Siem]:
    async with stand_in() as running:
        yield running


@pytest.fixture(params=["splunk", "datadog"])
def pair(request: pytest.FixtureRequest, siem: Siem) -> tuple[Sink, Intake]:
    """Return a sink of the forwarder and the stand-in that it sends to."""
    if request.param == "splunk":
        return splunk_of(siem), siem.splunk
    return datadog_of(siem), siem.datadog


@pytest.mark.parametrize("case", RECORDS)
async def test_any_record_is_taken_and_found_by_its_position(pair: tuple[Sink, Intake], case: str):
    """Good or malformed: its neighbours and itself arrive, whole, with the row's id and offset."""
    sink, intake = pair
    records = [event()._replace(offset=6), RECORDS[case], event()._replace(offset=8)]
    bodies = [encoded(sink, each) for each in records]
    outcome = await send(sink.request(bodies), sink, len(bodies))
    assert outcome == Accepted()
    assert intake.arrived.offsets("gateway.audit.events", 3) == [(6, 8)]
    assert intake.arrived.ids[0] == intake.arrived.ids[2] == GOOD["id"]
    assert str(uuid.UUID(intake.arrived.ids[1])) == intake.arrived.ids[1]
    assert [entry.raw for entry in intake.arrived.entries] == bodies
    assert set(intake.arrived.problems) <= {"older_than_18_hours"}


async def test_a_full_request_is_within_the_sinks_limits(pair: tuple[Sink, Intake]):
    """As many entries as the sink's own limits allow are taken at once."""
    sink, intake = pair
    body = encoded(sink, event(reason="r" * 500))
    count = min(sink.limits.max_entries, sink.limits.max_bytes // (len(body) + 1))
    assert await send(sink.request([body] * count), sink, count) == Accepted()
    assert intake.arrived.events == count


async def test_a_wrong_token_is_ours_to_mend(siem: Siem):
    """A rotated token holds everything back, at either sink."""
    siem.splunk_settings.tokens = {"rotated"}
    siem.datadog_settings.api_keys = {"rotated"}
    for sink in (splunk_of(siem), datadog_of(siem)):
        assert isinstance(await send(sink.request([encoded(sink, event())]), sink, 1), Ours)


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_the_bad_event_is_the_one_that_is_taken_out(siem: Siem, place: int):
    """The number that Splunk answers leads to the event that it refused, and not to another."""
    sink = splunk_of(siem)
    bodies = [encoded(sink, event(reason=f"r{number}")) for number in range(3)]
    bodies[place] = b'{"event":""}'
    outcome = await send(sink.request(bodies), sink, 3)
    assert isinstance(outcome, Isolate)
    assert (outcome.place, outcome.before_accepted) == (place, True)
    assert siem.splunk.arrived.events == place


async def test_too_large_is_halved(siem: Siem):
    """413 of either sink, and Cloud's way of saying it, lead to smaller requests."""
    siem.splunk_settings.max_content_length = 1000
    siem.datadog_settings.max_body_bytes = 1000
    for sink in (splunk_of(siem), datadog_of(siem)):
        bodies = [encoded(sink, event())] * 5
        assert isinstance(await send(sink.request(bodies), sink, 5), Split)
    siem.splunk_settings.max_content_length = 100_000_000
    siem.splunk_settings.cloud = True
    sink = splunk_of(siem)
    bodies = [encoded(sink, event(reason="r" * 1_000_000))] * 7
    assert isinstance(await send(sink.request(bodies), sink, 7), Split)


async def test_acknowledgements_are_understood_both_ways():
    """A number comes with each answer, and is acknowledged once."""
    async with stand_in(splunk=SplunkSettings(ack=True)) as siem:
        sink = splunk_of(siem, must_ack=True)
        sent = [await send(sink.request([encoded(sink, event())]), sink, 1) for _ in range(2)]
        assert sent == [Accepted(0), Accepted(1)]
        assert [await acknowledged(sink, [0, 1, 2]) for _ in range(2)] == [{0, 1}, frozenset()]
        siem.splunk_settings.ack = False
        assert isinstance(await send(sink.request([encoded(sink, event())]), sink, 1), Ours)
        assert isinstance(await acknowledged(sink, [0]), Ours)


@pytest.mark.parametrize("code", range(29))
async def test_every_code_of_splunk_has_a_meaning(siem: Siem, code: int):
    """Only a 200 that Splunk gives to events is success; no code is met by surprise."""
    siem.splunk.fault(code=code)
    sink = splunk_of(siem)
    outcome = await send(sink.request([encoded(sink, event())]), sink, 1)
    assert isinstance(outcome, Accepted) == (code in {0, 24, 25})


def splunk_of(siem: Siem, *, must_ack: bool = False) -> Splunk:
    envelope = Envelope("host", "topic", "sark:gateway", None)
    channel = str(uuid.uuid4())
    return Splunk(
        siem.splunk.url,
        lambda: "local-splunk-token",
        envelope,
        Choice(),
        channel=channel,
        must_ack=must_ack,
    )


def datadog_of(siem: Siem) -> Datadog:
    origin = Origin("host", "sark-gateway", "env:test")
    return Datadog(siem.datadog.url, lambda: "local-datadog-key", origin, Choice(), clock=time.time)


async def acknowledged(sink: Sink, numbers: list[int]) -> object:
    return sink.acks.judge(await answer_to(sink.acks.request(numbers), plain=True))


async def send(request: Request, sink: Sink, count: int) -> Outcome:
    return sink.judge(await answer_to(request), count)


async def answer_to(request: Request, *, plain: bool = False) -> Answer:
    """POST as the sender does: packed, but for polls, whose place takes no gzip."""
    path = request.url[request.url.index("/", 8) :]
    url = request.url.removesuffix(path)
    packing = {} if plain else {"content-encoding": "gzip"}
    body = request.body if plain else packed(request.body)
    told = await ask(url, path, body, {**request.headers, **packing})
    lower = {name.lower(): value for name, value in told.headers.items()}
    return Answer(told.status, lower, told.body, time.time())
