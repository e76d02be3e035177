"""What `trace` prints for a machine: everything but what the event says in its metadata."""

import datetime as dt
import json
from typing import Any

from ingest_service.adapters.trace_reader import StoredRow
from ingest_service.cli.trace_report import of_ms
from ingest_service.compliance.sighting import AtSink, Report, Sighting


def as_json(report: Report) -> str:
    """Return what a machine reads."""
    return json.dumps(
        {
            "asked": report.asked,
            "good": report.is_good,
            "more": report.more,
            "unasked": list(report.unasked),
            "found": [_fields(each) for each in report.sightings],
        }
    )


def _fields(seen: Sighting) -> dict[str, Any]:
    stream = seen.stream
    return {
        "topic": stream.topic if stream else None,
        "partition": stream.partition if stream else None,
        "epoch": stream.epoch if stream else None,
        "offset": seen.offset,
        "standing": seen.standing.value,
        "kafka_time": _json_time(of_ms(seen.record.timestamp)) if seen.record else None,
        "kafka": seen.kafka._asdict() if seen.kafka else None,
        "row": _row_fields(seen.row) if seen.row else None,
        "duplicate_of": _origin_fields(seen),
        "quarantine": _times(seen.quarantine._asdict()) if seen.quarantine else None,
        "ledger": _entry_fields(seen) if seen.entry else None,
        "durable_offset": seen.reach.next_offset if seen.reach else None,
        "sinks": [_sink_fields(each) for each in seen.sinks],
        "wrong": list(seen.wrong),
    }


def _row_fields(row: StoredRow) -> dict[str, Any]:
    fields = _times(row._asdict())
    del fields["metadata"], fields["stream_id"]
    return fields | {"differs": list(row.differs)}


def _origin_fields(seen: Sighting) -> dict[str, Any] | None:
    if seen.duplicate_of is None:
        return None
    stream, offset = seen.duplicate_of
    partition, epoch = (stream.partition, stream.epoch) if stream else (None, None)
    return {"partition": partition, "epoch": epoch, "offset": offset}


def _entry_fields(seen: Sighting) -> dict[str, Any]:
    assert seen.entry is not None
    entry = seen.entry.entry
    return {
        "sequence": entry.sequence,
        "last_sequence": seen.reach.sequence if seen.reach else None,
        "kind": entry.kind,
        "first_offset": entry.first_offset,
        "next_offset": entry.next_offset,
        "digest": entry.digest.hex(),
        "hash": entry.hash.hex(),
        "note": seen.entry.note,
        "created_at": _json_time(seen.entry.created_at),
    }


def _sink_fields(at: AtSink) -> dict[str, Any]:
    letter = at.letter._asdict() if at.letter else None
    return at._asdict() | {"state": at.state.value, "letter": letter}


def _times(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _json_time(value) if isinstance(value, dt.datetime) else value
        for name, value in fields.items()
    }


def _json_time(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat()
