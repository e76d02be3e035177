"""A TCP proxy in front of a broker, which can be cut off or frozen while clients are connected."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class BrokerProxy:
    """Passes bytes on, and makes the broker advertise the proxy's address in place of its own."""

    def __init__(self, bootstrap: str) -> None:
        host, _, port = bootstrap.rpartition(":")
        self._host, self._port = host, int(port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"{self._host}:{self._server.sockets[0].getsockname()[1]}"

    async def listen(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, self._host, port)

    def freeze(self) -> None:
        """Accept and swallow: what a cut cable looks like."""
        self._passing.clear()

    async def cut(self) -> None:
        """Close every connection and take no more."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            there, here = await asyncio.open_connection(self._host, self._port)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass_on(reader, here, translate=False))
                    both.create_task(self._pass_on(there, writer, translate=True))
            finally:
                here.close()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pass_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, translate: bool
    ) -> None:
        own_port = int(self.address.rpartition(":")[2])
        theirs = self._host.encode() + struct.pack(">i", self._port)
        ours = self._host.encode() + struct.pack(">i", own_port)
        while chunk := await source.read(1 << 16):
            await self._passing.wait()
            target.write(chunk.replace(theirs, ours) if translate else chunk)
            await target.drain()
        raise ConnectionResetError


@asynccontextmanager
async def broker_proxy(bootstrap: str) -> AsyncIterator[BrokerProxy]:
    """Yield a proxy in front of the broker."""
    proxy = BrokerProxy(bootstrap)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.cut()
