"""A TCP proxy in front of a server: it cuts, freezes, swallows, slows down and rewrites."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Outage(Enum):
    """How a server is away; see the methods of `Proxy` that begin and end it."""

    REFUSED = "cut"
    SILENT = "freeze"
    HALF_OPEN = "swallow"


class Proxy:
    """Passes bytes between clients and one server, for as long as it is not told otherwise.

    `rewrite_request` and `rewrite_answer` see each piece on its way and return what goes on
    instead; None cuts the connection there. What a piece is: see `__init__`.
    """

    def __init__(self, target: str, *, advertised: bool = False) -> None:
        """Stand in front of `target` (host:port).

        With `advertised` (a Kafka broker) a piece of an answer is one whole answer, and the broker advertises the proxy's
        address in place of its own. Else it is whatever one read returns.
        """
        host, _, port = target.rpartition(":")
        self._host, self._port = host, int(port)
        self._advertised = advertised
        self._server: asyncio.Server | None = None
        self._own_port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._swallowing = False
        self.rewrite_request: Callable[[bytes], bytes | None] | None = None
        self.rewrite_answer: Callable[[bytes], bytes | None] | None = None
        self.pace: tuple[int, float] | None = None  # answers go in so many bytes, so often

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"{self._host}:{self._own_port}"

    async def listen(self) -> None:
        """Take connections: at first on a free port, later on the same one again."""
        self._server = await asyncio.start_server(self._serve, self._host, self._own_port)
        self._own_port = self._server.sockets[0].getsockname()[1]

    def freeze(self) -> None:
        """Accept, and pass nothing on, in either direction: what a cut cable looks like."""
        self._passing.clear()

    def thaw(self) -> None:
        """Pass on again, with what was held, as TCP would after the cable is mended."""
        self._passing.set()

    def swallow(self) -> None:
        """Lose every byte: connections of this time look alive and are dead for ever."""
        self._swallowing = True

    def heal(self) -> None:
        """Serve new connections; those that lost bytes stay dead."""
        self._swallowing = False

    async def begin(self, outage: Outage) -> None:
        """Let the server be away."""
        match outage:
            case Outage.REFUSED:
                await self.cut()
            case Outage.SILENT:
                self.freeze()
            case Outage.HALF_OPEN:
                self.swallow()

    async def end(self, outage: Outage) -> None:
        """Let it be back."""
        match outage:
            case Outage.REFUSED:
                await self.listen()
            case Outage.SILENT:
                self.thaw()
            case Outage.HALF_OPEN:
                self.heal()

    def reset(self) -> None:
        """End every connection with RST."""
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            if connection is not None and connection.fileno() >= 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    async def cut(self) -> None:
        """End every connection with RST and take no more."""
        assert self._server is not None
        self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            there, here = await asyncio.open_connection(self._host, self._port)
            try:
                await self._both(self._ask(reader, here), self._answer(there, writer))
            finally:
                here.close()
        except* (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _both(self, *ways: Coroutine[None, None, None]) -> None:
        async with asyncio.TaskGroup() as both:
            for way in ways:
                both.create_task(way)

    async def _ask(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        lost = False
        while piece := await client.read(1 << 16):
            await self._passing.wait()
            lost = lost or self._swallowing
            if not lost:
                server.write(_rewritten(piece, self.rewrite_request))
                await server.drain()
        raise ConnectionResetError

    async def _answer(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        lost = False
        while piece := await self._read_answer(server):
            await self._passing.wait()
            lost = lost or self._swallowing
            if not lost:
                await self._write_paced(client, _rewritten(piece, self.rewrite_answer))
        raise ConnectionResetError

    async def _read_answer(self, server: asyncio.StreamReader) -> bytes:
        if not self._advertised:
            return await server.read(1 << 16)
        size = await server.readexactly(4)
        answer = size + await server.readexactly(int.from_bytes(size, "big"))
        return answer.replace(_advertised(self._host, self._port), self._own_advertised())

    def _own_advertised(self) -> bytes:
        return _advertised(self._host, self._own_port)

    async def _write_paced(self, client: asyncio.StreamWriter, piece: bytes) -> None:
        at = 0
        while at < len(piece):
            size, seconds = self.pace or (len(piece), 0.0)
            client.write(piece[at : at + size])
            await client.drain()
            at += size
            await asyncio.sleep(seconds)


def _rewritten(piece: bytes, rewrite: Callable[[bytes], bytes | None] | None) -> bytes:
    changed = piece if rewrite is None else rewrite(piece)
    if changed is None:
        raise ConnectionResetError
    return changed


def _advertised(host: str, port: int) -> bytes:
    """Return how a broker's answer spells an address."""
    return host.encode() + struct.pack(">i", port)


@asynccontextmanager
async def proxy_before(target: str, *, advertised: bool = False) -> AsyncIterator[Proxy]:
    """Yield a proxy in front of the server."""
    one = Proxy(target, advertised=advertised)
    await one.listen()
    try:
        yield one
    finally:
        await one.cut()
