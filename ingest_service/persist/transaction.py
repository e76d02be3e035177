"""One transaction: rows, originals, quarantine and the durable offset move together or not at all.

The order is the promise. Locks first: without them the loser of a takeover sees a unique violation
on the rows and takes it for duplicates. The ledger last: its foreign key refuses whatever does not
continue the head, and takes everything before it back.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ingest_service import ledger
from ingest_service.events.rejection import Reason
from ingest_service.ledger import Entry, Head
from ingest_service.persist.failpoints import failpoint
from ingest_service.persist.ports import Database
from ingest_service.persist.segment import Finding, Segment
from ingest_service.shapes import Conflict, QuarantineRow

_REUSED = "the id and timestamp of another event, with other content: make a new id for each event"


class Outcome(NamedTuple):
    """What a transaction did: the entries it appended, and the streams it had to leave out."""

    committed: list[tuple[Segment, Entry]]
    moved: list[Segment]


async def write(
    database: Database, segments: Sequence[Segment], *, staged: bool, attempted: dict[int, Entry]
) -> Outcome:
    """Write what still continues its stream's head; leave out the rest.

    `attempted` holds the entries of an attempt whose COMMIT was not answered: a head that is one
    of them says that it was done after all. It receives this attempt's entries.
    """
    async with database.transaction():
        stream_ids = [segment.stream.id for segment in segments]
        await database.lock(stream_ids)
        failpoint("after_lock")
        heads = await database.heads(stream_ids)
        done, current, moved = _sort_out(segments, heads, attempted)
        await _write_rows(database, current, staged=staged)
        failpoint("after_copy")
        entries = [segment.entry(heads[segment.stream.id]) for segment in current]
        await _keep(database, current, entries)
        await database.append(entries)
        failpoint("after_append")
        attempted.update({entry.stream_id: entry for entry in entries})
    failpoint("after_commit")
    return Outcome(done + list(zip(current, entries, strict=True)), moved)


def _sort_out(
    segments: Sequence[Segment], heads: dict[int, Head], attempted: dict[int, Entry]
) -> tuple[list[tuple[Segment, Entry]], list[Segment], list[Segment]]:
    """Return what is durable already, what can be written now, and what somebody else moved."""
    done, current, moved = [], [], []
    for segment in segments:
        head, entry = heads.get(segment.stream.id), attempted.get(segment.stream.id)
        if entry is not None and head == entry.head:
            done.append((segment, entry))
        elif segment.continues(head):
            current.append(segment)
        else:
            moved.append(segment)
    return done, current, moved


async def _write_rows(database: Database, segments: Sequence[Segment], *, staged: bool) -> None:
    for segment in segments:
        segment.forget_conflicts()
    rows = [(each.stream.id, each.rows) for each in segments if each.rows]
    if not rows:
        return
    if not staged:
        await database.copy_rows(rows)
        return
    conflicts = await database.stage_rows(rows)
    for segment in segments:
        segment.overrule(_findings(segment.stream.id, conflicts))


def _findings(stream_id: int, conflicts: Sequence[Conflict]) -> dict[int, Finding]:
    """Tell duplicates, which say the same again, from reused ids, which say something else."""
    return {
        conflict.offset: Finding(conflict.taken_by)
        if conflict.same_content
        else Finding(Reason.ID_REUSED.value, _REUSED)
        for conflict in conflicts
        if conflict.stream_id == stream_id
    }


async def _keep(database: Database, segments: Sequence[Segment], entries: Sequence[Entry]) -> None:
    await database.add_originals(
        [
            (entry.stream_id, entry.sequence, segment.pack())
            for segment, entry in zip(segments, entries, strict=True)
        ]
    )
    failpoint("after_originals")
    quarantine = [row for segment in segments for row in _quarantine_rows(segment)]
    if quarantine:
        await database.add_quarantine(quarantine)
    failpoint("after_quarantine")


def _quarantine_rows(segment: Segment) -> list[QuarantineRow]:
    return [
        QuarantineRow(
            stream_id=segment.stream.id,
            kafka_offset=record.offset,
            kafka_timestamp_us=record.timestamp * 1000,
            key=record.key,
            headers=ledger.encode_headers(record.headers),
            value=record.value,
            reason=reason.value,
            message=message,
        )
        for record, reason, message in segment.quarantined
    ]
