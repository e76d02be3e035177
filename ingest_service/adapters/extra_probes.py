"""Asks what the settings name: whether a port takes connections, whether a page says yes."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from http import HTTPStatus

from ingest_service.adapters.http import HttpSender, in_words
from ingest_service.settings_health import ExtraProbe
from ingest_service.telemetry.health import Status
from ingest_service.telemetry.probing import PATIENCE_SECONDS, Answer, Ask


@asynccontextmanager
async def extra_probes(probes: Sequence[ExtraProbe]) -> AsyncIterator[Mapping[str, Ask]]:
    """Yield what asks each of them, by name."""
    async with AsyncExitStack() as stack:
        asks: dict[str, Ask] = {}
        for probe in probes:
            if probe.address.scheme == "tcp":
                asks[probe.name] = partial(_connect, probe)
            else:
                # A client each: one server that hangs holds no connection of another's.
                sender = HttpSender(total_seconds=2 * PATIENCE_SECONDS)
                await stack.enter_async_context(sender)
                asks[probe.name] = partial(_get, sender, probe.url)
        yield asks


async def _connect(probe: ExtraProbe) -> Answer:
    """Say whether the port takes a connection; what would answer on it is not asked."""
    try:
        _, writer = await asyncio.open_connection(probe.address.hostname, probe.address.port)
    except TimeoutError:
        raise
    except OSError as exc:
        return Answer(Status.UNHEALTHY, in_words(exc))
    writer.transport.abort()  # RST: a port that is asked every few seconds keeps no old sockets
    return Answer()


async def _get(sender: HttpSender, url: str) -> Answer:
    answer = await sender.get(url, {})
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return Answer()
    return Answer(Status.UNHEALTHY, f"it answers HTTP {answer.status}")
