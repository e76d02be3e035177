"""The bounded buffer between the gateway and Kafka: all that it took is settled, either way.

What a spent producer leaves behind is sent again by the next one, with the same id: the row is
written once.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ingest_service.errors import BrokerUnavailableError, IngestError, RecordRefusedError
from ingest_service.publisher.outcome import BufferFull, NotRecorded
from ingest_service.publisher.session import Entry, Lane, Producer, Session

_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 5.0
_RETIRE_SECONDS = 15.0

_log = logging.getLogger(__name__)


class Outbox:
    """Takes entries up to its bounds and settles each of them once.

    For one event loop, between `start` and `finish`. A broker that is away is tried for ever.
    """

    def __init__(
        self,
        open_producer: Callable[[], Awaitable[Producer]],
        *,
        max_events: int,
        max_bytes: int,
    ) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        self.trouble = "there is no connection to the broker yet"
        self.connected = asyncio.Event()
        self._open_producer = open_producer
        self._entries: dict[Entry, None] = {}  # in their order
        self._bytes = 0
        self._unrouted = Lane()
        self._session: Session | None = None
        self._changed = asyncio.Event()
        self._closed: str | None = None
        self._backoff = _FIRST_BACKOFF_SECONDS
        self._sending: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def start(self) -> None:
        """Begin to connect and to send, in the background."""
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="audit-outbox")
            self._sending.add_done_callback(self._ended)

    async def finish(self, seconds: float) -> int:
        """Take nothing more, let the rest arrive for so long at most; return how many did not.

        Those are settled as not recorded. It ends in time also when the broker is dead.
        """
        self._closed = "the publisher is closed"
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._entries and self._sending is not None:
                    await self._change()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})
        return self._fail_rest()

    def put(self, entry: Entry) -> None:
        """Take an entry, or refuse it at once: `BufferFull`, or `NotRecorded` after `close`."""
        if self._closed is not None:
            raise NotRecorded(entry.audit_id, self._closed, maybe_recorded=False)
        if len(self._entries) >= self.max_events or self._bytes + entry.size > self.max_bytes:
            raise BufferFull(entry.audit_id, self.max_events, self.max_bytes)
        self._entries[entry] = None
        self._bytes += entry.size
        self._route(entry)

    def give_up(self, entry: Entry) -> None:
        """Stop trying: an entry that was not handed over is settled now, as not recorded.

        One that was may still arrive; it keeps its place in the buffer until that is known.
        """
        entry.given_up = True
        if not entry.started and not entry.settled:
            self._unrouted.remove(entry)
            if self._session is not None:
                self._session.remove(entry)
            self._fail(entry, self.trouble)

    async def room(self) -> None:
        """Wait until the buffer is at most half full."""
        while 2 * len(self._entries) > self.max_events or 2 * self._bytes > self.max_bytes:
            await self._change()

    async def _send(self) -> None:
        async with asyncio.TaskGroup() as retiring:
            while True:
                producer = await self._opened()
                session = Session(producer, self._settle)
                try:
                    self._adopt(session)
                    await session.run()
                except BaseException:
                    await producer.close(1 if not self._entries else 0)
                    raise
                finally:
                    self._reclaim(session)
                retiring.create_task(self._retire(session), name="audit-retire-producer")
                await self._pause()

    def _ended(self, sending: "asyncio.Task[None]") -> None:
        """Refuse from now on when the sending task died: nobody may wait for it in vain."""
        if not sending.cancelled() and (exc := sending.exception()) is not None:
            _log.critical("publishing audit events failed", exc_info=exc)
            self._closed = "the publisher has failed, see its log: restart this process"
            self._fail_rest()

    def _fail_rest(self) -> int:
        rest = list(self._entries)
        for entry in rest:
            self._fail(entry, self.trouble)
        return len(rest)

    async def _opened(self) -> Producer:
        while True:
            try:
                return await self._open_producer()
            except IngestError as exc:
                self._troubled(str(exc))
                await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(self._backoff * random.uniform(0.5, 1))  # noqa: S311 - jitter
        self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF_SECONDS)

    def _adopt(self, session: Session) -> None:
        for entry in self._unrouted:
            session.add(entry)
        self._unrouted = Lane()
        self._session = session
        self.connected.set()

    def _reclaim(self, session: Session) -> None:
        self._session = None
        self.connected.clear()
        for entry in session.waiting():
            self._unrouted.add(entry)

    async def _retire(self, session: Session) -> None:
        """Let other partitions' records of a spent producer arrive; send the rest again."""
        await session.producer.close(_RETIRE_SECONDS)
        for entry in list(session.unsettled):
            self._settle(entry, BrokerUnavailableError("the connection was given up"))

    def _route(self, entry: Entry, *, again: bool = False) -> None:
        line = self._unrouted if self._session is None else self._session
        line.add(entry, first=again)

    def _settle(self, entry: Entry, failure: Exception | None) -> None:
        if failure is None:
            self._backoff = _FIRST_BACKOFF_SECONDS
            self._finish(entry, None)
            return
        self._troubled(str(failure))
        if isinstance(failure, RecordRefusedError):
            refusal = NotRecorded(entry.audit_id, str(failure), maybe_recorded=False)
            self._finish(entry, refusal)
        elif entry.given_up:
            self._fail(entry, str(failure))
        elif not entry.settled:
            self._route(entry, again=True)

    def _troubled(self, why: str) -> None:
        if why != self.trouble:
            _log.warning("audit events wait: %s", why)
        self.trouble = why

    def _fail(self, entry: Entry, why: str) -> None:
        self._finish(entry, NotRecorded(entry.audit_id, why, maybe_recorded=entry.started))

    def _finish(self, entry: Entry, failure: NotRecorded | None) -> None:
        if entry.settled:  # an old producer's acknowledgement came after the new one's
            return
        entry.settled = True
        del self._entries[entry]
        self._bytes -= entry.size
        self._changed.set()
        entry.on_settled(failure)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
