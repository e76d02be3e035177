"""Goes through a stream's ledger with its originals beside it, in constant memory."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from ingest_service.compliance.findings import Class, Finding
from ingest_service.ledger import Entry, Stream
from ingest_service.originals import Original, OriginalsUnreadableError, unpack_originals


class Kept(NamedTuple):
    """An entry and the packed records that are kept under its sequence: one, none, or too many."""

    entry: Entry
    packed: bytes | None
    surplus: int


class Stray(NamedTuple):
    """Originals whose sequence no entry has."""

    sequence: int


async def walk(
    entries: AsyncIterator[Entry], originals: AsyncIterator[tuple[int, bytes]]
) -> AsyncIterator[Kept | Stray]:
    """Yield every entry with its originals; both come in order of sequence."""
    waiting = await anext(originals, None)
    async for entry in entries:
        while waiting is not None and waiting[0] < entry.sequence:
            yield Stray(waiting[0])
            waiting = await anext(originals, None)
        packed, count = None, 0
        while waiting is not None and waiting[0] == entry.sequence:
            packed, count = packed or waiting[1], count + 1
            waiting = await anext(originals, None)
        yield Kept(entry, packed, max(0, count - (entry.kind == "records")))
    while waiting is not None:
        yield Stray(waiting[0])
        waiting = await anext(originals, None)


def read(stream: Stream, kept: Kept) -> tuple[list[Original] | None, list[Finding]]:
    """Return a `records` entry's originals, or None and why they are not there."""
    entry = kept.entry
    if entry.kind != "records":
        return [], []
    if kept.packed is None:
        detail = f"nothing is kept of {entry.next_offset - entry.first_offset} records"
        return None, [_finding(Class.ORIGINALS_MISSING, stream, entry, detail)]
    try:
        return unpack_originals(kept.packed, stream.topic, stream.partition), []
    except OriginalsUnreadableError:
        detail = "the originals cannot be read"
        return None, [_finding(Class.CHANGED_BYTES, stream, entry, detail)]


def surplus(stream: Stream, kept: Kept) -> list[Finding]:
    """Return what is kept under an entry's sequence without right."""
    detail = f"{kept.surplus} more than the entry accounts for"
    entry = kept.entry
    return [_finding(Class.ORIGINALS_ADDED, stream, entry, detail)] if kept.surplus else []


def stray_originals(stream: Stream, found: Stray, offset: int) -> Finding:
    """Return the finding for originals that no entry has; `offset` is where the walk stands."""
    detail = "originals are kept for an entry that is not in the ledger"
    return Finding(Class.ORIGINALS_ADDED, stream, offset, detail, found.sequence)


def _finding(kind: Class, stream: Stream, entry: Entry, detail: str) -> Finding:
    return Finding(kind, stream, entry.first_offset, detail, entry.sequence)
