"""What is known of one record, station by station: the shapes that a trace is made of."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from ingest_service.adapters.trace_reader import (
    LedgerEntry,
    Reach,
    StoredQuarantine,
    StoredRow,
)
from ingest_service.events.record import Record
from ingest_service.ledger import Stream


class Standing(StrEnum):
    """What became of a record."""

    ROW = "row"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    GIVEN_UP = "given_up"
    WAITING = "waiting"
    NOT_THERE_YET = "not_there_yet"
    BEFORE_THE_LEDGER = "before_the_ledger"
    UNKNOWN = "unknown"


class InKafka(NamedTuple):
    """What Kafka's log has at this place now; `same`: byte for byte what was kept, if both are."""

    is_there: bool
    time_ms: int | None = None
    same: bool | None = None


class Letter(NamedTuple):
    """A dead letter about this record; `sent_again`: a replay has sent it once more."""

    sink: str
    reason: str
    status: int
    time_ms: int
    sent_again: bool


class SinkState(StrEnum):
    """Where a sink is with a record."""

    PASSED = "passed"
    DEAD_LETTERED = "dead_lettered"
    SENT_AGAIN = "sent_again"
    WAITING = "waiting"
    NOT_BEGUN = "not_begun"


class AtSink(NamedTuple):
    """Where one sink is: `passed_before` is its forwarder's offset, None if it has none."""

    sink: str
    state: SinkState
    passed_before: int | None
    letter: Letter | None = None


class Sighting(NamedTuple):
    """Everything that is known of one place: a stream (None: of none that is known), an offset."""

    stream: Stream | None
    offset: int
    standing: Standing
    record: Record | None = None
    entry: LedgerEntry | None = None
    reach: Reach | None = None
    row: StoredRow | None = None
    quarantine: StoredQuarantine | None = None
    duplicate_of: tuple[Stream | None, int] | None = None
    kafka: InKafka | None = None
    sinks: Sequence[AtSink] = ()
    wrong: tuple[str, ...] = ()
    """What is not as it was written: for this one record; `verify` judges them all."""


class Report(NamedTuple):
    """All places that a question leads to; `unasked` says what could not be looked at, and why."""

    asked: str
    sightings: Sequence[Sighting]
    more: bool
    unasked: Sequence[str]

    @property
    def is_good(self) -> bool:
        """Whether something was found, everything was asked, and nothing is wrong."""
        known = [each for each in self.sightings if each.standing not in _NOWHERE]
        return bool(known) and not self.unasked and not any(each.wrong for each in self.sightings)


_NOWHERE = (Standing.NOT_THERE_YET, Standing.BEFORE_THE_LEDGER, Standing.UNKNOWN)
