"""The stand-in for Datadog answers each request as the intake is documented to."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from contract.siem_client import KEY, ask, log, logs, packed, send_logs
from siem import Siem, stand_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# The request of the API's reference page.
DOCUMENTED = {
    "ddsource": "nginx",
    "ddtags": "env:staging,version:5.1",
    "hostname": "i-012345678",
    "message": "2019-11-19T14:37:58,995 INFO [process.name][20081] Hello World",
    "service": "payment",
}
BAD_BODIES = {
    "not JSON": b"[nonsense]",
    "cut off": logs(log(0))[:-1],
    "no array": json.dumps(log(0)).encode(),
    "entry without a message": logs(log(0), {"audit_id": "x"}, log(1)),
    "message that is no string": logs(log(0), log(1, message={"a": 1})),
    "entry that is no object": logs(log(0), 7),
    "not UTF-8": b'[{"message": "good"}, {"message": "\xff"}]',
}


@pytest.fixture
async def siem() -> AsyncIterator[Siem]:
    async with stand_in() as running:
        yield running


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_an_array_is_taken_in(siem: Siem, encoding: str):
    """202 for the whole array; each entry is kept byte for byte."""
    body = logs(log(0), log(1))
    pack = packed if encoding == "gzip" else bytes
    told = await send_logs(siem, pack(body), **{"Content-Encoding": encoding})
    assert (told.status, told.content) == (202, {})
    assert [json.loads(entry.raw) for entry in siem.datadog.arrived.entries] == [log(0), log(1)]
    assert siem.datadog.arrived.ids == ["id-0", "id-1"]
    assert siem.datadog.arrived.offsets("events", 0) == [(0, 1)]
    assert siem.datadog.arrived.problems == {}


async def test_the_documented_request_is_taken(siem: Siem):
    """The reference page's own example is answered as it says there."""
    told = await send_logs(siem, logs(DOCUMENTED), Accept="application/json")
    assert (told.status, told.content) == (202, {})
    assert (siem.datadog.arrived.events, siem.datadog.arrived.problems) == (1, {})


@pytest.mark.parametrize("case", BAD_BODIES)
async def test_one_bad_entry_refuses_the_array_and_is_not_named(siem: Siem, case: str):
    """400 says nothing about which entry it was, and nothing is taken in."""
    told = await send_logs(siem, BAD_BODIES[case])
    assert (told.status, siem.datadog.arrived.events) == (400, 0)
    assert told.content == {"errors": [{"status": "400", "title": "Bad Request"}]}


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("", 401), ("wrong", 403)])
@pytest.mark.parametrize("path", ["/api/v2/logs", "/api/v1/validate"])
async def test_a_missing_key_is_401_and_a_wrong_one_403(siem, key: str | None, status, path):
    """The intake and `validate` tell the two apart."""
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"DD-API-KEY": key})
    body = logs(log(0)) if path == "/api/v2/logs" else None
    assert (await ask(siem.datadog.url, path, body, headers)).status == status
    assert siem.datadog.arrived.events == 0


async def test_validate_tells_that_a_key_is_good(siem: Siem):
    """The same key as for logs, and no entry is left behind."""
    told = await ask(siem.datadog.url, "/api/v1/validate", None, KEY)
    assert (told.status, told.content) == (200, {"valid": True})


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_body_over_5_megabytes_is_too_large(siem: Siem, encoding: str):
    """The limit counts uncompressed UTF-8 bytes: exactly 5,000,000 pass."""
    pack = packed if encoding == "gzip" else bytes
    body = logs(*(log(n, message="x" * 900_000) for n in range(5)))
    fits, over = (body.ljust(size) for size in (5_000_000, 5_000_001))
    statuses = [
        (await send_logs(siem, pack(each), **{"Content-Encoding": encoding})).status
        for each in (fits, over)
    ]
    assert statuses == [202, 413]
    assert siem.datadog.arrived.events == 5


async def test_a_thousand_entries_and_no_more(siem: Siem):
    """1,000 entries pass, 1,001 are too large."""
    fits = await send_logs(siem, logs(*map(log, range(1000))))
    over = await send_logs(siem, logs(*map(log, range(1001))))
    assert (fits.status, over.status) == (202, 413)
    # As recorded in open-telemetry/opentelemetry-collector-contrib#16834.
    said = {"status": "413", "title": "Request Entity Too Large", "detail": "Request too large"}
    assert over.content == {"errors": [said]}


async def test_an_entry_over_a_megabyte_is_cut_behind_a_success(siem: Siem):
    """202, and what arrived is not what was sent."""
    entry = log(0, message="ä" * 600_000)
    body = json.dumps([entry], ensure_ascii=False).encode()
    assert (await send_logs(siem, body)).status == 202
    assert len(siem.datadog.arrived.entries[0].raw) == 1_000_000
    assert siem.datadog.arrived.problems == {"truncated": 1}


async def test_what_the_intake_ignores_is_noticed(siem: Siem):
    """A time that is no integer, one that is too old, tags that are no string: 202 and a note."""
    old = int((time.time() - 19 * 3600) * 1000)
    entries = [log(0, timestamp=1.5), log(1, timestamp=old), log(2, ddtags=["a"])]
    assert (await send_logs(siem, logs(*entries))).status == 202
    assert siem.datadog.arrived.problems == {
        "timestamp_not_integer": 1,
        "older_than_18_hours": 1,
        "ddtags_not_string": 1,
    }


@pytest.mark.parametrize("wrong", [{"Content-Type": "text/plain"}, {"Content-Encoding": "deflate"}])
async def test_a_body_of_another_kind_is_answered_with_a_page(siem: Siem, wrong: dict[str, str]):
    """Only JSON is taken, plain or gzip."""
    told = await send_logs(siem, logs(log(0)), **wrong)
    assert (told.status, told.is_html) == (415, True)


async def test_a_broken_gzip_body_is_refused(siem: Siem):
    """A body that cannot be unpacked is a bad payload."""
    told = await send_logs(siem, packed(logs(log(0)))[:-9], **{"Content-Encoding": "gzip"})
    assert told.status == 400
