"""The stand-in for Splunk answers each request as the collector is documented to."""

from __future__ import annotations

import json
import uuid
import zlib
from typing import TYPE_CHECKING

import pytest

from contract.siem_client import CHANNEL, TOKEN, Told, ask, hec, packed, send_hec
from siem import Siem, SplunkSettings, stand_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EVENT = "/services/collector/event"
WITH_CHANNEL = {"X-Splunk-Request-Channel": CHANNEL}
# What a request may get wrong before its events are looked at: headers, path, body → code.
REFUSED = {
    "no token": ({}, EVENT, hec(0), 401, 2),
    "no scheme": ({"Authorization": "local-splunk-token"}, EVENT, hec(0), 401, 3),
    "another scheme": ({"Authorization": "Bearer x"}, EVENT, hec(0), 401, 3),
    "wrong token": ({"Authorization": "Splunk no"}, EVENT, hec(0), 403, 4),
    "disabled token": ({"Authorization": "Splunk old"}, EVENT, hec(0), 403, 1),
    "token in the query": (TOKEN, f"{EVENT}?token=local-splunk-token", hec(0), 400, 16),
    "empty body": (TOKEN, EVENT, b"", 400, 5),
    "blank body": (TOKEN, EVENT, b" \n ", 400, 5),
}
BAD_OBJECTS = {
    "not JSON": (b'{"event": nonsense}', 6),
    "not UTF-8": (b'{"event": "\xff"}', 6),
    "not a number": (b'{"event": NaN}', 6),
    "no object": (b"[1]", 6),
    "cut off": (b'{"event": ', 6),
    "no event": (b'{"time": 1}', 12),
    "null event": (b'{"event": null}', 12),
    "blank event": (b'{"event": ""}', 13),
    "nested fields": (b'{"event": 1, "fields": {"a": {"b": 1}}}', 15),
    "fields no object": (b'{"event": 1, "fields": "a"}', 15),
}


@pytest.fixture
async def siem() -> AsyncIterator[Siem]:
    settings = SplunkSettings(disabled_tokens={"old"}, indexes={"audit"})
    async with stand_in(splunk=settings) as running:
        yield running


@pytest.fixture
async def acking() -> AsyncIterator[Siem]:
    async with stand_in(splunk=SplunkSettings(ack=True)) as running:
        yield running


@pytest.mark.parametrize(
    "body", [hec(0) + hec(1), hec(0) + b"\n" + hec(1), hec(0) + b" \r\n" + hec(1)]
)
@pytest.mark.parametrize("path", [EVENT, "/services/collector", "/services/collector/event/1.0"])
async def test_objects_one_after_another_are_indexed(siem: Siem, body: bytes, path: str):
    """Whatever space stands between them, each object is an event, kept byte for byte."""
    told = await send_hec(siem, body, path)
    assert (told.status, told.content) == (200, {"text": "Success", "code": 0})
    assert [entry.raw for entry in siem.splunk.arrived.entries] == [hec(0), hec(1)]
    assert siem.splunk.arrived.ids == ["id-0", "id-1"]
    assert siem.splunk.arrived.offsets("events", 0) == [(0, 1)]


@pytest.mark.parametrize(
    ("body", "indexed"),
    [
        (b'{"event": "Hello, world!", "sourcetype": "manual"}', 1),
        (b'{"event": "Pony 1 has left the barn"}{"event": "Pony 2 has left the barn"}', 2),
    ],
)
async def test_the_documented_requests_are_taken(siem: Siem, body: bytes, indexed: int):
    """The basic example and the batch of the developers' page."""
    told = await send_hec(siem, body, "/services/collector")
    assert (told.status, told.content) == (200, {"text": "Success", "code": 0})
    assert siem.splunk.arrived.events == indexed


