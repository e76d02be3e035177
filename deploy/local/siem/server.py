"""One sink's server: the API, the faults that were asked for, and what has arrived."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from .arrived import KEPT_ENTRIES, Arrived, Exchange
from .body import CannotUnpackError, unpacked
from .control import controlled
from .faults import Fault, Script
from .wire import (
    AT_ONCE,
    HEAD_LIMIT,
    Answer,
    Manner,
    RequestCutError,
    as_json,
    read_body,
    read_head,
    reset,
    send,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    import msgspec

    from .faults import Place
    from .outcome import Outcome
    from .wire import Head, Request

LOOPBACK = "127.0.0.1"
UNREAD_BYTES = 256 * 1024 * 1024


class Api(Protocol):
    """A sink's own part: what its API makes of a request."""

    @property
    def name(self) -> str:
        """The sink's name."""

    @property
    def settings(self) -> msgspec.Struct:
        """What its administrator sets."""

    def place(self, method: str, path: str) -> Place | None:
        """Say which of the API's places a request is for."""

    def health(self, request: Request) -> Outcome:
        """Answer a question about the sink itself."""

    def ack(self, request: Request) -> Outcome:
        """Answer a question about acknowledgements."""

    def events(self, request: Request) -> Outcome:
        """Take in events."""

    def count_only(self, request: Request) -> Outcome:
        """Take in events unread."""

    def count(self, body: bytes) -> int:
        """Return how many events a body holds."""

    def scripted(self, request: Request, body: bytes, fault: Fault) -> Outcome:
        """Answer as a fault says."""

    def lost(self, request: Request) -> Outcome:
        """Say that events were accepted, and forget them."""


class Intake:
    """A running sink: `url`, what arrived, and `fault(...)` to script what it does wrong."""

    def __init__(self, api: Api, *, count_only: bool = False, keep: int = KEPT_ENTRIES) -> None:
        self.api = api
        self.url = ""
        self.script = Script()
        self._arrived = Arrived(keep)
        self._count_only = count_only
        self._unread: list[Request] = []
        self._unread_bytes = 0
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def arrived(self) -> Arrived:
        """What has arrived; what was taken in unread is counted now."""
        self._count_unread()
        return self._arrived

    def _count_unread(self) -> None:
        for request in self._unread:
            body = unpacked(request)
            self._arrived.events += self.api.count(body)
            self._arrived.raw_bytes += len(body)
        self._unread.clear()
        self._unread_bytes = 0

    def fault(self, **wrong: object) -> None:
        """Ask for a `Fault` with these fields, after those that are waiting."""
        self.script.add(Fault(**wrong))  # type: ignore[arg-type]

    @asynccontextmanager
    async def serve(self, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
        """Listen until the block ends; then every connection is cut."""
        server = await asyncio.start_server(
            self._connected, LOOPBACK, port, limit=HEAD_LIMIT, ssl=tls
        )
        taken = server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{LOOPBACK}:{taken}"
        try:
            yield
        finally:
            server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await server.wait_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._converse(reader, writer), name=f"{self.api.name}-client")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            goes_on = True
            while goes_on and (head := await read_head(reader)):
                goes_on = await self._exchange(head, reader, writer)
        except RequestCutError:
            reset(writer)
        except (OSError, asyncio.IncompleteReadError):  # the client is gone
            pass
        finally:
            writer.close()

    async def _exchange(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if head.body_bytes is None:
            await send(writer, as_json(411, {"text": "Length Required"}), AT_ONCE)
            return False
        place = self.api.place(head.method, head.path)
        request = await read_body(reader, head, self.script.take_cut(place) if place else None)
        answer, manner = self._answer(request, place)
        wants_more = head.headers.get("connection", "").lower() != "close"
        return await send(writer, answer, manner) and wants_more

    def _answer(self, request: Request, place: Place | None) -> tuple[Answer, Manner]:
        if place is None:
            return controlled(self, request) or _not_found(), AT_ONCE
        unread = self._count_only and not self.script.left
        body = b"" if unread else _readable(request)
        fault = self.script.take(place, body)
        outcome = self._outcome(request, place, fault, body)
        manner = fault.manner if fault else AT_ONCE
        if place == "events":
            self._note(request, outcome, len(body), answered=manner.cut_bytes != 0)
        return outcome.answer, manner

    def _outcome(self, request: Request, place: Place, fault: Fault | None, body: bytes) -> Outcome:
        if fault is not None and fault.answers:
            return self.api.scripted(request, body if place == "events" else b"", fault)
        if place == "events" and fault is not None and fault.lose:
            return self.api.lost(request)
        if place == "events" and self._count_only:
            return self.api.count_only(request)
        return getattr(self.api, place)(request)  # type: ignore[no-any-return]

    def _note(self, request: Request, outcome: Outcome, raw_bytes: int, *, answered: bool) -> None:
        for entry in outcome.taken:
            self._arrived.add(entry)
        self._arrived.problems.update(outcome.problems)
        self._arrived.log(
            Exchange(
                at=time.time(),
                status=outcome.answer.status if answered else 0,
                entries=len(outcome.taken),
                raw_bytes=0 if outcome.uncounted else raw_bytes,
                wire_bytes=len(request.body),
                channel=request.headers.get("x-splunk-request-channel", ""),
            )
        )
        if outcome.uncounted:
            self._unread.append(request)
            self._unread_bytes += len(request.body)
            if self._unread_bytes > UNREAD_BYTES:
                self._count_unread()


def _readable(request: Request) -> bytes:
    try:
        return unpacked(request)
    except CannotUnpackError:
        return b""


def _not_found() -> Answer:
    return as_json(404, {"text": "The requested URL was not found on this server.", "code": 404})
