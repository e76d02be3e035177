"""Is the chain whole? Each entry against the one before it and its own originals. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from ingest_service import ledger
from ingest_service.compliance.findings import Class, Finding
from ingest_service.ledger import Entry, Stream
from ingest_service.originals import Original

_INT64 = range(-(2**63), 2**63)


class Anchored(NamedTuple):
    """What somebody outside signed: the records before this offset have this digest."""

    next_offset: int
    digest: bytes


class Tail(NamedTuple):
    """The end of what was walked: the last entry, and the digests that may stand there.

    The entry's own digest, and the one that its originals give when that is another: so one
    changed digest, or one changed original, is one finding and not two.
    """

    entry: Entry
    digests: frozenset[bytes]


def link(stream: Stream, tail: Tail | None, entry: Entry) -> list[Finding]:
    """Return what keeps an entry from continuing the one before it; with none before: a start."""
    if tail is None:
        details = [] if entry.sequence == 0 else ["there is no start before it"]
    else:
        details = list(_breaks(tail.entry, entry))
    return [_finding(Class.BROKEN_LINK, stream, entry, detail) for detail in details]


def advance(
    stream: Stream, tail: Tail | None, entry: Entry, originals: Sequence[Original] | None
) -> tuple[Tail, list[Finding]]:
    """Return the tail after an entry, and what its digest and its hash are wrong about.

    `originals` are those of a `records` entry, None where they cannot be read; other kinds have
    none. A kind that a later version made is judged by its link and its hash.
    """
    if entry.kind == "records" and originals is None:
        return Tail(entry, frozenset([entry.digest])), []
    before = tail.digests if tail is not None and _follows(tail.entry, entry) else frozenset()
    computed = _digests(stream, before, entry, originals or ())
    found = []
    kind = Class.CHANGED_BYTES if entry.kind == "records" else Class.CHANGED_ENTRY
    if entry.kind == "records" and not _covers(entry, originals or ()):
        detail = "the originals are not one record for each of its offsets"
        found.append(_finding(kind, stream, entry, detail))
    elif computed and entry.digest not in computed:
        found.append(_finding(kind, stream, entry, "the digest is another than the entry says"))
    found += _unsealed(stream, entry, originals or ())
    return Tail(entry, computed | {entry.digest}), found


def digests_at(
    stream: Stream, tail: Tail | None, entry: Entry, originals: Sequence[Original], offset: int
) -> frozenset[bytes]:
    """Return the digests that may stand at an offset within an entry; none when unknown.

    `tail` is the one before the entry. An anchor may stand anywhere between two records: a
    failover cuts entries anew, and the digest does not depend on where they are cut.
    """
    if offset == entry.next_offset:
        return advance(stream, tail, entry, originals)[0].digests
    is_within = entry.first_offset <= offset < entry.next_offset
    if entry.kind != "records" or not is_within or not _covers(entry, originals):
        return frozenset()
    before = tail.digests if tail is not None and _follows(tail.entry, entry) else frozenset()
    frames = [each.frame for each in originals[: offset - entry.first_offset]]
    return frozenset(ledger.extend_digest(digest, frames) for digest in before)


def judgeable(originals: Sequence[Original]) -> bool:
    """Tell whether the originals are one record an offset, in order, so that each can be judged."""
    if not originals:
        return True
    offsets = [each.record.offset for each in originals]
    times = [each.record.timestamp for each in originals]
    bounds = offsets[0], offsets[-1], min(times), max(times)
    return all(bound in _INT64 for bound in bounds) and offsets == list(
        range(offsets[0], offsets[0] + len(offsets))
    )


def counted(originals: Sequence[Original]) -> tuple[int, int, int]:
    """Return how many verdicts say row, duplicate, and quarantine."""
    rows = sum(original.verdict is None for original in originals)
    duplicates = sum(isinstance(original.verdict, tuple) for original in originals)
    return rows, duplicates, len(originals) - rows - duplicates


def _covers(entry: Entry, originals: Sequence[Original]) -> bool:
    return (
        0 < len(originals) == entry.next_offset - entry.first_offset
        and judgeable(originals)
        and originals[0].record.offset == entry.first_offset
    )


def _follows(previous: Entry, entry: Entry) -> bool:
    """Tell whether nothing is missing between two entries, so that their digests must fit."""
    return (previous.sequence + 1, previous.next_offset) == (entry.sequence, entry.first_offset)


def _breaks(previous: Entry, entry: Entry) -> list[str]:
    details = []
    if entry.sequence != previous.sequence + 1:
        details.append(f"it follows sequence {previous.sequence}: the entries between are gone")
    elif entry.previous_hash != previous.hash:
        details.append("it names another previous hash than the entry before it has")
    if entry.first_offset != previous.next_offset:
        details.append(f"it does not begin at {previous.next_offset}, where the one before ended")
    return details


def _digests(
    stream: Stream, before: frozenset[bytes], entry: Entry, originals: Sequence[Original]
) -> frozenset[bytes]:
    """Return the digests that the entry may have by those before it; none when unknown."""
    if entry.kind == "start":
        return frozenset([ledger.first_digest(stream, entry.first_offset)])
    if entry.kind == "records":
        frames = [original.frame for original in originals]
        return frozenset(ledger.extend_digest(digest, frames) for digest in before)
    if entry.kind == "gap":
        gap = entry.first_offset, entry.next_offset
        return frozenset(ledger.gap_digest(digest, *gap) for digest in before)
    return frozenset()


def _unsealed(stream: Stream, entry: Entry, originals: Sequence[Original]) -> list[Finding]:
    verdicts = [original.verdict for original in originals]
    details = []
    if entry.hash != ledger.entry_hash(entry, ledger.encode_verdicts(verdicts)):
        details.append("its hash does not cover what it and its verdicts say")
    if entry.kind == "records" and _said(entry) != counted(originals):
        details.append("its counts are not those of its verdicts")
    return [_finding(Class.CHANGED_ENTRY, stream, entry, detail) for detail in details]


def _said(entry: Entry) -> tuple[int, int, int]:
    return entry.row_count, entry.duplicate_count, entry.quarantine_count


def _finding(kind: Class, stream: Stream, entry: Entry, detail: str) -> Finding:
    return Finding(kind, stream, entry.first_offset, detail, entry.sequence)
