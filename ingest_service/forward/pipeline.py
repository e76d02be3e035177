"""The loop of one sink: read, gather, deliver, commit.

An offset passes once everything before it is at the sink, in the dead letters, or left out by the
settings. Nothing else moves it.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import structlog

from ingest_service.errors import SetupError, SinkUnavailableError
from ingest_service.forward import batching
from ingest_service.forward.answers import Answer, Ours, Retry
from ingest_service.forward.batch import Batch
from ingest_service.forward.beginning import EARLIEST, Beginning
from ingest_service.forward.commits import Commits
from ingest_service.forward.delivery import Delivery
from ingest_service.forward.environment import DeadLetters, Observer, Sender, Source
from ingest_service.forward.gate import Gate
from ingest_service.forward.ports import Acks, Sink
from ingest_service.forward.reading import Reader
from ingest_service.forward.unacked import Spans, Unacked

REQUESTS_IN_FLIGHT = 4
"""How many batches may be with the sink and not committed: what a kill repeats at most."""

_BUSY_SECONDS = 1.0
_POLL_SECONDS = 0.2
_MOST_UNACKED = 512
_ACK_SECONDS = 300.0
_ACK_POLL_SECONDS = 1.0
_MOST_ACKS_ASKED = 1000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What a pipeline works with."""

    sink: Sink
    source: Source
    sender: Sender
    dead_letters: DeadLetters
    observer: Observer
    beginning: Beginning = EARLIEST
    rng: Random = field(default_factory=Random)


