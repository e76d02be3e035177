"""What goes into the `metadata` column: the publisher's bytes, and what of ours must join them."""

import json
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ingest_service.events.v1.fields import Members, refuse_number, refuse_type
from ingest_service.events.v1.parsing import decode_anything, decode_members, encode_members
from ingest_service.events.v1.structure import has_long_integer

EXTRA: Final = "_extra"
"""Where unknown fields of the event are kept, and what a publisher wrote under our names."""
INGEST: Final = "_ingest"
"""Where this service says what it had to change."""


class _Ours(msgspec.Struct, gc=False):
    ingest: Raw | UnsetType = msgspec.field(name=INGEST, default=UNSET)
    extra: Raw | UnsetType = msgspec.field(name=EXTRA, default=UNSET)


_decode_ours: Final = msgspec.json.Decoder(_Ours).decode
_NUL: Final = "\x00"
_REPLACEMENT: Final = "\ufffd"


def accept_metadata(members: Members) -> bytes:
    """Return the metadata as it was sent; `{}` when it is null or absent."""
    member = members.get("metadata")
    if member is None or member == b"null":
        return b"{}"
    if member[:1] != b"{":
        raise refuse_type("metadata", "an object or null", member)
    _judge(member, "metadata")
    return member


def accept_unknown(unknown: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Return the fields that the contract does not know, as they were sent.

    A rejection does not name them: their names are content.
    """
    for member in unknown.values():
        _judge(member, "a field that is not of this contract")
    return unknown


def join_metadata(
    metadata: bytes, unknown: Mapping[str, bytes], changes: Mapping[str, int]
) -> bytes:
    """Return the metadata with our two keys; the publisher's own bytes if neither is needed.

    A publisher who writes under our names finds it under `_extra`, so none can hide or forge
    what we say.
    """
    theirs = _decode_ours(metadata)
    if theirs.ingest is not UNSET or theirs.extra is not UNSET:
        metadata, unknown = _move_theirs(metadata, unknown)
    ours = {}
    if unknown:
        ours[EXTRA] = encode_members(unknown)
    if changes:
        ours[INGEST] = msgspec.json.encode(changes)
    return _append(metadata, ours) if ours else metadata


def count_merged_keys(text: bytes) -> int:
    """Return how many keys a replaced NUL makes equal to another key of the same object."""
    merged = 0

    def note(pairs: list[tuple[str, object]]) -> None:
        nonlocal merged
        before = {key for key, _ in pairs}
        merged += len(before) - len({key.replace(_NUL, _REPLACEMENT) for key in before})

    json.loads(
        text.decode(),
        object_pairs_hook=note,
        parse_int=str,
        parse_float=str,
        parse_constant=str,
    )
    return merged


def _move_theirs(
    metadata: bytes, unknown: Mapping[str, bytes]
) -> tuple[bytes, Mapping[str, bytes]]:
    inside = decode_members(metadata)
    extra = dict(unknown)
    for name in (INGEST, EXTRA):
        if name in inside:
            extra[_free_name(name, extra)] = inside.pop(name)
    return encode_members(inside), extra


def _append(metadata: bytes, ours: Mapping[str, bytes]) -> bytes:
    comma = b"," if metadata[1:-1].strip() else b""
    return metadata[:-1] + comma + encode_members(ours)[1:]


def _free_name(name: str, taken: Mapping[str, bytes]) -> str:
    while name in taken:
        name = f"metadata.{name}"
    return name


def _judge(member: bytes, place: str) -> None:
    try:
        decode_anything(member)
    except msgspec.ValidationError:
        raise refuse_number(place) from None
    if has_long_integer(member):
        raise refuse_number(place)
