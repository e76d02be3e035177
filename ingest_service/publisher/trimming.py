"""An event becomes a record that the contract takes, whatever stands in its free fields.

A caller must not be able to stay out of the audit by sending big, deep or strange arguments.
So nothing is refused for its content: what does not fit is cut, largest first, and
`metadata._trimmed` says what stood there.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import UNSET

from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.events.v1.bounds import MAX_NAME_CHARACTERS, MAX_VALUE_BYTES
from ingest_service.publisher.notes import Notes
from ingest_service.publisher.plain import Plain, encode, stand_in

KNOWN_KEYS = (
    "action", "latency_ms", "cache_hit", "source_type", "target_type", "error", "policy",
    "client_ip", "session_id", "on_behalf_of", "tenant", "environment", "gateway", "traceparent",
)  # fmt: skip
"""Metadata that is kept, each up to 1 KiB, even where all the rest has to go."""

_NAMES = ("user_id", "agent_id", "server_name", "tool_name", "gateway_request_id")
_MAX_KNOWN = 1024
_MAX_CUTS = 8  # siblings that are cut one by one before what holds them goes as a whole
_CUT_COST = 5120  # more than a note and the stand-in it explains can take


class Trimmed(NamedTuple):
    """The record's value, and how many of its parts were cut or replaced."""

    value: bytes
    changes: int


def trim(
    event: GatewayAuditEvent, audit_id: str, telemetry: Mapping[str, Any] | None = None
) -> Trimmed:
    """Return the event as JSON that fits the contract: byte for byte its plain encoding if it can.

    Only the free fields are mended. A wrong `event_type`, `decision` or `timestamp` comes out as
    it went in (the decoder tells). `telemetry` goes to `metadata.telemetry` and is never cut.
    """
    plain = Plain()
    fields = {
        name: plain.value(value, name, 2 if isinstance(value, dict) else 3)
        for name in event.__struct_fields__
        if (value := getattr(event, name)) is not UNSET
    }
    _mend(fields, audit_id, plain.notes)
    return _fit(fields, plain.notes, telemetry)


def _mend(fields: dict[str, Any], audit_id: str, notes: Notes) -> None:
    """Give each free field the type that the contract asks for."""
    if fields["id"] not in (audit_id, audit_id.upper()):
        notes.add(("id",), "bad_id", fields["id"])
        fields["id"] = audit_id
    for name in _NAMES:
        value = fields.get(name)
        if value is None and name != "gateway_request_id":
            continue
        fields[name] = _text(value, name, notes)
        if len(fields[name]) > MAX_NAME_CHARACTERS:
            notes.add((name,), "too_long", value)
            fields[name] = fields[name][:MAX_NAME_CHARACTERS]
    fields["reason"] = _text(fields.get("reason"), "reason", notes)
    metadata = fields.get("metadata")
    if metadata is None:
        fields.pop("metadata", None)
    elif not isinstance(metadata, dict):
        notes.add(("metadata",), "wrong_type", metadata)
        fields["metadata"] = {"value": metadata}
    elif "_trimmed" in metadata:
        notes.add(("metadata", "_trimmed"), "reserved", metadata["_trimmed"])


def _text(value: Any, name: str, notes: Notes) -> str:
    if isinstance(value, str):
        return value
    notes.add((name,), "wrong_type", value)
    return "" if value is None else encode(value).decode()


def _fit(fields: dict[str, Any], notes: Notes, telemetry: Mapping[str, Any] | None) -> Trimmed:
    """Cut until the encoding, with its notes, is small enough; the last round always is."""
    for shrink in (_shrunk, _shrunk, _shrunk, _bare):
        value = encode(_with_notes(fields, notes, telemetry))
        if len(value) <= MAX_VALUE_BYTES:
            break
        fields = shrink(fields, len(value) - MAX_VALUE_BYTES, notes)
    else:
        value = encode(_with_notes(fields, notes, telemetry))
    return Trimmed(value, notes.count)


def _with_notes(
    fields: dict[str, Any], notes: Notes, telemetry: Mapping[str, Any] | None
) -> dict[str, Any]:
    metadata = dict(fields.get("metadata") or {})
    if telemetry is not None:
        metadata["telemetry"] = telemetry
    if notes.count:
        listed = [item._asdict() for item in notes.oddities + notes.cuts]
        metadata["_trimmed"] = {"count": notes.count, "values": listed}
    return fields | {"metadata": metadata}


def _shrunk(fields: dict[str, Any], excess: int, notes: Notes) -> dict[str, Any]:
    free = {name: fields[name] for name in ("reason", "metadata") if name in fields}
    smaller: dict[str, Any] = _cut(free, (), excess, notes)
    return fields | smaller


def _bare(fields: dict[str, Any], _excess: int, notes: Notes) -> dict[str, Any]:
    return fields | {
        name: _replace(fields[name], (name,), notes)
        for name in ("reason", "metadata")
        if name in fields
    }


def _cut(value: Any, path: tuple[object, ...], excess: int, notes: Notes) -> Any:
    """Return the value smaller by about `excess` bytes: its largest parts go first.

    One part that is large enough by itself is cut from within. Else a few of the largest go.
    Where a few are not enough, there are too many small ones to name each: the whole goes.
    """
    if not isinstance(value, dict | list | tuple):
        return _replace(value, path, notes)
    smaller: Any = dict(value) if isinstance(value, dict) else list(value)
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    sizes = sorted(((len(encode(part)), key) for key, part in parts), key=_size, reverse=True)
    largest, key = sizes[0]
    if largest >= excess + _CUT_COST:
        smaller[key] = _cut(value[key], (*path, key), excess, notes)
        return smaller
    chosen = [key for size, key in sizes[:_MAX_CUTS] if size > _CUT_COST]
    gain = sum(size - _CUT_COST for size, _ in sizes[: len(chosen)])
    if gain < excess and path:
        return _replace(value, path, notes)
    for key in chosen:
        smaller[key] = _replace(value[key], (*path, key), notes)
    return smaller


def _size(sized: tuple[int, object]) -> int:
    return sized[0]


def _replace(value: Any, path: tuple[object, ...], notes: Notes) -> Any:
    notes.add(path, "too_large", value)
    if path == ("metadata",):
        return {
            key: value[key]
            for key in KNOWN_KEYS
            if key in value and len(encode(value[key])) <= _MAX_KNOWN
        }
    return stand_in("too_large", value)
