"""What a sink is told beside an event, read the careful way: from any record, without an error.

Sinks read ordinary events by a shorter way of their own, and come here with everything else.
"""

import base64
import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from ingest_service.events.record import Record
from ingest_service.events.v1.bounds import MAX_EVENT_TYPE_CHARACTERS, MAX_NAME_CHARACTERS
from ingest_service.events.v1.fields import FIELDS, is_event_type
from ingest_service.events.v1.identity import accept_id, derive_id
from ingest_service.events.v1.parsing import accept_literal, decode_members, decode_text
from ingest_service.events.v1.refusal import Refused
from ingest_service.forward.sinks.origin import Metadata

MALFORMED: Final = "malformed"
"""The event type that a sink is told of what is no event at all."""

_SHORTENED_FIELDS: Final = sorted(FIELDS - {"metadata"})
_MAX_FIELD_BYTES: Final = 4096
_LAST_SECOND: Final = Decimal(2**32)

_decode_metadata: Final = msgspec.json.Decoder(Metadata | None).decode
json: Final = msgspec.json.Encoder().encode


class Outline(NamedTuple):
    """An event from outside. `seconds` is its time in decimal digits; `event` is JSON to send."""

    event: bytes
    audit_id: bytes
    seconds: bytes
    event_type: str | None
    decision: str | None
    who: str | None
    instance: str | None
    members: Mapping[str, bytes]


def outline(record: Record, value: bytes) -> Outline:
    """Read what can be read of a value that is a JSON object; raise msgspec's errors if not.

    A time that is none, or is in the wrong unit, is replaced by Kafka's.
    """
    members = decode_members(value)
    event_type = _text(members, "event_type", MAX_EVENT_TYPE_CHARACTERS)
    decision = _text(members, "decision", MAX_NAME_CHARACTERS)
    return Outline(
        value,
        _audit_id(record, members),
        _seconds(members) or kafka_seconds(record),
        event_type if event_type and is_event_type(event_type) else None,
        decision if decision in {"allow", "deny"} else None,
        _text(members, "user_id", MAX_NAME_CHARACTERS)
        or _text(members, "agent_id", MAX_NAME_CHARACTERS),
        _instance(members),
        members,
    )


def malformed(record: Record, *, withheld: bool) -> Outline:
    """Return what stands for a record that is no JSON object: what arrived, in one string.

    Bytes that are no text are in base64. With redaction on, nothing of it may leave, since
    nothing can be found in it: a hash stands for it.
    """
    event = _withheld(record) if withheld else _as_string(record.value)
    audit_id = derive_id(record).encode()
    return Outline(json(event), audit_id, kafka_seconds(record), MALFORMED, None, None, None, {})


def shortened(record: Record, whole: Outline) -> Outline:
    """Return a stand-in for an event that the sink would cut: it says so, and where the whole is.

    Kept is each short field of the event; what is long is in `metadata` nearly always.
    """
    kept = {
        name: msgspec.Raw(whole.members[name])
        for name in _SHORTENED_FIELDS
        if len(whole.members.get(name, b"")) in range(1, _MAX_FIELD_BYTES)
    }
    note = {"shortened": "too large for this sink: whole in the dead-letter topic"}
    return whole._replace(event=json({**kept, **note, **_fingerprint(record)}))


def kafka_seconds(record: Record) -> bytes:
    """Return the record's Kafka time in decimal seconds."""
    return b"%d.%03d" % divmod(max(record.timestamp, 0), 1000)


def _text(members: Mapping[str, bytes], name: str, max_characters: int) -> str | None:
    member = members.get(name, b"")
    text = decode_text(member) if member[:1] == b'"' else None
    return text if text is not None and len(text) <= max_characters else None


def _audit_id(record: Record, members: Mapping[str, bytes]) -> bytes:
    sent = members.get("id", b"")
    try:
        return accept_id(decode_text(sent)).encode()
    except (msgspec.DecodeError, Refused):
        return derive_id(record).encode()


def _instance(members: Mapping[str, bytes]) -> str | None:
    try:
        metadata = _decode_metadata(members.get("metadata", b""))
    except msgspec.DecodeError:
        return None
    return metadata.gateway.instance if metadata is not None and metadata.gateway else None


def _seconds(members: Mapping[str, bytes]) -> bytes | None:
    """Return the event's own time, without an exponent; its digits are not touched."""
    literal = members.get("timestamp", b"").decode()
    if literal[:1] not in set("0123456789"):
        return None
    try:
        seconds = Decimal(accept_literal(literal))
    except ValueError:
        return None
    return f"{seconds:f}".encode() if seconds < _LAST_SECOND else None


def _as_string(value: bytes | None) -> dict[str, object]:
    if value is None:
        return {"malformed": None, "malformed_encoding": "none"}
    try:
        return {"malformed": value.decode(), "malformed_encoding": "utf-8"}
    except UnicodeDecodeError:
        return {
            "malformed": base64.b64encode(value).decode(),
            "malformed_encoding": "base64",
        }


def _withheld(record: Record) -> dict[str, object]:
    return {"malformed": None, "malformed_encoding": "withheld", **_fingerprint(record)}


def _fingerprint(record: Record) -> dict[str, object]:
    value = record.value or b""
    return {"original_bytes": len(value), "original_sha256": hashlib.sha256(value).hexdigest()}
