"""Where is this event, and where was it: Kafka, row, ledger, originals, quarantine, each sink.

For one record the chain is checked as `verify` does it: the entry's hash, its digest over all its
originals, the decoder's ruling, and the row.
"""

from collections.abc import Sequence

from ingest_service import ledger
from ingest_service.adapters.trace_reader import LedgerEntry, StoredRow, TraceReader
from ingest_service.compliance.question import Question
from ingest_service.compliance.sighting import Sighting, Standing
from ingest_service.compliance.trace_ruling import ruling
from ingest_service.events.record import Row
from ingest_service.ledger import Stream
from ingest_service.originals import Original, OriginalsUnreadableError, unpack_originals
from ingest_service.shapes import Place

MOST = 20
"""How many places one answer shows: a request may have led to thousands of events."""


class Found:
    """The places that a question leads to, each once, in the order in which they were met."""

    def __init__(self) -> None:
        self.places: dict[Place, StoredRow | None] = {}
        self.unasked: list[str] = []

    def add(self, rows: Sequence[StoredRow]) -> None:
        """Take the places where these rows say they belong."""
        for row in rows:
            self.places.setdefault((row.stream_id, row.kafka_offset), row)


async def places(reader: TraceReader, question: Question, topic: str) -> Found:
    """Return where the database has what was asked for; one more than `MOST` says there is more."""
    found = Found()
    if question.place is not None:
        partition, offset = question.place
        for stream in await reader.streams(topic, partition):
            found.places.setdefault((stream.id, offset), None)
    if question.id is not None:
        found.add(await reader.rows_of_id(question.id, MOST + 1))
    found.add(await reader.rows_of_request(question.text, MOST + 1))
    if not found.places:
        named = await reader.quarantine_naming(question.text, MOST + 1)
        if named is None:
            found.unasked.append("quarantine is too large to be searched: ask by PARTITION:OFFSET")
        found.places |= dict.fromkeys(named or ())
    return found


async def sighting(reader: TraceReader, place: Place, row: StoredRow | None) -> Sighting:
    """Return what the database knows of a place; `row` is what led there, if a row did."""
    stream_id, offset = place
    stream = await reader.stream(stream_id)
    if stream is None:
        wrong = "this row belongs to no stream: it was not written by a persister"
        return Sighting(None, offset, Standing.UNKNOWN, row=row, wrong=(wrong,))
    reach = await reader.reach(stream)
    seen = Sighting(stream, offset, Standing.UNKNOWN, reach=reach, row=row)
    if reach is None or offset >= reach.next_offset:
        seen = seen._replace(standing=Standing.WAITING)
    elif offset < reach.first_offset:
        seen = seen._replace(standing=Standing.BEFORE_THE_LEDGER)
    else:
        entry = await reader.entry_covering(stream, offset)
        if entry is None:
            wrong = "the ledger has a hole here: run `ingest-service verify`"
            return seen._replace(wrong=(wrong,))
        return await _in_entry(reader, seen._replace(entry=entry), stream, entry)
    if row is not None:
        return seen._replace(wrong=("a row stands here, and no entry of the ledger says so",))
    return seen


async def _in_entry(
    reader: TraceReader, seen: Sighting, stream: Stream, found: LedgerEntry
) -> Sighting:
    """Judge a place by the entry that it belongs to."""
    if found.entry.kind == "gap":
        seen = seen._replace(standing=Standing.GIVEN_UP)
        return seen if seen.row is None else _with(seen, "a row stands in a gap")
    originals = await _originals(reader, stream, found)
    if isinstance(originals, str):
        return _with(seen, originals)
    digest_before = await reader.digest_before(found.entry)
    seen = _with(seen, *_chain_faults(found, originals, digest_before))
    mine = [each for each in originals if each.record.offset == seen.offset]
    if len(mine) != 1:
        return _with(seen, "the originals have no such record")
    seen = seen._replace(record=mine[0].record)
    return await _by_verdict(reader, seen, stream, found, mine[0])


async def _originals(
    reader: TraceReader, stream: Stream, found: LedgerEntry
) -> list[Original] | str:
    packed = await reader.originals(found)
    if packed is None:
        return "the originals of this entry are not there (or no entry's): they were taken away"
    try:
        return unpack_originals(packed, stream.topic, stream.partition)
    except OriginalsUnreadableError as exc:
        return f"{exc}: they were changed"


def _chain_faults(
    found: LedgerEntry, originals: Sequence[Original], digest_before: bytes | None
) -> tuple[str, ...]:
    """Say how an entry does not cover its originals; nothing: hash and digest hold."""
    entry, faults = found.entry, list[str]()
    verdicts = ledger.encode_verdicts([each.verdict for each in originals])
    if ledger.entry_hash(entry, verdicts) != entry.hash:
        faults.append("the entry's hash does not cover what it says")
    frames = [each.frame for each in originals]
    if digest_before is None:
        faults.append("the entry before is not there")
    elif ledger.extend_digest(digest_before, frames) != entry.digest:
        faults.append("the entry's digest does not cover its originals")
    return tuple(faults)


async def _by_verdict(
    reader: TraceReader, seen: Sighting, stream: Stream, found: LedgerEntry, original: Original
) -> Sighting:
    ruled, verdict = ruling(found.entry, original), original.verdict
    if isinstance(ruled, str):
        seen = _with(seen, ruled)
    if isinstance(verdict, str):
        return await _quarantined(reader, seen, stream, verdict)
    expected = ruled if isinstance(ruled, Row) else None
    if verdict is None:
        seen = seen._replace(standing=Standing.ROW)
        if seen.row is not None and expected is not None and seen.row.id != expected.id:
            seen = _with(seen, f"a row stands here that is not its record's: {seen.row.id}")
        return await _row(reader, seen, (stream.id, seen.offset), expected)
    if seen.row is not None:
        seen = _with(seen, "a row stands here, and the verdict is a duplicate")
    origin = await reader.stream(verdict[0])
    seen = seen._replace(standing=Standing.DUPLICATE, duplicate_of=(origin, verdict[1]))
    return await _row(reader, seen, verdict, expected)


async def _row(reader: TraceReader, seen: Sighting, place: Place, expected: Row | None) -> Sighting:
    """Compare the row that must stand at `place` with what the record decodes to."""
    if expected is None:  # this version cannot decode it: only what is there can be shown
        return seen
    rows = await reader.row_like(expected._replace(kafka_offset=place[1]))
    if not rows:
        return _with(seen, "the row is not there under its record's id and time")
    own = [row for row in rows if (row.stream_id, row.kafka_offset) == place]
    row = (own or rows)[0]
    seen = seen._replace(row=row)
    if row.stream_id != place[0]:
        seen = _with(seen, "the row says another stream")
    if row.differs:
        seen = _with(seen, f"the row differs from its record in {', '.join(row.differs)}")
    return seen if len(rows) == 1 else _with(seen, "more than one row stands under this key")


async def _quarantined(
    reader: TraceReader, seen: Sighting, stream: Stream, reason: str
) -> Sighting:
    kept = await reader.quarantine(stream, seen.offset)
    seen = seen._replace(standing=Standing.QUARANTINED, quarantine=kept)
    if kept is None:
        seen = _with(seen, f"the verdict is {reason}, and quarantine has no such record")
    elif kept.reason != reason:
        seen = _with(seen, f"the verdict is {reason}, and quarantine says otherwise")
    if seen.row is not None:
        seen = _with(seen, "a row stands here, and the verdict is a rejection")
    return seen


def _with(seen: Sighting, *wrong: str) -> Sighting:
    return seen._replace(wrong=(*seen.wrong, *wrong))
