"""What `trace` prints for a person: a short timeline a record, each thing where it stands."""

import datetime as dt
from collections.abc import Iterator

from ingest_service.adapters.trace_reader import LedgerEntry, StoredRow
from ingest_service.compliance.sighting import (
    AtSink,
    Report,
    Sighting,
    SinkState,
    Standing,
)

_WIDTH = 10
_LONGEST = 80

_STANDINGS = {
    Standing.ROW: "a row",
    Standing.DUPLICATE: "a duplicate, counted and not written",
    Standing.QUARANTINED: "in quarantine",
    Standing.GIVEN_UP: "given up as lost by an operator",
    Standing.WAITING: "in Kafka, not persisted yet",
    Standing.NOT_THERE_YET: "nothing has been published there yet",
    Standing.BEFORE_THE_LEDGER: "older than the ledger, which begins behind it",
    Standing.UNKNOWN: "cannot be told",
}


def as_text(report: Report) -> str:
    """Return what a person reads."""
    parts = ["\n".join(_lines(each)) for each in report.sightings]
    if not report.sightings:
        parts.append(f"nothing is known of {_shown(report.asked)}")
    if report.more:
        parts.append(f"and more: these are the first {len(report.sightings)}")
    parts += [f"not asked: {why}" for why in report.unasked]
    return "\n\n".join(parts)


def _lines(seen: Sighting) -> Iterator[str]:
    yield f"{_place(seen)}: {_STANDINGS[seen.standing]}"
    row, record, began = seen.row, seen.record, None
    if row is not None:
        began = row.timestamp
        yield _line("decided", f"{_time(began)}  {_event(row)}")
    if record is not None:
        arrived = of_ms(record.timestamp)
        yield _line("Kafka", f"{_time(arrived)}{_after(began, arrived)}  {_kept(seen)}")
        began = began or arrived
    elif seen.kafka is not None:
        yield _line("Kafka", _kept(seen))
    yield from _stored(seen, began)
    if seen.entry is not None and seen.reach is not None:
        yield _line("ledger", _entry(seen.entry, seen.reach.sequence))
    for sink in seen.sinks:
        yield _line(sink.sink, _sink(sink, seen.offset))
    for wrong in seen.wrong:
        yield _line("WRONG", _shown(wrong, 500))


def _stored(seen: Sighting, began: dt.datetime | None) -> Iterator[str]:
    row = seen.row
    if row is not None and seen.standing is Standing.DUPLICATE and seen.duplicate_of is not None:
        stream, offset = seen.duplicate_of
        where = f"partition {stream.partition}" if stream else "a stream that is not there"
        yield _line("row", f"{_time(row.created_at)}  is that of offset {offset}, {where}")
    elif row is not None:
        after = _after(began, row.created_at)
        says = "" if row.differs or seen.record is None else "  says what arrived"
        yield _line("row", f"{_time(row.created_at)}{after}{says}")
    if seen.quarantine is not None:
        kept = seen.quarantine
        after = _after(began, kept.created_at)
        why = f"{_shown(kept.reason)}: {_shown(kept.message, 200)}"
        yield _line("quarantine", f"{_time(kept.created_at)}{after}  {why}")


def _place(seen: Sighting) -> str:
    if seen.stream is None:
        return f"offset {seen.offset} of no stream that is known"
    stream = seen.stream
    epoch = f" (epoch {stream.epoch})" if stream.epoch > 1 else ""
    return f"{_shown(stream.topic, 249)}/{stream.partition} offset {seen.offset}{epoch}"


def _event(row: StoredRow) -> str:
    names = {
        "user": row.user_id,
        "agent": row.agent_id,
        "server": row.server_name,
        "tool": row.tool_name,
        "request": row.gateway_request_id,
        "id": row.id,
    }
    said = [f"{name} {_shown(value)}" for name, value in names.items() if value is not None]
    return f"{_shown(row.event_type)} {row.decision or ''}: {', '.join(said)}"


def _kept(seen: Sighting) -> str:
    if seen.kafka is None:
        return ""
    if not seen.kafka.is_there:
        return "no longer there"
    return {True: "still there, byte for byte", False: "another record is there now", None: ""}[
        seen.kafka.same
    ] or "still there"


def _entry(found: LedgerEntry, last: int) -> str:
    entry = found.entry
    note = f"  {_shown(found.note, 200)}" if found.note else ""
    return (
        f"{_time(found.created_at)}  {entry.kind} entry {entry.sequence} of {last} "
        f"(offsets {entry.first_offset}-{entry.next_offset - 1}){note}"
    )


def _sink(at: AtSink, offset: int) -> str:
    letter = at.letter
    if at.state is SinkState.NOT_BEGUN:
        return "its forwarder has not begun with this partition"
    if letter is not None:
        again = ", sent again by a replay" if letter.sent_again else ""
        when = _time(of_ms(letter.time_ms))
        return f"{when}  dead-lettered: {_shown(letter.reason)} ({letter.status}){again}"
    assert at.passed_before is not None
    if at.state is SinkState.PASSED:
        return f"delivered, or left out by its settings (its forwarder is at {at.passed_before})"
    return f"waiting, {offset - at.passed_before} records before it (at {at.passed_before})"


def _line(name: str, text: str) -> str:
    return f"  {name:<{_WIDTH}}  {text}"


def _time(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


def of_ms(milliseconds: int) -> dt.datetime:
    """Return a record's time; a forged one may lie outside of what a date can be."""
    try:
        return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return dt.datetime.fromtimestamp(0, dt.UTC)


def _after(began: dt.datetime | None, at: dt.datetime) -> str:
    return "" if began is None else f" ({(at - began).total_seconds():+.3f} s)"


def _shown(text: str, longest: int = _LONGEST) -> str:
    """Return text from an event as a terminal may have it: no control characters, not for ever."""
    cut = text if len(text) <= longest else text[:longest] + "…"
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in cut
    )
