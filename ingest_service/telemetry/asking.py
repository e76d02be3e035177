"""Questions whose answers only metrics show: asked again and again beside the work, never in it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog

from ingest_service.errors import IngestError

_log = structlog.get_logger(__name__)


class Question(NamedTuple):
    """What is asked and shown, how often, and how long it may take: a late answer is dropped."""

    name: str
    ask: Callable[[], Awaitable[None]]
    every_seconds: float
    within_seconds: float


@asynccontextmanager
async def asking(*questions: Question) -> AsyncIterator[None]:
    """Ask each of these, each beside the others, while the block runs."""
    tasks = [asyncio.create_task(_keep_asking(each), name=f"ask-{each.name}") for each in questions]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_asking(question: Question) -> None:
    while True:
        try:
            async with asyncio.timeout(question.within_seconds):
                await question.ask()
        except (IngestError, TimeoutError) as exc:  # health says it, louder
            _log.debug("no figures", question=question.name, error=type(exc).__name__)
        await asyncio.sleep(question.every_seconds)
