"""What a worker depends on, and how each of it is asked: shown by /health/detailed."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Final

from ingest_service.adapters.database_probe import DatabaseProbe
from ingest_service.adapters.extra_probes import extra_probes
from ingest_service.adapters.http import HttpSender, Tls
from ingest_service.adapters.kafka_probe import KafkaProbe
from ingest_service.preflight.finding import Verdict
from ingest_service.preflight.splunk import judge_health
from ingest_service.settings import Settings
from ingest_service.telemetry.health import Health, Status
from ingest_service.telemetry.probing import PATIENCE_SECONDS, Answer, Ask, probing

_STATUSES: Final = {
    Verdict.RIGHT: Status.HEALTHY,
    Verdict.WARNING: Status.DEGRADED,
    Verdict.WRONG: Status.UNHEALTHY,
}


@asynccontextmanager
async def persister_probed(settings: Settings, health: Health) -> AsyncIterator[None]:
    """Ask Kafka, the database and what the settings add, while the block runs."""
    async with DatabaseProbe(settings.require_dsn()) as database:
        async with _probed(settings, health, {"database": database.ask}):
            yield


@asynccontextmanager
async def forwarder_probed(
    settings: Settings, health: Health, sinks: Mapping[str, Tls]
) -> AsyncIterator[None]:
    """Ask Kafka, each of these sinks and what the settings add, while the block runs."""
    questions = {
        "splunk": partial(_ask_splunk, f"{settings.splunk.url}/services/collector/health"),
        "datadog": partial(_ask_datadog, f"{settings.datadog.intake}/"),
    }
    async with AsyncExitStack() as stack:
        asks: dict[str, Ask] = {}
        for name, tls in sinks.items():
            sender = HttpSender(tls, total_seconds=2 * PATIENCE_SECONDS)
            await stack.enter_async_context(sender)
            asks[name] = partial(questions[name], sender)
        async with _probed(settings, health, asks):
            yield


@asynccontextmanager
async def _probed(
    settings: Settings, health: Health, own: Mapping[str, Ask]
) -> AsyncIterator[None]:
    async with KafkaProbe(settings.kafka) as kafka, extra_probes(settings.health.extra) as extra:
        async with probing(health, {"kafka": kafka.ask, **own, **extra}):
            yield


async def _ask_splunk(url: str, sender: HttpSender) -> Answer:
    finding = judge_health(await sender.get(url, {}))
    return Answer(_STATUSES[finding.verdict], finding.said if finding.advice else "")


async def _ask_datadog(url: str, sender: HttpSender) -> Answer:
    """Say whether the intake can be reached: what it takes, only a log can tell."""
    answer = await sender.get(url, {})
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Answer(Status.DEGRADED, f"it answers HTTP {answer.status}")
    return Answer()
