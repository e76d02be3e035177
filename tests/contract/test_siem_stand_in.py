"""What both stand-ins do beside their APIs: scripted faults, counts, and running as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from http.client import IncompleteRead, RemoteDisconnected
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.siem_client import ask, hec, log, logs, packed, send_hec, send_logs
from siem import Siem, stand_in
from siem.arrived import Ranges
from stack.state import REPOSITORY
from waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SERVE = REPOSITORY / "deploy" / "local" / "siem" / "serve.py"


@pytest.fixture
async def siem() -> AsyncIterator[Siem]:
    async with stand_in() as running:
        yield running


async def test_a_scripted_answer_comes_so_many_times(siem: Siem):
    """Status, headers and body are as asked for; then all is well again."""
    siem.splunk.fault(status=503, times=2, headers={"Retry-After": "7"}, body={"code": 9})
    told = [await send_hec(siem, hec(0)) for _ in range(3)]
    assert [each.status for each in told] == [503, 503, 200]
    assert (told[0].headers["Retry-After"], told[0].content) == ("7", {"code": 9})
    assert siem.splunk.arrived.events == 1
    assert siem.splunk.arrived.answers == {503: 2, 200: 1}


async def test_a_fault_without_an_end_lasts_until_it_is_cleared(siem: Siem):
    """`times` 0 is for ever."""
    siem.datadog.fault(status=500, times=0)
    statuses = [(await send_logs(siem, logs(log(0)))).status for _ in range(5)]
    siem.datadog.script.clear()
    assert [*statuses, (await send_logs(siem, logs(log(0)))).status] == [500] * 5 + [202]


async def test_one_sinks_fault_is_not_the_others(siem: Siem):
    """Each sink has a script of its own."""
    siem.splunk.fault(status=500, times=0)
    assert (await send_hec(siem, hec(0))).status == 500
    assert (await send_logs(siem, logs(log(0)))).status == 202


@pytest.mark.parametrize("code", [1, 4, 8, 9, 23, 26, 27])
async def test_a_code_brings_its_status_and_text(siem: Siem, code: int):
    """Splunk's codes need not be spelled out, and nothing is indexed with an error."""
    siem.splunk.fault(code=code)
    told = await send_hec(siem, hec(0))
    assert told.status == {1: 403, 4: 403, 8: 500, 9: 503, 23: 503, 26: 429, 27: 429}[code]
    assert (told.content["code"], siem.splunk.arrived.events) == (code, 0)


@pytest.mark.parametrize("code", [24, 25])
async def test_near_capacity_is_accepted(siem: Siem, code: int):
    """Codes 24 and 25 are a 200 like any other: the events are in."""
    siem.splunk.fault(code=code)
    assert (await send_hec(siem, hec(0) + hec(1))).status == 200
    assert siem.splunk.arrived.events == 2


@pytest.mark.parametrize(("code", "named"), [(6, 1), (12, 1), (15, 1), (7, 2)])
async def test_a_match_refuses_the_event_that_holds_it(siem: Siem, code: int, named: int):
    """As for a real mistake: what stands before is indexed, the number is the code's own."""
    siem.splunk.fault(code=code, match="poison", times=0)
    told = await send_hec(siem, hec(0) + hec(1, event="poison") + hec(2))
    assert (told.content["code"], told.content["invalid-event-number"]) == (code, named)
    assert siem.splunk.arrived.ids == ["id-0"]
    assert (await send_hec(siem, hec(2))).status == 200


async def test_a_match_finds_packed_bodies_and_leaves_others_alone(siem: Siem):
    """Datadog refuses the arrays that hold the text, whole, and takes the others."""
    siem.datadog.fault(status=400, match="poison", times=0)
    bad = packed(logs(log(0), log(1, message="poison")))
    assert (await send_logs(siem, bad, **{"Content-Encoding": "gzip"})).status == 400
    assert (await send_logs(siem, logs(log(0)))).status == 202
    assert siem.datadog.arrived.ids == ["id-0"]


@pytest.mark.parametrize(("accept", "taken"), [(0, 0), (2, 2), (-1, 3)])
async def test_an_error_may_have_taken_something_in(siem: Siem, accept: int, taken: int):
    """Code 8 may have indexed: `accept` says how much."""
    siem.splunk.fault(code=8, accept=accept)
    siem.datadog.fault(status=500, accept=accept)
    assert (await send_hec(siem, hec(0) + hec(1) + hec(2))).status == 500
    assert (await send_logs(siem, logs(log(0), log(1), log(2)))).status == 500
    assert (siem.splunk.arrived.events, siem.datadog.arrived.events) == (taken, taken)


