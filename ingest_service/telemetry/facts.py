"""What metrics read in `metadata`: the known keys, whatever else a publisher wrote beside them.

Metadata is free, so a metric never stops a row: a key of the wrong type is as if it were not there,
and its neighbours are read all the same.
"""

from typing import Any, Final

import msgspec
from msgspec import Raw


class Failure(msgspec.Struct, frozen=True, gc=False):
    """`metadata.error`: a call of the gateway's client that failed."""

    operation: str | None = None
    error_type: str | None = None


class Policy(msgspec.Struct, frozen=True, gc=False):
    """`metadata.policy`: what decided."""

    name: str | None = None
    rule: str | None = None


class Facts(msgspec.Struct, gc=False):
    """The known keys of one event; `telemetry` is as it was sent, empty when there is none."""

    action: str | None = None
    latency_ms: float | None = None
    cache_hit: bool | None = None
    source_type: str | None = None
    target_type: str | None = None
    error: Failure | None = None
    policy: Policy | None = None
    telemetry: Raw = Raw(b"")


UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading raises when a known key is of another type, or it is no JSON."""

read_facts: Final = msgspec.json.Decoder(Facts).decode
"""Read a row's metadata, or raise one of `UNREADABLE`."""


_decode_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_member: Final = {
    field.name: msgspec.json.Decoder(field.type).decode for field in msgspec.structs.fields(Facts)
}


def read_facts_carefully(metadata: bytes) -> Facts:
    """Return what can be read of the known keys, one by one when need be."""
    try:
        return read_facts(metadata)
    except UNREADABLE:
        pass
    try:
        members = _decode_members(metadata)
    except UNREADABLE:
        return Facts()
    found = {name: _read(decode, members.get(name)) for name, decode in _decode_member.items()}
    return Facts(**{name: value for name, value in found.items() if value is not None})


def _read(decode: Any, member: Raw | None) -> Any:
    try:
        return None if member is None else decode(member)
    except UNREADABLE:
        return None
