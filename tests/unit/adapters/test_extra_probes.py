"""INGEST_HEALTH__PROBES against real sockets: what answers, refuses, hangs or says no."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ingest_service.adapters.extra_probes import extra_probes
from ingest_service.settings_health import HealthSettings
from ingest_service.telemetry import probing as module
from ingest_service.telemetry.health import Health
from ingest_service.telemetry.probing import probing
from waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.05)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.3)


@asynccontextmanager
async def server(answer: bytes | None) -> AsyncIterator[str]:
    """Yield a server's address; it says this to whatever it is asked, or nothing at all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1)
            if answer is None:
                await asyncio.Event().wait()
            writer.write(answer or b"")
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


async def found(url: str) -> tuple[str, str]:
    """Return status and detail of a probe of this address."""
    health = Health()
    settings = HealthSettings(probes=f"it={url}")
    async with extra_probes(settings.extra) as asks, probing(health, asks):
        await until(lambda: "it" in health.detailed(time.monotonic())["components"])
        shown = health.detailed(time.monotonic())["components"]["it"]
    return shown["status"], shown["detail"]


def http(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
async def test_page_that_says_yes_is_healthy(status: str) -> None:
    """Any 2xx will do."""
    async with server(http(status)) as address:
        assert await found(f"http://{address}/health") == ("healthy", "")


@pytest.mark.parametrize("status", ["302 Found", "401 No", "404 Not Found", "503 Busy"])
async def test_page_that_says_anything_else_is_not(status: str) -> None:
    """A redirect is no yes either: a login page answers 200."""
    async with server(http(status)) as address:
        assert await found(f"http://{address}/health") == (
            "unhealthy",
            f"it answers HTTP {status[:3]}",
        )


async def test_page_that_never_comes_is_unhealthy() -> None:
    """A server that takes the question and hangs is found out within the patience."""
    async with server(None) as address:
        assert await found(f"http://{address}/") == ("unhealthy", "no answer within 0.3 s")


async def test_port_that_takes_a_connection_is_healthy() -> None:
    """More than that is not asked of a TCP port."""
    async with server(None) as address:
        assert await found(f"tcp://{address}") == ("healthy", "")


async def test_port_whose_queue_is_full_is_unhealthy() -> None:
    """Connections that nobody takes any more hang: found out within the patience."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        host, port = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex((host, port))
            assert await found(f"tcp://{host}:{port}") == ("unhealthy", "no answer within 0.3 s")
        finally:
            for each in waiting:
                each.close()


@pytest.mark.parametrize("scheme", ["tcp", "http"])
async def test_absent_server_is_said_in_words(scheme: str) -> None:
    """Nothing listens there, or the name is nobody's: an operator knows where to look."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    status, words = await found(f"{scheme}://127.0.0.1:{port}")
    assert (status, words) == ("unhealthy", "connection refused: nothing listens there")


async def test_name_of_nobody_is_said_in_words() -> None:
    """A slip in the settings looks like one."""
    status, words = await found("tcp://no-such-host.invalid:6379")
    assert status == "unhealthy"
    assert words in {"its name cannot be resolved", "no answer within 0.3 s"}


async def test_what_speaks_no_http_is_unhealthy() -> None:
    """A port of something else is told as such, without a word of what it said."""
    async with server(b"-ERR canary\r\n") as address:
        status, words = await found(f"http://{address}/")
        assert status == "unhealthy"
        assert "canary" not in words
