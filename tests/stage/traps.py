"""A proxy with traps: what happens at a given byte of what one client sends."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from stage.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Then(Enum):
    """What happens where a trap is."""

    HOLD = auto()
    """Neither the rest of the request nor any answer passes until the trap is released."""
    CUT = auto()
    """The request does not arrive: the connection is cut before it."""
    LOSE_ANSWER = auto()
    """The request is answered, but in place of the answer the client finds the connection cut."""


@dataclass(eq=False)
class Trap:
    """Springs once, at the first client that sends `pattern`, and `after_bytes` from there on."""

    pattern: bytes
    then: Then
    after_bytes: int = 0
    sprung: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def has_sprung(self, seconds: float = 40) -> None:
        """Return once somebody stepped on it."""
        async with asyncio.timeout(seconds):
            await self.sprung.wait()

    def release(self) -> None:
        """Let pass what was held."""
        self.released.set()


@dataclass
class _Caught:
    trap: Trap | None = None
    bytes_left: int = 0


_connection: ContextVar[_Caught] = ContextVar("connection")


class TrapProxy(Proxy):
    """Passes bytes on until a trap springs."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self._traps: list[Trap] = []

    def trap(self, pattern: bytes, then: Then, after_bytes: int = 0) -> Trap:
        """Set a trap for the next client that sends this."""
        trap = Trap(pattern, then, after_bytes)
        self._traps.append(trap)
        return trap

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _connection.set(_Caught())
        await super()._serve(reader, writer)

    async def _ask(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        caught = _connection.get()
        while piece := await client.read(1 << 16):
            await self._passing.wait()
            self._notice(piece, caught)
            if caught.trap is not None and caught.trap.then is not Then.LOSE_ANSWER:
                piece = await self._spring(caught, caught.trap, piece, server)
            server.write(piece)
            await server.drain()
        raise ConnectionResetError

    def _notice(self, piece: bytes, caught: _Caught) -> None:
        if caught.trap is not None:
            return
        for trap in self._traps:
            if trap.pattern in piece:
                self._traps.remove(trap)
                caught.trap = trap
                caught.bytes_left = piece.index(trap.pattern) + trap.after_bytes
                return

    async def _spring(
        self, caught: _Caught, trap: Trap, piece: bytes, server: asyncio.StreamWriter
    ) -> bytes:
        """Return what is still to be passed on of this piece."""
        if len(piece) < caught.bytes_left:
            caught.bytes_left -= len(piece)
            return piece
        server.write(piece[: caught.bytes_left])
        await server.drain()
        trap.sprung.set()
        if trap.then is Then.CUT:
            raise ConnectionResetError
        await trap.released.wait()
        caught.trap = None
        return piece[caught.bytes_left :]

    async def _answer(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        caught = _connection.get()
        while piece := await server.read(1 << 16):
            await self._passing.wait()
            trap = caught.trap
            if trap is not None and trap.then is Then.LOSE_ANSWER:
                trap.sprung.set()
                raise ConnectionResetError
            if trap is not None and trap.sprung.is_set():
                await trap.released.wait()
            client.write(piece)
            await client.drain()
        if caught.trap is not None and caught.trap.sprung.is_set():
            await caught.trap.released.wait()
        raise ConnectionResetError


@asynccontextmanager
async def traps_before(target: str) -> AsyncIterator[TrapProxy]:
    """Yield a proxy with traps in front of the server at "host:port"."""
    one = TrapProxy(target)
    await one.listen()
    try:
        yield one
    finally:
        await one.cut()
