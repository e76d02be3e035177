"""Questions beside the work are asked again and again, and harm nothing when there is no answer."""

from __future__ import annotations

import asyncio

from ingest_service.errors import DatabaseUnavailableError
from ingest_service.telemetry.asking import Question, asking
from waiting import until


async def test_question_is_asked_again_after_a_failure() -> None:
    """Neither an error nor a late answer ends the asking, or the others' asking."""
    asked = {"away": 0, "late": 0, "well": 0}

    async def away() -> None:
        asked["away"] += 1
        raise DatabaseUnavailableError("canary")

    async def late() -> None:
        asked["late"] += 1
        await asyncio.Event().wait()

    async def well() -> None:
        asked["well"] += 1

    questions = [Question(each.__name__, each, 0.001, 0.01) for each in (away, late, well)]
    async with asking(*questions):
        await until(lambda: min(asked.values()) > 2)
    ended = dict(asked)
    await asyncio.sleep(0)
    assert asked == ended


async def test_leaving_waits_for_nobody() -> None:
    """A database that hangs does not hold up a worker that stops."""

    async def hang() -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        async with asking(Question("hang", hang, 60, 60)):
            await asyncio.sleep(0)