@pytest.mark.parametrize("case", REFUSED)
async def test_a_bad_request_is_refused_with_its_code(siem: Siem, case: str):
    """Each documented mistake has its own status and code, and nothing is indexed."""
    headers, path, body, status, code = REFUSED[case]
    told = await ask(siem.splunk.url, path, body, headers)
    assert (told.status, told.content["code"]) == (status, code)
    assert siem.splunk.arrived.events == 0


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("case", BAD_OBJECTS)
async def test_what_stands_before_a_bad_object_is_indexed(siem: Siem, case: str, place: int):
    """The answer names the first bad object, from 0; those before it are in, those after not."""
    bad, code = BAD_OBJECTS[case]
    objects = [hec(number) for number in range(4)]
    told = await send_hec(siem, b"\n".join([*objects[:place], bad, *objects[place:]]))
    assert (told.status, told.content["code"]) == (400, code)
    assert told.content["invalid-event-number"] == place
    assert siem.splunk.arrived.ids == [f"id-{number}" for number in range(place)]


async def test_a_wrong_index_names_the_object_after_it(siem: Siem):
    """Code 7 points one too far: what it names is not what is wrong."""
    told = await send_hec(siem, hec(0, index="audit") + hec(1, index="other") + hec(2))
    assert (told.status, told.content["code"]) == (400, 7)
    assert told.content["invalid-event-number"] == 2
    assert siem.splunk.arrived.ids == ["id-0"]


async def test_an_unknown_key_swallows_the_rest_behind_a_success(siem: Siem):
    """200 does not mean indexed when an object has a key that HEC does not know."""
    told = await send_hec(siem, hec(0) + hec(1, extra=1) + hec(2))
    assert told.content["code"] == 0
    assert siem.splunk.arrived.ids == ["id-0"]
    assert siem.splunk.arrived.problems == {"unknown_key": 1}


async def test_gzip_is_understood_and_what_it_saves_is_counted(siem: Siem):
    """A packed body is indexed like a plain one; both sizes are known."""
    body = b"\n".join(hec(number) for number in range(50))
    told = await send_hec(siem, packed(body), **{"Content-Encoding": "gzip"})
    arrived = siem.splunk.arrived
    assert (told.status, arrived.events) == (200, 50)
    assert (arrived.raw_bytes, arrived.wire_bytes) == (len(body), len(packed(body)))


async def test_a_broken_gzip_body_is_no_data_format(siem: Siem):
    """A body that cannot be unpacked is refused at its first event."""
    told = await send_hec(siem, packed(hec(0))[:-9], **{"Content-Encoding": "gzip"})
    assert (told.status, told.content["code"], told.content["invalid-event-number"]) == (400, 6, 0)


async def test_deflate_is_answered_with_a_page(siem: Siem):
    """415 is HTML, not JSON."""
    told = await send_hec(siem, zlib.compress(hec(0)), **{"Content-Encoding": "deflate"})
    assert (told.status, told.is_html) == (415, True)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_body_over_the_limit_is_answered_with_a_page(siem: Siem, encoding: str):
    """413 is HTML; the limit counts uncompressed bytes, and the limit itself still passes."""
    siem.splunk_settings.max_content_length = len(hec(0))
    pack = packed if encoding == "gzip" else bytes
    fits = await send_hec(siem, hec(0), **{"Content-Encoding": "identity"})
    told = await send_hec(siem, pack(hec(0) + b" "), **{"Content-Encoding": encoding})
    assert (fits.status, told.status, told.is_html) == (200, 413, True)


async def test_cloud_refuses_a_large_body_as_if_its_first_event_were_bad(siem: Siem):
    """On Cloud too large is 400, code 6, event 0: it must not be taken for a bad event."""
    siem.splunk_settings.cloud = True
    body = hec(0, event="x" * 5_000_000) + hec(1, event="x" * 1_000_000)
    told = await send_hec(siem, body)
    assert (told.status, told.content["code"], told.content["invalid-event-number"]) == (400, 6, 0)
    assert siem.splunk.arrived.events == 0


async def test_an_event_over_max_event_size_is_bad(siem: Siem):
    """One event over the limit is a parse error at its own place."""
    siem.splunk_settings.max_event_bytes = 1000
    told = await send_hec(siem, hec(0) + hec(1, event="x" * 1000))
    assert (told.content["code"], told.content["invalid-event-number"]) == (6, 1)


async def test_without_acknowledgement_there_is_no_number(siem: Siem):
    """A token without useACK answers no ackId, and refuses to be polled."""
    told = await send_hec(siem, hec(0), **WITH_CHANNEL)
    assert "ackId" not in told.content
    assert (await poll(siem, [0])).content["code"] == 14


