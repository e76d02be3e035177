"""Each dependency is asked every few seconds, with or without work; pages repeat the answer.

So a storm of scrapes asks nothing, and an idle worker still knows that its database is gone.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from ingest_service.telemetry.health import Health, Status
from ingest_service.telemetry.logs import say_exception

EVERY_SECONDS = 10.0
PATIENCE_SECONDS = 3.0
"""How long an answer may take; a dependency that hangs is not healthy."""


class Answer(NamedTuple):
    """What a dependency said; `detail` is for a person, without secrets."""

    status: Status = Status.HEALTHY
    detail: str = ""


Ask = Callable[[], Awaitable[Answer]]
"""Asks a dependency once; whatever it raises means that there was no answer."""


@asynccontextmanager
async def probing(health: Health, asks: Mapping[str, Ask]) -> AsyncIterator[None]:
    """Ask each of these again and again, each beside the others, while the block runs."""
    tasks = [
        asyncio.create_task(_keep_asking(component, ask, health), name=f"probe-{component}")
        for component, ask in asks.items()
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_asking(component: str, ask: Ask, health: Health) -> None:
    while True:
        began = time.monotonic()
        answer = await _answer(ask)
        now = time.monotonic()
        health.probed(
            component,
            answer.status,
            now,
            detail=answer.detail,
            latency_seconds=None if answer.status is Status.UNHEALTHY else now - began,
        )
        await asyncio.sleep(EVERY_SECONDS)


async def _answer(ask: Ask) -> Answer:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await ask()
    except TimeoutError:
        return Answer(Status.UNHEALTHY, f"no answer within {PATIENCE_SECONDS:g} s")
    except Exception as exc:  # noqa: BLE001 - to ask is no reason for a worker to end
        return Answer(Status.UNHEALTHY, say_exception(exc))
