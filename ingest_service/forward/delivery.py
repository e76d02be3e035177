"""One batch on its way: until each event is at the sink or in the dead letters, never given up.

What an answer means is the sink's to say; here is what is done about it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import structlog

from ingest_service.errors import IngestError, SetupError, SinkUnavailableError
from ingest_service.events.record import Record, StoredRecord
from ingest_service.forward.answers import (
    Accepted,
    Answer,
    Bisect,
    Isolate,
    Ours,
    Outcome,
    Retry,
    Split,
    Why,
)
from ingest_service.forward.batch import Batch
from ingest_service.forward.breaker import Permit
from ingest_service.forward.dead_letter import Refusal, headers_of
from ingest_service.forward.environment import DeadLetters, DeliveryObserver, Sender
from ingest_service.forward.gate import Gate
from ingest_service.forward.ports import Entry, Request, Sink
from ingest_service.forward.retry import backoff_seconds
from ingest_service.telemetry.logs import request_id

_TRIES = 4  # that count as one failure to the breaker
_SLOW_DOWN_SECONDS = 1.0
_MOST_ISOLATED = 16  # from here on the rest goes in pieces: each refusal sends it all again
_PIECE = 64
_MOST_BISECTIONS = 128  # of one batch; after that a piece is dead-lettered whole
_REFUSES_ALL = Why("refuses_all", "the sink refuses everything, also what it took before")

_log = structlog.get_logger(__name__)


class _Said(NamedTuple):
    """What came of one request: the outcome, and the answer for a dead letter's headers."""

    permit: Permit
    outcome: Outcome
    status: int = 0
    body: bytes = b""


