"""What was cut from an event or replaced in it, described so that it can be proved."""

import hashlib
from typing import Any, NamedTuple

import msgspec

from ingest_service.publisher.text import as_text

_MAX_HASHED = 32 << 20  # characters and values of one event, together
_MAX_PATH = 512
_MAX_LISTED = 64

_encode = msgspec.json.Encoder().encode


class Note(NamedTuple):
    """What a stand-in replaced: where, why, and the size and SHA-256 of its JSON encoding.

    `size` and `sha256` are null when the value has no JSON encoding (a cycle, an object), or
    when hashing it would take too long (tens of megabytes).
    """

    path: str
    reason: str
    size: int | None
    sha256: str | None


class Notes:
    """Gathers what was cut or replaced: all of it counted, the first of each kind described.

    Cuts for size are a kind of their own, so that nobody can push the hash of a large argument
    out with many small oddities.
    """

    def __init__(self) -> None:
        self.count = 0
        self.oddities: list[Note] = []
        self.cuts: list[Note] = []
        self._hashable = _MAX_HASHED

    def add(self, path: tuple[object, ...], reason: str, value: object) -> None:
        """Describe a value that is about to go."""
        self.count += 1
        kind = self.cuts if reason == "too_large" else self.oddities
        if len(kind) < _MAX_LISTED:
            kind.append(Note(_pointer(path), reason, *self._fingerprint(value)))

    def _fingerprint(self, value: object) -> tuple[int | None, str | None]:
        try:
            weight = _weight(value, {}, set())
            if weight > self._hashable:
                return None, None
            encoded = _encode(value)
        except Exception:  # noqa: BLE001 - a value without an encoding has no fingerprint
            return None, None
        self._hashable -= weight
        return len(encoded), hashlib.sha256(encoded).hexdigest()


def _pointer(path: tuple[object, ...]) -> str:
    """Write a JSON Pointer (RFC 6901), cut to a bounded length."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return as_text("".join(f"/{step}" for step in steps)[:_MAX_PATH])


def _weight(value: Any, known: dict[int, int], above: set[int]) -> int:
    """Count a value's nodes and characters, in time linear in its distinct objects.

    Encoding first and measuring then would fill the memory with a list that holds one list ten
    times, which holds one list ten times, and so on. Raises `RecursionError` on a cycle.
    """
    if isinstance(value, str | bytes):
        return len(value)
    if not isinstance(value, dict | list | tuple):
        return 1
    key = id(value)
    if key in above:
        raise RecursionError
    if key not in known:
        above.add(key)
        parts = dict.values(value) if isinstance(value, dict) else value
        known[key] = len(value) + sum(_weight(part, known, above) for part in parts)
        above.discard(key)
    return known[key]