class Pipeline:
    """Moves one sink's share of the topic, and knows of no other sink."""

    def __init__(self, outside: Outside, stopping: asyncio.Event) -> None:
        self._sink = outside.sink
        self._observer = outside.observer
        self._sender = outside.sender
        self._stopping = stopping
        self._gate = Gate(outside.observer)
        self._reader = Reader(
            outside.source, outside.sink, outside.observer, outside.beginning, outside.rng
        )
        self._delivery = Delivery(
            outside.sink,
            outside.sender,
            outside.dead_letters,
            self._gate,
            observer=outside.observer,
            rng=outside.rng,
        )
        self._commits = Commits(outside.source, self._reader, outside.observer)
        self._unacked = Unacked(_MOST_UNACKED, _ACK_SECONDS)
        self._flights: set[asyncio.Task[None]] = set()
        self._hurried = False

    def flush(self) -> None:
        """Send what has gathered now, however little it is."""
        self._hurried = True

    async def run(self) -> None:
        """Deliver until told to stop; then send what has gathered, commit it, and end."""
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._commits.run(), name="commits")]
            if self._sink.acks is not None:
                beside.append(group.create_task(self._ask_for_acks(self._sink.acks), name="acks"))
            while not self._stopping.is_set():
                await self._follow_assignment()
                self._launch(group)
                if self._has_room:
                    await self._reader.pull(self._seconds_to_wait())
                else:
                    await self._wait_for_room()
                self._observer.beat()
                self._observer.oldest(self._reader.oldest_ms)
            await self._finish(group)
            for task in (*beside, *self._flights):
                task.cancel()

    async def _follow_assignment(self) -> None:
        """After a rebalance all that is under way is void: its new owner sends it again."""
        if not self._reader.is_current:
            for flight in self._flights:
                flight.cancel()
            self._flights.clear()
            self._unacked.clear()
            self._reader.follow()
        if await self._reader.open_due():
            self._commits.moved()

    # --- sending ---------------------------------------------------------------------------------

    @property
    def _has_room(self) -> bool:
        return not self._reader.ready and not self._gate.is_open

    def _launch(self, group: asyncio.TaskGroup) -> None:
        """Send each batch that is due, as far as requests are allowed to be in flight."""
        while len(self._flights) < REQUESTS_IN_FLIGHT and not self._unacked.is_full:
            batch = self._next_batch()
            if batch is None:
                return
            flight = group.create_task(self._fly(batch), name=f"{self._sink.name}-delivery")
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)

    def _next_batch(self) -> Batch | None:
        if not self._reader.ready and self._is_due():
            self._hurried = False
            self._reader.cut()
        return self._reader.ready.popleft() if self._reader.ready else None

    async def _fly(self, batch: Batch) -> None:
        """Deliver; then let the offsets pass, and hold this flight's place until they have."""
        ack_ids = await self._delivery.deliver(batch)
        self._tell(batch)
        if ack_ids:
            self._release(self._unacked.add(ack_ids, batch.spans, _now()))
            self._observer.pending(len(self._unacked))
            return
        self._settle(batch.spans)
        await self._commits.until_passed(batch.spans)

    def _settle(self, spans: Spans) -> None:
        for window, span in spans:
            window.settle(span)
        self._commits.moved()

    def _release(self, spans: Spans) -> None:
        for window, span in spans:
            window.release(span)

    def _tell(self, batch: Batch) -> None:
        now, stamps = time.time(), Counter([record.timestamp for record, _ in batch.entries])
        self._observer.settled(
            len(batch.entries),
            batch.filtered.total(),
            {now - stamp / 1000: count for stamp, count in stamps.items()},
        )

    # --- acknowledgements ------------------------------------------------------------------------

    async def _ask_for_acks(self, acks: Acks) -> None:
        """Ask every second what became durable; what never does is read and sent once more."""
        while True:
            await asyncio.sleep(_ACK_POLL_SECONDS)
            late = self._unacked.expire(_now())
            if late:
                _log.warning("acknowledgements never came", spans=len(late))
                self._release(late)
                self._observer.expired(len(late))
            if ids := self._unacked.ids[:_MOST_ACKS_ASKED]:
                await self._ask_for(acks, ids)
            self._observer.pending(len(self._unacked))

    async def _ask_for(self, acks: Acks, ids: list[int]) -> None:
        try:
            asked = acks.request(ids)
            came = await self._sender.post(asked.url, asked.headers, asked.body, packed=False)
        except (SetupError, SinkUnavailableError) as exc:
            _log.warning("asking for acknowledgements failed", why=str(exc))
            return
        found = acks.judge(Answer(came.status, came.headers, came.body, time.time()))
        if isinstance(found, frozenset):
            self._settle(self._unacked.acknowledge(found))
        elif isinstance(found, Ours | Retry):
            _log.warning("asking for acknowledgements failed", why=str(found.why))

    # --- waiting ---------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        gathering = self._reader.gathering
        if not gathering.spans:
            return False
        return (
            self._hurried
            or not len(gathering)  # all of it is left out: its offsets may pass
            or batching.is_due(
                len(gathering),
                gathering.size_bytes,
                _now() - gathering.since,
                self._sink.limits,
                behind=self._reader.behind,
            )
        )

    def _seconds_to_wait(self) -> float:
        """Return how long a read may wait: while a batch waits, not past its time."""
        gathering = self._reader.gathering
        linger = batching.seconds_to_linger(len(gathering), _now() - gathering.since)
        return min(_POLL_SECONDS, linger)

    async def _wait_for_room(self) -> None:
        """Wait until a request is done; when that takes long, go on polling with nothing coming."""
        if self._flights:
            await asyncio.wait(
                self._flights, timeout=_BUSY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        if not self._is_stuck():
            return
        self._reader.pause()
        while self._is_stuck():
            await self._reader.poll()
            self._observer.beat()
            self._observer.oldest(self._reader.oldest_ms)
        self._reader.resume()

    def _is_stuck(self) -> bool:
        busy = len(self._flights) >= REQUESTS_IN_FLIGHT or self._unacked.is_full
        ours = self._reader.is_current and not self._stopping.is_set()
        return ours and (busy or self._gate.is_open)

    async def _finish(self, group: asyncio.TaskGroup) -> None:
        """Send what has gathered; wait for it as long as the sink takes anything."""
        self._reader.cut()
        while self._reader.is_current and not self._gate.is_open:
            self._launch(group)
            if not (self._flights or self._reader.ready or len(self._unacked)):
                break
            if self._flights:
                await asyncio.wait(self._flights, timeout=_POLL_SECONDS)
            else:
                await asyncio.sleep(_POLL_SECONDS)
        await self._commits.commit()


def _now() -> float:
    return asyncio.get_running_loop().time()
