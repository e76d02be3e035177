"""A client of the stand-ins that is not the product's: the standard library's, in a thread."""

from __future__ import annotations

import asyncio
import gzip
import json
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

TOKEN = {"Authorization": "Splunk local-splunk-token"}
KEY = {"DD-API-KEY": "local-datadog-key", "Content-Type": "application/json"}
CHANNEL = "0f8fad5b-d9cb-469f-a165-70867728950e"


class Told(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    @property
    def is_html(self) -> bool:
        return self.headers["Content-Type"].startswith("text/html") and b"<html>" in self.body


async def ask(
    url: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    method: str = "",
) -> Told:
    """Send a request on a connection of its own and return the answer."""
    return await asyncio.to_thread(_ask, url, path, body, headers or {}, method)


def _ask(url: str, path: str, body: bytes | None, headers: dict[str, str], method: str) -> Told:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
        answer = connection.getresponse()
        return Told(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


async def send_hec(siem: Any, body: bytes, path: str = "", **headers: str) -> Told:
    """Send a body to the collector with a good token."""
    path = path or "/services/collector/event"
    return await ask(siem.splunk.url, path, body, {**TOKEN, **headers})


async def send_logs(siem: Any, body: bytes, **headers: str) -> Told:
    """Send a body to Datadog's intake with a good key."""
    return await ask(siem.datadog.url, "/api/v2/logs", body, {**KEY, **headers})


def hec(number: int, **more: object) -> bytes:
    """Return one good object, with more or other keys."""
    fields = {"audit_id": f"id-{number}", "topic": "events", "partition": 0, "offset": number}
    whole = {"time": 1.5, "sourcetype": "sark:gateway", "event": {"n": number}, "fields": fields}
    return json.dumps({**whole, **more}).encode()


def log(number: int, **more: object) -> dict[str, Any]:
    """Return one good entry, with more or other keys."""
    kafka = {"topic": "events", "partition": 0, "offset": number}
    return {"message": f"event {number}", "audit_id": f"id-{number}", "kafka": kafka, **more}


def logs(*entries: object) -> bytes:
    return json.dumps(entries).encode()


def packed(body: bytes) -> bytes:
    return gzip.compress(body)
