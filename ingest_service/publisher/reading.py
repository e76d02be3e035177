"""Lines from a file or a pipe, without ever keeping the event loop waiting for a writer."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator

from ingest_service.events.v1.bounds import MAX_VALUE_BYTES

_CHUNK_BYTES = 256 << 10


async def read_lines(descriptor: int) -> AsyncIterator[bytes]:
    """Yield lines without their ends.

    Of a line that is too large for the contract only so much is kept that it shows.
    """
    rest = b""
    async for chunk in _chunks(descriptor):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        rest = rest[: MAX_VALUE_BYTES + 1]
    if rest:
        yield rest


async def _chunks(descriptor: int) -> AsyncIterator[bytes]:
    waits = not stat.S_ISREG(os.fstat(descriptor).st_mode)
    while True:
        if waits:
            waits = await _readable(descriptor)
        chunk = os.read(descriptor, _CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


async def _readable(descriptor: int) -> bool:
    """Wait for a writer; return False for a device that is always ready, such as /dev/null."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(descriptor, _set, ready)
    except OSError:  # epoll refuses what cannot make anybody wait
        return False
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
    return True


def _set(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
