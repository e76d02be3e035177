"""What each kind of worker asks: its own dependencies and those that the settings add, no others."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from ingest_service.adapters.http import Tls
from ingest_service.dependencies import forwarder_probed, persister_probed
from ingest_service.errors import SetupError
from ingest_service.settings import Settings
from ingest_service.telemetry import probing
from ingest_service.telemetry.health import Health
from siem import stand_in
from waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from siem import Siem

NOBODY = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "EVERY_SECONDS", 0.02)


@pytest.fixture
async def siem() -> AsyncIterator[Siem]:
    async with stand_in() as siem:
        yield siem


def settings(siem: Siem | None = None, **more: object) -> Settings:
    groups: dict[str, object] = {
        "kafka": {"bootstrap_servers": NOBODY},
        "database": {"dsn": f"postgresql://{NOBODY}/audit"},
    }
    if siem is not None:
        groups["splunk"] = {"url": siem.splunk.url, "token": "local-splunk-token"}
        groups["datadog"] = {"url": siem.datadog.url, "api_key": "local-datadog-key"}
    return Settings(**(groups | more))


def statuses(health: Health) -> dict[str, str]:
    shown = health.detailed(time.monotonic())["components"]
    return {name: str(each["status"]) for name, each in shown.items()}


def detail(health: Health, component: str) -> str:
    return health.detailed(time.monotonic())["components"][component]["detail"]


async def test_persister_asks_kafka_database_and_what_is_added() -> None:
    """Nobody is there: each is told with what is wrong, and nothing is asked of a sink."""
    health = Health()
    added = settings(health={"probes": f"redis=tcp://{NOBODY}"})
    async with persister_probed(added, health):
        await until(lambda: len(statuses(health)) == 3)
    assert statuses(health) == dict.fromkeys(("kafka", "database", "redis"), "unhealthy")
    assert "connection refused" in detail(health, "kafka")
    assert "connection refused" in detail(health, "database")


async def test_persister_without_a_database_is_told_at_once() -> None:
    """The setting is missing: no probe hides that."""
    with pytest.raises(SetupError, match="INGEST_DATABASE__DSN"):
        async with persister_probed(settings(database={}), Health()):
            pass


async def test_forwarder_asks_the_sinks_that_it_serves(siem: Siem) -> None:
    """One sink alone (`--sink`): the other is none of its dependencies, and neither the database."""
    health = Health()
    async with forwarder_probed(settings(siem), health, {"splunk": Tls()}):
        await until(lambda: len(statuses(health)) == 2)
    assert statuses(health) == {"kafka": "unhealthy", "splunk": "healthy"}
    assert siem.splunk.arrived.events == 0


async def test_busy_collector_is_degraded_and_well_again(siem: Siem) -> None:
    """Splunk says how it is, by its code, without a token."""
    health = Health()
    siem.splunk_settings.health_code = 18
    async with forwarder_probed(settings(siem), health, {"splunk": Tls()}):
        await until(lambda: statuses(health).get("splunk") == "degraded")
        assert "busy (code 18)" in detail(health, "splunk")
        siem.splunk_settings.health_code = 17
        await until(lambda: statuses(health)["splunk"] == "healthy")


async def test_what_is_no_collector_is_unhealthy(siem: Siem) -> None:
    """An address that leads somewhere else is told before the first event."""
    health = Health()
    elsewhere = settings(splunk={"url": siem.datadog.url, "token": "t"})
    async with forwarder_probed(elsewhere, health, {"splunk": Tls()}):
        await until(lambda: statuses(health).get("splunk") == "unhealthy")
    assert "no answer of an event collector" in detail(health, "splunk")


async def test_intake_that_answers_is_healthy(siem: Siem) -> None:
    """Any answer shows Datadog reachable: what it takes, only a log can tell."""
    health = Health()
    async with forwarder_probed(settings(siem), health, {"datadog": Tls()}):
        await until(lambda: statuses(health).get("datadog") == "healthy")
    assert siem.datadog.arrived.events == 0


async def test_proxy_that_finds_no_intake_is_degraded() -> None:
    """A server's own error in the intake's place is told, and is no proof that nothing goes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    health = Health()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as proxy:
        url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        behind = settings(datadog={"url": url, "api_key": "local-datadog-key"})
        async with forwarder_probed(behind, health, {"datadog": Tls()}):
            await until(lambda: statuses(health).get("datadog") == "degraded")
    assert detail(health, "datadog") == "it answers HTTP 502"