class _Course:
    """Where a batch stands: what is still to be sent, and what is known about its refusals."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.pieces = deque([entries] if entries else [])
        self.doubtful: list[Sequence[Entry]] = []  # refused without a name, and without proof
        self.ack_ids: list[int] = []
        self.failures = 0
        self.isolated = 0
        self.bisections = 0
        self.proven = False  # since the first refusal something else was accepted

    def send_next(self, *pieces: Sequence[Entry]) -> None:
        """Put these before everything else, in this order."""
        self.pieces.extendleft(each for each in reversed(pieces) if each)


class Delivery:
    """Delivers batches to one sink; several at once, which share what they learn of it."""

    def __init__(
        self,
        sink: Sink,
        sender: Sender,
        dead_letters: DeadLetters,
        gate: Gate,
        *,
        observer: DeliveryObserver,
        rng: Random,
    ) -> None:
        self._sink = sink
        self._sender = sender
        self._dead_letters = dead_letters
        self._gate = gate
        self._observer = observer
        self._rng = rng
        self._good: bytes | None = None

    async def deliver(self, batch: Batch) -> list[int]:
        """Return once nothing of the batch can be lost, with what the sink has yet to acknowledge.

        Waits as long as it takes: a sink that is away or set up wrongly holds the offsets.
        """
        for record, why in batch.refused:
            await self._dead_letter(record, why)
        course = _Course(batch.entries)
        while course.pieces or course.doubtful:
            if not course.pieces:
                await self._look_for_proof(course)
                continue
            piece = course.pieces.popleft()
            said = await self._ask([body for _, body in piece])
            await self._react(course, piece, said)
        return course.ack_ids

    async def _react(self, course: _Course, piece: Sequence[Entry], said: _Said) -> None:
        match said.outcome:
            case Accepted(ack_id, slow_down):
                self._gate.succeeded(said.permit)
                await self._accepted(course, piece, ack_id, slow_down=slow_down)
            case Retry(_, _, accepted):
                course.send_next(piece[accepted:])
                await self._again(course, said)
            case Split(why):
                self._gate.succeeded(said.permit)
                if len(piece) == 1:
                    await self._dead_letter(piece[0][0], why, said)
                else:
                    course.send_next(*_halves(piece))
            case Isolate(place, why, before_accepted):
                self._gate.succeeded(said.permit)
                await self._dead_letter(piece[place][0], why, said)
                course.isolated += 1
                before = [] if before_accepted else piece[:place]
                course.send_next(before, *self._rest(course, piece[place + 1 :]))
            case Bisect(why):
                self._gate.succeeded(said.permit)
                await self._bisect(course, piece, why, said)
            case Ours(why):
                course.send_next(piece)
                self._gate.trip(said.permit, why)

    async def _accepted(
        self, course: _Course, piece: Sequence[Entry], ack_id: int | None, *, slow_down: bool
    ) -> None:
        self._good = piece[-1][1]
        course.failures = 0
        course.proven = course.bisections > 0
        course.send_next(*course.doubtful)
        course.doubtful.clear()
        if ack_id is not None:
            course.ack_ids.append(ack_id)
        if slow_down:
            await asyncio.sleep(_SLOW_DOWN_SECONDS)

    async def _again(self, course: _Course, said: _Said) -> None:
        """Wait before the next try; after a few, or when it was a probe, tell the breaker."""
        assert isinstance(said.outcome, Retry)
        why, after_seconds, _ = said.outcome
        course.failures += 1
        self._observer.retried(why.code)
        _log.warning("sending again", reason=why.code, why=str(why))
        if course.failures % _TRIES == 0 or self._gate.is_open:
            self._gate.failed(said.permit, why)
        await asyncio.sleep(backoff_seconds(course.failures, self._rng, after_seconds))

    # --- one request -----------------------------------------------------------------------------

    async def _ask(self, bodies: Sequence[bytes]) -> _Said:
        """Send these, when the breaker lets them; return what came of it."""
        permit = await self._gate.enter()
        try:
            return await self._send(permit, self._sink.request(bodies), len(bodies))
        except SetupError as exc:  # the token's file is gone
            return _Said(permit, Ours(Why("not_set_up", str(exc))))
        except SinkUnavailableError as exc:
            return _Said(permit, Retry(Why("no_answer", str(exc))))

    async def _send(self, permit: Permit, request: Request, count: int) -> _Said:
        came = await self._sender.post(request.url, request.headers, request.body)
        self._observer.requested(count, len(request.body), came.sent_bytes, came.seconds)
        _log.debug("request answered", status=came.status, events=count, seconds=came.seconds)
        answer = Answer(came.status, came.headers, came.body, time.time())
        outcome = self._sink.judge(answer, count)
        if isinstance(outcome, Accepted):
            self._observer.available(came.seconds)
        return _Said(permit, outcome, came.status, came.body)

    # --- refusals --------------------------------------------------------------------------------

    def _rest(self, course: _Course, rest: Sequence[Entry]) -> list[Sequence[Entry]]:
        if course.isolated <= _MOST_ISOLATED:
            return [rest]
        return [rest[at : at + _PIECE] for at in range(0, len(rest), _PIECE)]

    async def _bisect(self, course: _Course, piece: Sequence[Entry], why: Why, said: _Said) -> None:
        """Narrow a refusal down that names nobody.

        The first time to halves; after that only with proof that the sink takes anything at all.
        """
        course.bisections += 1
        first = course.bisections == 1
        if not course.proven and not (first and len(piece) > 1):
            course.doubtful.append(piece)
        elif len(piece) == 1:
            await self._dead_letter(piece[0][0], why, said)
        elif course.bisections <= _MOST_BISECTIONS:
            course.send_next(*_halves(piece))
        else:
            _log.warning("events dead-lettered together", events=len(piece))
            for record, _ in piece:
                await self._dead_letter(record, Why("refused_together", why.text), said)

    async def _look_for_proof(self, course: _Course) -> None:
        """Send one event known to be good: if that is refused too, the fault is ours.

        It arrives a second time, with its audit id. When nothing was accepted yet it is an event
        that we make.
        """
        said = await self._ask([self._good or _something_good(self._sink)])
        match said.outcome:
            case Retry():
                await self._again(course, said)
                return
            case Accepted():
                self._gate.succeeded(said.permit)
                course.proven = True
                course.send_next(*course.doubtful)
            case other:
                why = other.why if isinstance(other, Ours) else _REFUSES_ALL
                self._gate.trip(said.permit, why)
                course.bisections = 0
                course.send_next([entry for piece in course.doubtful for entry in piece])
        course.doubtful.clear()

    async def _dead_letter(self, record: Record, why: Why, said: _Said | None = None) -> None:
        """Return once the record is in the dead letters; hold its offset until then."""
        refusal = Refusal(self._sink.name, why.code)
        if said is not None:
            refusal = refusal._replace(status=said.status, answer=said.body)
        attempt = 0
        while True:
            try:
                await self._dead_letters.send(
                    record.partition, record.key, record.value, headers_of(record, refusal)
                )
            except IngestError as exc:
                attempt += 1
                self._observer.dead_letters_unavailable(str(exc))
                _log.error("dead letters cannot be written", why=str(exc))
                await asyncio.sleep(backoff_seconds(attempt, self._rng))
            else:
                break
        if attempt:
            self._observer.dead_letters_unavailable(None)
        self._observer.dead_lettered(why.code)
        _log.warning(
            "event dead-lettered",
            partition=record.partition,
            offset=record.offset,
            request_id=request_id(record.key),
            reason=why.code,
            status=refusal.status,
        )


def _halves(piece: Sequence[Entry]) -> tuple[Sequence[Entry], Sequence[Entry]]:
    middle = len(piece) // 2
    return piece[:middle], piece[middle:]


def _something_good(sink: Sink) -> bytes:
    """Return an event that any sink takes, for want of one that it took."""
    now = time.time()
    value = (
        b'{"event_type":"ingest_probe","timestamp":%.3f,"decision":"allow","reason":"is this sink '
        b'set up right?","gateway_request_id":"ingest-service"}' % now
    )
    [body] = sink.encode([StoredRecord("ingest-service", 0, 0, int(now * 1000), None, value)])
    assert isinstance(body, bytes)  # nobody leaves out a type that only we use
    return body
