"""Asking again and again: what hangs, fails or storms harms neither the pages nor anybody else."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry

from ingest_service.errors import DatabaseUnavailableError
from ingest_service.telemetry import probing as module
from ingest_service.telemetry.endpoint import Endpoint
from ingest_service.telemetry.health import Health, Status
from ingest_service.telemetry.probing import Answer, probing
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)


def shown(health: Health, component: str) -> dict:
    return health.detailed(time.monotonic())["components"].get(component, {})


def says(health: Health, component: str, status: str) -> Callable[[], bool]:
    return lambda: shown(health, component).get("status") == status


async def well() -> Answer:
    return Answer()


async def hangs() -> Answer:
    await asyncio.Event().wait()
    raise AssertionError


async def test_answers_become_components_with_their_latency() -> None:
    """Healthy, busy and away are told apart; only who answered has a latency."""

    async def busy() -> Answer:
        return Answer(Status.DEGRADED, "it is busy")

    async def away() -> Answer:
        raise DatabaseUnavailableError("start the database")

    health = Health()
    async with probing(health, {"a": well, "b": busy, "c": away}):
        await until(lambda: len(health.detailed(time.monotonic())["components"]) == 3)
    assert (shown(health, "a")["status"], shown(health, "a")["detail"]) == ("healthy", "")
    assert shown(health, "a")["latency_ms"] >= 0
    assert (shown(health, "b")["status"], shown(health, "b")["detail"]) == (
        "degraded",
        "it is busy",
    )
    assert shown(health, "c")["detail"] == "start the database"
    assert shown(health, "c")["latency_ms"] is None


async def test_what_hangs_is_not_healthy_and_holds_nobody_up() -> None:
    """No answer within the patience is an answer; the others are asked meanwhile."""
    health = Health()
    async with probing(health, {"hangs": hangs, "well": well}):
        await until(says(health, "well", "healthy"))
        assert shown(health, "hangs") == {}
        await until(says(health, "hangs", "unhealthy"))
    assert shown(health, "hangs")["detail"] == "no answer within 0.1 s"


async def test_bug_of_a_probe_ends_no_worker_and_tells_no_text() -> None:
    """An unknown exception is shown by its type, and the dependency is asked again."""
    asked = 0

    async def breaks() -> Answer:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise LookupError("canary")
        return Answer()

    health = Health()
    seen = []
    async with probing(health, {"odd": breaks}):
        await until(lambda: seen.append(shown(health, "odd").get("detail")) or asked > 1)
        await until(says(health, "odd", "healthy"))
    assert "canary" not in str(seen)


async def test_nothing_is_asked_after_the_block() -> None:
    """Leaving ends every question, also one that hangs."""
    asked = 0

    async def counting() -> Answer:
        nonlocal asked
        asked += 1
        return Answer()

    async with probing(Health(), {"hangs": hangs, "counting": counting}):
        await until(lambda: asked > 2)
    before = asked
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("probe-")]
    assert asked == before


async def test_storm_of_scrapes_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred looks at the page cost the dependency not one question more."""
    monkeypatch.setattr(module, "EVERY_SECONDS", 600)
    connections = 0

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()

    async def ask() -> Answer:
        _, writer = await asyncio.open_connection(*address)
        writer.close()
        return Answer()

    health = Health()
    async with server, probing(health, {"server": ask}):
        await until(lambda: connections == 1 and shown(health, "server"))
        with Endpoint("127.0.0.1", 0, CollectorRegistry(), health) as port:
            url = f"http://127.0.0.1:{port}/health/detailed"
            with ThreadPoolExecutor(8) as scrapers:
                pages = await asyncio.gather(
                    *(
                        asyncio.get_running_loop().run_in_executor(scrapers, read, url)
                        for _ in range(200)
                    )
                )
    assert all(b'"server"' in page for page in pages)
    assert connections == 1


def read(url: str) -> bytes:
    with urlopen(url, timeout=5) as answer:
        return answer.read()
