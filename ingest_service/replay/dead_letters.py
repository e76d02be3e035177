"""Sends dead letters to their sink again: each once, however often and with whatever filters.

A letter that its sink takes gets a receipt in its own partition; one that is refused again stays
as it is, without a second letter. A run that is killed repeats at most one step of letters.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ingest_service.events.record import Record
from ingest_service.forward.dead_letter import DeadLetter, read
from ingest_service.forward.environment import DeadLetters
from ingest_service.forward.ports import Sink, Unsendable
from ingest_service.replay.backlog import Backlog, Choice, Kind, kind_of
from ingest_service.replay.courier import Delivered
from ingest_service.replay.receipt import receipt

_STEP_LETTERS = 500
_STEP_BYTES = 4 * 1024 * 1024

Place = tuple[str, int, int]
"""Where a record stood: topic, partition, offset."""

Tell = Callable[[int, int], None]
"""Hears how many are done, and of how many."""


class Letters(Protocol):
    """The dead-letter topic, as far as it reaches when the command begins."""

    def records(self, partition: int | None = None, first: int = 0) -> AsyncIterator[Record]:
        """Yield the records of one partition from an offset on, or of every one, in order."""
        ...


class Couriers(Protocol):
    """One sink's delivery."""

    @property
    def sink(self) -> Sink:
        """The sink that it delivers to."""
        ...

    async def deliver(self, records: Sequence[Record]) -> Delivered:
        """Return once each record is durable at the sink, left out, or refused."""
        ...


@dataclass
class Resent:
    """What became of the letters, by sink and reason."""

    found: Counter[Kind]
    sent_before: Counter[Kind]
    sinks_off: Sequence[str]
    sent: Counter[Kind] = field(default_factory=Counter)
    refused_again: Counter[Kind] = field(default_factory=Counter)
    left_out: int = 0

    @classmethod
    def of(cls, backlog: Backlog, on: Collection[str]) -> "Resent":
        """Return a report in which nothing is sent yet; `on` are the sinks that can be sent to."""
        off = [sink for sink in backlog.sinks if sink not in on]
        return cls(backlog.found, backlog.sent_before, off)

    def waiting(self, kind: Kind) -> int:
        """Return how many letters of a kind were still to be sent, before anything was."""
        return self.found[kind] - self.sent_before[kind]

    @property
    def is_done(self) -> bool:
        """Whether no wanted letter is left to be sent."""
        return not self.refused_again and not self.sinks_off


async def survey(letters: Letters, choice: Choice) -> Backlog:
    """Return what is to be sent: every record of the topic is looked at."""
    backlog = Backlog(choice)
    async for record in letters.records():
        backlog.take(record)
    return backlog


async def resend(
    letters: Letters,
    backlog: Backlog,
    couriers: Mapping[str, Couriers],
    receipts: DeadLetters,
    tell: Tell,
) -> Resent:
    """Send what waits to those sinks that are on. Raises what keeps a sink or the topic away."""
    report = Resent.of(backlog, couriers)
    waiting = {name: backlog.waiting(name) for name in backlog.sinks if name in couriers}
    total = sum(len(each) for places in waiting.values() for each in places.values())
    done = 0
    for name, places in waiting.items():
        run = _Run(couriers[name], receipts, report)
        for partition, offsets in places.items():
            async for step in _steps(letters, partition, offsets):
                tell(done, total)
                await run.send(partition, step)
                done += len(step)
    tell(done, total)
    return report


async def _steps(
    letters: Letters, partition: int, offsets: Sequence[int]
) -> AsyncIterator[dict[int, DeadLetter]]:
    """Yield the letters at these offsets, some at a time."""
    wanted, step, size = set(offsets), dict[int, DeadLetter](), 0
    async for record in letters.records(partition, offsets[0]):
        if record.offset in wanted and (letter := read(record)) is not None:
            step[record.offset] = letter
            size += len(record.value or b"")
        if len(step) >= _STEP_LETTERS or size >= _STEP_BYTES:
            yield step
            step, size = {}, 0
        if record.offset >= offsets[-1]:
            break
    if step:
        yield step


class _Run:
    """One sink's share of a run."""

    def __init__(self, courier: Couriers, receipts: DeadLetters, report: Resent) -> None:
        self._courier = courier
        self._receipts = receipts
        self._report = report
        # A record can have two letters: one was not acknowledged in time, and written again.
        self._arrived: set[Place] = set()

    async def send(self, partition: int, step: Mapping[int, DeadLetter]) -> None:
        """Deliver some letters of one partition, then write their receipt."""
        records = {
            _place(letter): letter.record for letter in step.values() if self._is_due(letter)
        }
        delivered = await self._courier.deliver(list(records.values()))
        self._arrived |= records.keys() - {_place(letter) for letter in delivered.refused}
        sent = [offset for offset, letter in step.items() if _place(letter) in self._arrived]
        if sent:
            value, headers = receipt(self._courier.sink.name, sent)
            await self._receipts.send(partition, None, value, headers)
        self._count(step, set(sent))
        self._report.left_out += delivered.left_out

    def _is_due(self, letter: DeadLetter) -> bool:
        """Say whether the sink has yet to get it, and would take it whole.

        What stands in for an event that is too large was sent when that was dead-lettered.
        """
        if _place(letter) in self._arrived:
            return False
        [encoded] = self._courier.sink.encode([letter.record])
        return not isinstance(encoded, Unsendable)

    def _count(self, step: Mapping[int, DeadLetter], sent: set[int]) -> None:
        for offset, letter in step.items():
            counts = self._report.sent if offset in sent else self._report.refused_again
            counts[kind_of(letter)] += 1


def _place(letter: DeadLetter) -> Place:
    return letter.record.topic, letter.record.partition, letter.record.offset