async def test_an_answer_can_be_cut_short(siem: Siem):
    """The events are in, and the client reads less than was promised."""
    siem.datadog.fault(status=202, cut=90, body={"padding": "x" * 200})
    with pytest.raises(IncompleteRead):
        await send_logs(siem, logs(log(0)))
    siem.splunk.fault(cut=0)
    with pytest.raises(RemoteDisconnected):
        await send_hec(siem, hec(0))
    assert siem.splunk.arrived.events == 1
    assert siem.splunk.arrived.answers == {0: 1}


async def test_a_request_can_be_reset_in_its_middle(siem: Siem):
    """The connection ends by RST before the body has come, and nothing is taken in."""
    siem.splunk.fault(cut_request=100_000)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        await send_hec(siem, hec(0, event="x" * 20_000_000))
    assert siem.splunk.arrived.events == 0
    assert (await send_hec(siem, hec(0))).status == 200


async def test_an_answer_can_be_reset(siem: Siem):
    """RST where a cut alone would have been the end of the stream."""
    siem.splunk.fault(cut=0, reset=True)
    with pytest.raises(ConnectionResetError):
        await send_hec(siem, hec(0))


async def test_an_answer_can_be_late_and_slow(siem: Siem):
    """A delay comes before the first byte, a drip between any two; the answer is whole."""
    siem.splunk.fault(delay=0.2)
    siem.splunk.fault(drip=0.002)
    loop = asyncio.get_running_loop()
    began = loop.time()
    late = await send_hec(siem, hec(0))
    came = loop.time()
    slow = await send_hec(siem, hec(1))
    assert (late.status, slow.content["code"]) == (200, 0)
    assert came - began >= 0.2
    assert loop.time() - came >= 0.002 * len(slow.body)


async def test_an_answer_that_never_comes_does_not_outlive_the_stand_in():
    """A hung probe is cut when the stand-in ends."""
    async with stand_in() as siem:
        siem.splunk.fault(delay=3600, on="health")
        asked = asyncio.create_task(ask(siem.splunk.url, "/services/collector/health"))
        await until(lambda: not siem.splunk.script.left)
    with pytest.raises(RemoteDisconnected):
        await asked


async def test_places_have_faults_of_their_own(siem: Siem):
    """A sick health endpoint takes events all the same."""
    siem.splunk.fault(code=18, on="health", times=0)
    siem.splunk.fault(status=500, on="ack", times=0)
    assert (await ask(siem.splunk.url, "/services/collector/health")).status == 503
    assert (await send_hec(siem, b"{}", "/services/collector/ack")).status == 500
    assert (await send_hec(siem, hec(0))).status == 200


async def test_faults_are_scripted_over_http(siem: Siem):
    """POST appends a list, GET shows what is left, DELETE clears."""
    url = siem.splunk.url
    script = json.dumps([{"status": 503, "times": 2}, {"code": 9}]).encode()
    assert (await ask(url, "/_faults", script)).status == 200
    assert (await send_hec(siem, hec(0))).status == 503
    left = (await ask(url, "/_faults")).content
    assert [(each["status"], each["code"]) for each in left] == [(503, None), (None, 9)]
    await ask(url, "/_faults", method="DELETE")
    assert (await send_hec(siem, hec(0))).status == 200


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/_faults", "POST", b'[{"stauts": 503}]'),
        ("/_faults", "POST", b"nonsense"),
        ("/_settings", "PUT", b'{"tokens": 7}'),
        ("/_settings", "PUT", b'{"tokns": []}'),
    ],
)
async def test_a_mistake_in_a_script_is_named(siem: Siem, path: str, method: str, body: bytes):
    """A field that is not known is refused, not left out; nothing is changed."""
    told = await ask(siem.splunk.url, path, body, method=method)
    assert (told.status, "mistake" in told.content) == (400, True)
    assert (siem.splunk.script.left, siem.splunk_settings.tokens) == ([], {"local-splunk-token"})


