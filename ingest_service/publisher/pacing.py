"""Sample events as lines, so many and so fast as asked."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import count

import msgspec

from ingest_service.publisher.sample import sample_events

_TICK_SECONDS = 0.02


async def sample_lines(
    number: int | None, rate: float | None, seed: int | None
) -> AsyncIterator[bytes]:
    """Yield `number` events (without end if None), `rate` a second (all at once if None)."""
    encode = msgspec.json.Encoder().encode
    events = sample_events(seed, time.time)
    started = time.monotonic()
    for index in count() if number is None else range(number):
        early_seconds = 0 if rate is None else started + index / rate - time.monotonic()
        if early_seconds > 0:
            await asyncio.sleep(max(_TICK_SECONDS, early_seconds))
        yield encode(next(events))
