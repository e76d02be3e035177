"""What `verify` can find, and the bounded list of what it found."""

from enum import StrEnum
from typing import NamedTuple

from ingest_service.ledger import Stream


class Class(StrEnum):
    """The classes of findings; `docs/verify.md` says what each means and what to do."""

    BROKEN_LINK = "broken link"
    CHANGED_ENTRY = "changed entry"
    CHANGED_BYTES = "changed bytes"
    ORIGINALS_MISSING = "originals missing"
    ORIGINALS_ADDED = "originals added"
    UNDECODABLE = "cannot be decoded by this version"
    WRONG_VERDICT = "wrong verdict"
    ROW_DIFFERS = "row differs"
    ROW_MISSING = "row missing"
    ROW_ADDED = "row added"
    KEY_TWICE = "key twice"
    QUARANTINE_DIFFERS = "quarantine differs"
    QUARANTINE_MISSING = "quarantine missing"
    QUARANTINE_ADDED = "quarantine added"
    ANCHOR_DIFFERS = "anchor differs"
    ANCHOR_BEYOND = "anchored records missing"
    ANCHOR_INVALID = "anchor not valid"
    # Nothing is wrong with the ledger or the rows; somebody should know all the same:
    ID_AT_TWO_TIMES = "id at two times"
    ACCEPTED_GAP = "accepted gap"
    NOT_ANCHORED = "not anchored"

    @property
    def is_notice(self) -> bool:
        """Whether this leaves the verdict good."""
        return self in {Class.ID_AT_TWO_TIMES, Class.ACCEPTED_GAP, Class.NOT_ANCHORED}


class Finding(NamedTuple):
    """One thing that is not as the ledger says: where, and what; never the event's content.

    `times` is more than one where findings of a whole range are told as one.
    """

    kind: Class
    stream: Stream
    offset: int
    detail: str
    sequence: int | None = None
    columns: tuple[str, ...] = ()
    times: int = 1

    @property
    def place(self) -> tuple[str, int, int, int]:
        """What findings are sorted by."""
        return self.stream.topic, self.stream.partition, self.stream.epoch, self.offset


class Told(NamedTuple):
    """Findings on their way from one process to another: all counted, the first of each class."""

    counts: list[tuple[Class, Stream, int]]
    first: list[Finding]


class Findings:
    """Counts every finding; keeps, of each class in each stream, the first ones by offset."""

    def __init__(self, kept: int = 100) -> None:
        self._kept = kept
        self._counts: dict[tuple[Class, Stream], int] = {}
        self._first: dict[tuple[Class, Stream], list[Finding]] = {}

    def add(self, finding: Finding) -> None:
        """Take one: the later ones of a class are only counted, in whatever order they come."""
        key = finding.kind, finding.stream
        self._counts[key] = self._counts.get(key, 0) + finding.times
        self._keep(finding)

    def tell(self) -> Told:
        """Return what was found here, for `merge`."""
        counts = [(kind, stream, count) for (kind, stream), count in self._counts.items()]
        return Told(counts, self.first())

    def merge(self, told: Told) -> None:
        """Take what was found elsewhere."""
        for kind, stream, count in told.counts:
            self._counts[kind, stream] = self._counts.get((kind, stream), 0) + count
        for finding in told.first:
            self._keep(finding)

    def _keep(self, finding: Finding) -> None:
        first = self._first.setdefault((finding.kind, finding.stream), [])
        first.append(finding)
        if len(first) > 2 * self._kept:
            self._shorten(first)

    def counts(self) -> dict[Class, int]:
        """Return how many there are of each class."""
        counts: dict[Class, int] = {}
        for (kind, _), count in sorted(self._counts.items()):
            counts[kind] = counts.get(kind, 0) + count
        return counts

    def first(self) -> list[Finding]:
        """Return the first findings by topic, partition, epoch and offset, each class in turn."""
        for found in self._first.values():
            self._shorten(found)
        every = (finding for found in self._first.values() for finding in found)
        return sorted(every, key=lambda finding: finding.place)

    def _shorten(self, found: list[Finding]) -> None:
        found.sort(key=lambda finding: finding.offset)
        del found[self._kept :]