async def test_what_arrived_is_told_with_positions_and_repeats(siem: Siem):
    """A record that comes twice is counted twice and told apart."""
    await send_hec(siem, hec(0) + hec(1) + hec(5))
    await send_hec(siem, hec(1) + b'{"event": "from nowhere"}')
    told = (await ask(siem.splunk.url, "/_arrived")).content
    assert (told["sink"], told["events"], told["distinct"]) == ("splunk", 5, 4)
    assert (told["repeated"], told["unplaced"], told["requests"]) == (1, 1, 2)
    assert told["positions"] == {"events": {"0": [[0, 1], [5, 5]]}}
    assert told["ids"] == ["id-0", "id-1", "id-5", "id-1"]
    brief = (await ask(siem.splunk.url, "/_arrived?counts")).content
    assert brief == {key: value for key, value in told.items() if key not in ("positions", "ids")}
    await ask(siem.splunk.url, "/_arrived", method="DELETE")
    assert siem.splunk.arrived.events == 0


async def test_the_page_shows_what_arrived_and_runs_nothing(siem: Siem):
    """A person sees the newest entries; an event cannot put a script into the page."""
    await send_hec(siem, hec(0, event="<script>alert(1)</script>"))
    told = await ask(siem.splunk.url, "/")
    assert (told.is_html or b"<html" in told.body) and b"id-0" in told.body
    assert b"<script>" not in told.body


@given(st.lists(st.integers(0, 40), max_size=60))
def test_ranges_are_a_set_of_offsets(offsets: list[int]):
    """Ranges hold what a set would, never touch each other, and know what is new."""
    ranges, model = Ranges(), set()
    for offset in offsets:
        assert ranges.add(offset) == (offset not in model)
        model.add(offset)
    held = [n for first, last in ranges.ranges for n in range(first, last + 1)]
    assert held == sorted(model)
    assert all(a[1] + 1 < b[0] for a, b in zip(ranges.ranges, ranges.ranges[1:], strict=False))


async def test_counting_alone_counts_what_is_asked_for_later():
    """Unread bodies are counted when somebody asks; a bad token is refused all the same."""
    async with stand_in(count_only=True) as siem:
        body = packed(b"\n".join(hec(number) for number in range(70)))
        for _ in range(2):
            assert (await send_hec(siem, body, **{"Content-Encoding": "gzip"})).status == 200
        assert (await send_hec(siem, body, Authorization="Splunk no")).status == 403
        assert (await send_logs(siem, logs(log(0), log(1)))).status == 202
        assert (siem.splunk.arrived.events, siem.datadog.arrived.events) == (140, 2)
        assert siem.splunk.arrived.counts()["raw_bytes"] > siem.splunk.arrived.wire_bytes


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_a_client_that_speaks_no_http_harms_nobody(siem: Siem, head: bytes):
    """It is answered 411 or not at all, and the next client is served."""
    parts = urlsplit(siem.splunk.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(head)
    assert (await reader.read())[:12] in (b"", b"HTTP/1.1 411")
    writer.close()
    await writer.wait_closed()
    assert (await send_hec(siem, hec(0))).status == 200


async def test_counts_outlive_the_process(tmp_path: Path):
    """Stopped and started again with the same state, a stand-in goes on counting."""
    async with process(tmp_path) as urls:
        sent = await ask(
            urls["splunk"],
            "/services/collector/event",
            hec(0) + hec(1),
            {"Authorization": "Splunk given"},
        )
        assert sent.status == 200
    async with process(tmp_path) as urls:
        await ask(
            urls["splunk"],
            "/services/collector/event",
            hec(1) + hec(2),
            {"Authorization": "Splunk given"},
        )
        told = (await ask(urls["splunk"], "/_arrived")).content
        assert (told["events"], told["distinct"]) == (4, 3)
        assert told["positions"] == {"events": {"0": [[0, 2]]}}
        assert (await ask(urls["datadog"], "/_arrived")).content["events"] == 0


@asynccontextmanager
async def process(state: Path) -> AsyncIterator[dict[str, str]]:
    """Run the stand-ins as `make up` does, and yield their addresses."""
    command = [str(SERVE), "--splunk-port", "0", "--datadog-port", "0", "--state", str(state)]
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "INGEST_SPLUNK__TOKEN": "given"},
    )
    try:
        yield json.loads(await asyncio.wait_for(running.stdout.readline(), 20))
    finally:
        running.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.wait(), 20) == 0