@pytest.mark.parametrize(("channel", "code"), [("", 10), ("no-guid", 11)])
async def test_acknowledgement_needs_a_channel(acking: Siem, channel: str, code: int):
    """A missing and an invalid channel are told apart, when sending and when polling."""
    headers = {"X-Splunk-Request-Channel": channel} if channel else {}
    for told in (await send_hec(acking, hec(0), **headers), await poll(acking, [0], channel)):
        assert (told.status, told.content["code"]) == (400, code)
    assert acking.splunk.arrived.events == 0


async def test_numbers_are_given_by_channel_from_zero(acking: Siem):
    """Each channel counts for itself."""
    other = {"X-Splunk-Request-Channel": str(uuid.uuid4())}
    sent = [
        await send_hec(acking, hec(n), **which)
        for n, which in enumerate([WITH_CHANNEL, WITH_CHANNEL, other])
    ]
    assert [told.content["ackId"] for told in sent] == [0, 1, 0]


async def test_an_acknowledgement_is_true_once(acking: Siem):
    """The second answer for the same number is false, as for one that was never given."""
    await send_hec(acking, hec(0), **WITH_CHANNEL)
    assert (await poll(acking, [0, 7])).content == {"acks": {"0": True, "7": False}}
    assert (await poll(acking, [0])).content == {"acks": {"0": False}}


async def test_another_channel_learns_nothing(acking: Siem):
    """A number asked for on the wrong channel is false, and stays to be told on its own."""
    await send_hec(acking, hec(0), **WITH_CHANNEL)
    assert (await poll(acking, [0], str(uuid.uuid4()))).content == {"acks": {"0": False}}
    assert (await poll(acking, [0])).content == {"acks": {"0": True}}


async def test_acknowledgements_can_be_held_back(acking: Siem):
    """Nothing is acknowledged while indexing is stopped; then all is."""
    acking.splunk_settings.ack_after_seconds = None
    await send_hec(acking, hec(0), **WITH_CHANNEL)
    assert (await poll(acking, [0])).content == {"acks": {"0": False}}
    acking.splunk_settings.ack_after_seconds = 0.0
    assert (await poll(acking, [0])).content == {"acks": {"0": True}}


async def test_what_is_lost_before_indexing_is_never_acknowledged(acking: Siem):
    """The answer is 200 with a number all the same, the event is not there."""
    acking.splunk.fault(lose=True)
    told = await send_hec(acking, hec(0), **WITH_CHANNEL)
    assert (told.status, told.content["ackId"]) == (200, 0)
    assert (await poll(acking, [0])).content == {"acks": {"0": False}}
    assert acking.splunk.arrived.events == 0


@pytest.mark.parametrize(("code", "status"), [(17, 200), (18, 503), (19, 503), (20, 503)])
@pytest.mark.parametrize("path", ["/services/collector/health", "/services/collector/health/1.0"])
async def test_health_is_told_to_anybody(siem: Siem, code: int, status: int, path: str):
    """Health looks at no token, so it is no test of one."""
    siem.splunk_settings.health_code = code
    told = await ask(siem.splunk.url, path)
    assert (told.status, told.content["code"]) == (status, code)


async def test_a_token_can_be_rotated(siem: Siem):
    """The old token is refused from the moment on which it is replaced."""
    changed = await ask(siem.splunk.url, "/_settings", b'{"tokens": ["new"]}', method="PUT")
    assert (changed.status, (await send_hec(siem, hec(0))).status) == (200, 403)
    assert (await send_hec(siem, hec(0), Authorization="Splunk new")).status == 200


@pytest.mark.parametrize(("method", "path"), [("GET", EVENT), ("POST", "/services/elsewhere")])
async def test_anything_else_is_not_found(siem: Siem, method: str, path: str):
    """A path or a method that the collector does not have is 404."""
    assert (await ask(siem.splunk.url, path, b"x", TOKEN, method)).status == 404


async def poll(siem: Siem, numbers: list[int], channel: str = CHANNEL) -> Told:
    headers = {"X-Splunk-Request-Channel": channel} if channel else {}
    body = json.dumps({"acks": numbers}).encode()
    return await send_hec(siem, body, "/services/collector/ack", **headers)
