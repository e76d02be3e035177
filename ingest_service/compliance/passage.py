"""One stream's way through its ledger: what the chain shows, and what is left to compare. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ingest_service.compliance import chain
from ingest_service.compliance.findings import Class, Finding, Findings
from ingest_service.compliance.walk import Kept, Stray, read, stray_originals, surplus
from ingest_service.ledger import Entry, Stream
from ingest_service.originals import Original
from ingest_service.shapes import Range


class Blind(NamedTuple):
    """Offsets whose originals cannot be read: how many rows must be there is all that is known."""

    stream: Stream
    first_offset: int
    next_offset: int
    rows: int
    quarantined: int

    @property
    def range(self) -> Range:
        """The offsets, as the evidence is asked about them."""
        return self.stream.id, self.first_offset, self.next_offset


@dataclass
class StreamReport:
    """What a stream's ledger says, as far as it was walked."""

    stream: Stream
    first_offset: int = 0
    next_offset: int = 0
    digest: bytes = b""
    entries: int = 0
    records: int = 0
    rows: int = 0
    duplicates: int = 0
    quarantined: int = 0
    gap_offsets: int = 0
    anchored: int | None = None
    """Up to where an anchor says what the originals say; None: not compared, or none holds."""

    def join(self, later: "StreamReport") -> None:
        """Add what was walked behind this."""
        if self.entries == 0:
            self.first_offset = later.first_offset
        if later.entries:
            self.next_offset, self.digest = later.next_offset, later.digest
        for name in ("entries", "records", "rows", "duplicates", "quarantined", "gap_offsets"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        anchored = [each for each in (self.anchored, later.anchored) if each is not None]
        self.anchored = max(anchored, default=None)

    def add(self, entry: Entry) -> None:
        """Count one more entry."""
        length = entry.next_offset - entry.first_offset
        if self.entries == 0:
            self.first_offset = entry.first_offset
        self.next_offset, self.digest = entry.next_offset, entry.digest
        self.entries += 1
        self.records += length if entry.kind == "records" else 0
        self.gap_offsets += length if entry.kind == "gap" else 0
        self.rows += entry.row_count
        self.duplicates += entry.duplicate_count
        self.quarantined += entry.quarantine_count


class Passage:
    """Takes a stream's entries in order; keeps what is needed when the end is reached."""

    def __init__(
        self, stream: Stream, findings: Findings, anchors: Sequence[chain.Anchored] = ()
    ) -> None:
        self.stream = stream
        self.report = StreamReport(stream)
        self.covered: list[Range] = []
        self.blind: list[Blind] = []
        self._findings = findings
        self._tail: chain.Tail | None = None
        self._anchors = sorted(anchors)

    def prime(self, before: Sequence[Entry], kept: Kept | None) -> None:
        """Begin behind these entries, the last of which has these originals; find nothing in them.

        Whoever checks them finds it. But what follows is judged by the digests that may stand
        there, the stored one and the computed one, as if the walk had come from the beginning.
        """
        for entry in before:
            originals = read(self.stream, kept)[0] if kept and kept.entry == entry else None
            if entry.kind == "records" and originals is None:
                self._tail = chain.Tail(entry, frozenset([entry.digest]))
            else:
                self._tail, _ = chain.advance(self.stream, self._tail, entry, originals)

    def pass_over(self, stray: Stray) -> None:
        """Note originals that no entry has."""
        self._findings.add(stray_originals(self.stream, stray, self.report.next_offset))

    def take(self, kept: Kept) -> Sequence[Original]:
        """Judge the chain at the next entry; return its records as far as they can be compared."""
        entry = kept.entry
        originals, found = read(self.stream, kept)
        found += surplus(self.stream, kept) + chain.link(self.stream, self._tail, entry)
        found += self._compare_anchors(entry, originals or ())
        self._tail, wrong = chain.advance(self.stream, self._tail, entry, originals)
        for finding in found + wrong + _notices(self.stream, entry):
            self._findings.add(finding)
        self.report.add(entry)
        if entry.kind != "records":
            return []
        readable = originals if originals is not None and chain.judgeable(originals) else []
        self._account(entry, readable)
        return readable

    def leave(self) -> None:
        """Note the anchors that stand at no entry that was met."""
        for anchored in self._anchors:
            detail = "no entry of the ledger holds this offset"
            self._findings.add(
                Finding(Class.ANCHOR_BEYOND, self.stream, anchored.next_offset, detail)
            )

    def _compare_anchors(self, entry: Entry, originals: Sequence[Original]) -> list[Finding]:
        found = []
        while self._anchors and self._anchors[0].next_offset <= entry.next_offset:
            offset, signed = self._anchors.pop(0)
            known = chain.digests_at(self.stream, self._tail, entry, originals, offset)
            if signed in known:
                self.report.anchored = offset
            else:
                known_to_be = "another digest was signed" if known else "nothing to compare it with"
                found.append(
                    Finding(Class.ANCHOR_DIFFERS, self.stream, offset, known_to_be, entry.sequence)
                )
        return found

    def _account(self, entry: Entry, readable: Sequence[Original]) -> None:
        """Note which offsets the originals cover, and which they leave in the dark."""
        first, end = entry.first_offset, entry.next_offset
        if readable:
            start = readable[0].record.offset
            self._cover(start, start + len(readable))
            # Originals of other offsets altogether: these will be met under their own entry.
            first = start + len(readable) if start == first else end
        if first < end:
            rows, _, quarantined = chain.counted(readable)
            self._darken(
                Blind(
                    self.stream,
                    first,
                    end,
                    entry.row_count - rows,
                    entry.quarantine_count - quarantined,
                )
            )

    def _cover(self, first: int, end: int) -> None:
        if self.covered and self.covered[-1][2] == first:
            first = self.covered.pop()[1]
        self.covered.append((self.stream.id, first, end))

    def _darken(self, more: Blind) -> None:
        if self.blind and self.blind[-1].next_offset == more.first_offset:
            last = self.blind.pop()
            more = more._replace(
                first_offset=last.first_offset,
                rows=last.rows + more.rows,
                quarantined=last.quarantined + more.quarantined,
            )
        self.blind.append(more)


def _notices(stream: Stream, entry: Entry) -> list[Finding]:
    if entry.kind != "gap":
        return []
    detail = f"{entry.next_offset - entry.first_offset} records are gone, up to {entry.next_offset}"
    return [Finding(Class.ACCEPTED_GAP, stream, entry.first_offset, detail, entry.sequence)]
