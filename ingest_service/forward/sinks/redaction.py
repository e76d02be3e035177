"""Takes values out of an event's metadata before it leaves for a sink; the database keeps them."""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from msgspec import Raw

from ingest_service.events.v1.parsing import decode_members, encode_members

REDACTED: Final = b'"[redacted]"'

Redact = Callable[[bytes], bytes]

_Tree = dict[str, "_Tree | None"]

_decode_elements: Final = msgspec.json.Decoder(list[Raw]).decode
_encode: Final = msgspec.json.Encoder().encode


def redactor(paths: Iterable[tuple[str, ...]]) -> Redact | None:
    """Return what redacts these paths of `metadata` in an event, or None when there are none.

    It raises msgspec's errors, or `RecursionError`, where the value is no JSON object: nothing
    can be found in it then, and nothing of it may leave.
    """
    below: _Tree = {}
    for path in paths:
        _add(below, path)
    if not below:
        return None
    tree: _Tree = {"metadata": below}

    def redact(value: bytes) -> bytes:
        return _redact_object(value, tree)

    return redact


def _add(tree: _Tree, path: tuple[str, ...]) -> None:
    first, *rest = path
    if not rest:
        tree[first] = None  # the whole of it, whatever other path goes deeper
        return
    below = tree.setdefault(first, {})
    if below is not None:
        _add(below, tuple(rest))


def _redact_object(text: bytes, tree: _Tree) -> bytes:
    """Write the object anew, even if no path is in it: a second key of the same name would leak."""
    members = decode_members(text)
    for name, below in tree.items():
        if name in members:
            members[name] = REDACTED if below is None else _redact(members[name], below)
    return encode_members(members)


def _redact(text: bytes, tree: _Tree) -> bytes:
    if text[:1] == b"{":
        return _redact_object(text, tree)
    if text[:1] == b"[":
        return _encode([Raw(_redact(bytes(each), tree)) for each in _decode_elements(text)])
    return text
