"""The body of a HEC request: JSON objects one after another, read until the first bad one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from .hec_codes import (
    BAD_FIELDS,
    EVENT_BLANK,
    EVENT_REQUIRED,
    INCORRECT_INDEX,
    INVALID_FORMAT,
    NO_DATA,
    SUCCESS,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

KEYS = frozenset({"event", "time", "host", "source", "sourcetype", "index", "fields"})
SPACE = re.compile(r"[ \t\r\n]*")


class Object(NamedTuple):
    """One object of the body, and its own bytes."""

    content: dict[str, Any]
    raw: bytes


class Reading(NamedTuple):
    """What a body holds: the objects that are indexed, the code, and which object it names."""

    indexed: list[Object]
    code: int
    named: int | None = None
    swallowed: bool = False


def read_objects(body: bytes, indexes: Collection[str] | None, max_event_bytes: int) -> Reading:
    """Return what HEC makes of a body: everything before the first bad object is indexed."""
    indexed: list[Object] = []
    for found in _objects(body, max_event_bytes):
        if found is None:
            return Reading(indexed, INVALID_FORMAT, len(indexed))
        if not KEYS.issuperset(found.content):
            # Seen on real servers: an unknown key ends the reading, and the answer is 200.
            return Reading(indexed, SUCCESS, swallowed=True)
        code = _judge(found.content, indexes)
        if code == INCORRECT_INDEX:
            return Reading(indexed, code, len(indexed) + 1)
        if code != SUCCESS:
            return Reading(indexed, code, len(indexed))
        indexed.append(found)
    return Reading(indexed, SUCCESS if indexed else NO_DATA)


def _objects(body: bytes, max_event_bytes: int) -> Iterator[Object | None]:
    """Yield each object; None in place of the first that cannot be read, and no more."""
    text = body.decode("utf-8", "surrogateescape")
    place = _after_space(text, 0)
    while place < len(text):
        found, place = _object_at(text, place)
        if found is None or len(found.raw) > max_event_bytes:
            yield None
            return
        yield found
        place = _after_space(text, place)


def _object_at(text: str, place: int) -> tuple[Object | None, int]:
    try:
        content, end = _DECODER.raw_decode(text, place)
        raw = text[place:end].encode()  # fails where the bytes were not UTF-8
    except (ValueError, RecursionError):
        return None, place
    return (Object(content, raw) if isinstance(content, dict) else None), end


def _judge(content: dict[str, Any], indexes: Collection[str] | None) -> int:
    event, fields, index = content.get("event"), content.get("fields", {}), content.get("index")
    if event is None:
        return EVENT_REQUIRED
    if event == "":
        return EVENT_BLANK
    if not isinstance(fields, dict) or any(
        isinstance(value, (dict, list)) for value in fields.values()
    ):
        return BAD_FIELDS
    if index is not None and indexes is not None and index not in indexes:
        return INCORRECT_INDEX
    return SUCCESS


def _after_space(text: str, place: int) -> int:
    found = SPACE.match(text, place)
    return found.end() if found else place


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
