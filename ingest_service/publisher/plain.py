"""Any Python value, made into what the event contract takes: JSON, bounded, without surprises.

What is JSON already comes back as it is. What is not (cycles, objects, numbers out of range,
broken text, bottomless nesting) is replaced by a stand-in, and a note says what stood there:
an argument that cannot be encoded must not keep a decision out of the audit.
"""

import math
from typing import Any

import msgspec

from ingest_service.events.v1.bounds import MAX_DEPTH, MAX_NAME_CHARACTERS, MAX_VALUE_BYTES
from ingest_service.publisher.notes import Notes
from ingest_service.publisher.text import as_text, is_text

_MAX_NODES = 250_000  # 1 MiB of JSON holds about twice as many of the smallest values
_MAX_CHARACTERS = 4 << 20
_KEPT_CHARACTERS = 256
_ORDINARY_NODES = 20_000
_LEAST_FLOAT = 1e-308  # smaller ones print with an exponent that the contract refuses
_PRINTABLE_BITS = 10_000  # Python refuses to print integers of more than 4,300 digits
_LARGEST_INT = 10**39  # together with its sign, one more digit would be too long

encode = msgspec.json.Encoder().encode


def stand_in(reason: str, value: object = None) -> str:
    """Return what stands where a value was taken out: how a text began, or why the value went."""
    return value[:_KEPT_CHARACTERS] if isinstance(value, str) else f"[trimmed: {reason}]"


def is_ordinary(tree: Any) -> bool:
    """Tell, without recursion and soon, whether msgspec can be asked to encode this at once.

    It can when there is nothing but JSON's own types, finite, and not very much of them: msgspec
    writes NaN as null without a word, and what holds itself would fill the memory.
    """
    nodes, characters = _ORDINARY_NODES, MAX_VALUE_BYTES
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        kind = type(node)
        if kind is str:
            characters -= len(node)
        elif kind is dict:
            waiting += node
            waiting += node.values()
        elif kind is list:
            waiting += node
        elif kind is float:
            if not math.isfinite(node):
                return False
        elif not (node is None or kind is int or kind is bool):
            return False
        nodes -= 1
        if nodes < len(waiting) or characters < 0:
            return False
    return True


class Plain:
    """One walk over one event; `notes` gathers what it replaced.

    The work is bounded however large the values are: beyond `_MAX_NODES` whole containers are
    replaced unseen, which a record of 1 MiB could not have held anyway.
    """

    def __init__(self) -> None:
        self.notes = Notes()
        self._nodes_left = _MAX_NODES
        self._characters_left = _MAX_CHARACTERS
        self._path: list[object] = []
        self._open: set[int] = set()

    def value(self, value: Any, name: object, depth: int) -> Any:
        """Return the value as JSON; the very same object when nothing had to change."""
        kind = type(value)
        if kind is str:
            return self._text(value, name)
        if value is None or kind is bool:
            return value
        if kind is int or kind is float:
            return self._number(value, name)
        if isinstance(value, dict | list | tuple):
            return self._container(value, name, depth)
        return self._foreign(value, name, depth)

    def _number(self, value: float, name: object) -> Any:
        if type(value) is int:
            if -_LARGEST_INT < value < _LARGEST_INT:
                return value
            digits = str(value) if value.bit_length() < _PRINTABLE_BITS else None
            return self._replaced(value, name, "number_out_of_range", digits)
        if math.isfinite(value) and (abs(value) >= _LEAST_FLOAT or value == 0):
            return value
        return self._replaced(value, name, "number_out_of_range", repr(value))

    def _text(self, value: str, name: object) -> str:
        self._characters_left -= len(value)
        if self._characters_left < 0:
            self._characters_left += len(value)
            value = self._replaced(value, name, "too_large", stand_in("too_large", value))
        if value.isascii() or is_text(value):
            return value
        return self._replaced(value, name, "not_text", as_text(value))

    def _container(self, value: Any, name: object, depth: int) -> Any:
        if id(value) in self._open:
            return self._replaced(value, name, "cycle")
        if depth > MAX_DEPTH:
            return self._replaced(value, name, "too_deep")
        self._nodes_left -= len(value)
        if self._nodes_left < 0:
            self._nodes_left += len(value)
            return self._replaced(value, name, "too_large")
        self._open.add(id(value))
        self._path.append(name)
        clean = self._object if isinstance(value, dict) else self._array
        plain = clean(value, depth + 1)
        self._path.pop()
        self._open.discard(id(value))
        return plain

    def _array(self, value: Any, depth: int) -> Any:
        # list(...) reads a subclass, too, by the base class's own iterator.
        items = list(list.__iter__(value) if isinstance(value, list) else tuple.__iter__(value))
        plain = [self.value(item, index, depth) for index, item in enumerate(items)]
        unchanged = all(a is b for a, b in zip(plain, items, strict=True))
        return value if unchanged and type(value) in (list, tuple) else plain

    def _object(self, value: Any, depth: int) -> Any:
        items = list(dict.items(value))
        plain: dict[str, Any] = {}
        changed = type(value) is not dict
        for key, item in items:
            name = key if type(key) is str and len(key) <= MAX_NAME_CHARACTERS else self._key(key)
            if not name.isascii() and not is_text(name):
                name = self._replaced(name, name, "not_text", as_text(name))
            while name in plain:  # 1 and "1", or two names cut to the same
                name += "+"
            plain[name] = self.value(item, name, depth)
            changed = changed or name is not key or plain[name] is not item
        return plain if changed else value

    def _key(self, key: object) -> str:
        if isinstance(key, str):
            text = str.__str__(key)
            if len(text) > MAX_NAME_CHARACTERS:
                return str(self._replaced(text, text, "key_too_long", text[:MAX_NAME_CHARACTERS]))
            return text
        text = self.value(key, stand_in("key"), MAX_DEPTH + 1)
        return text if isinstance(text, str) else encode(text).decode()[:MAX_NAME_CHARACTERS]

    def _foreign(self, value: Any, name: object, depth: int) -> Any:
        """Take dates, UUIDs, bytes, sets, dataclasses as msgspec writes them; nothing unknown.

        `str()` is never asked of an object: it runs foreign code, and may tell a secret.
        """
        if isinstance(value, str):
            return self.value(str.__str__(value), name, depth)
        if isinstance(value, int):
            return self.value(int.__int__(value), name, depth)
        if isinstance(value, float):
            return self.value(float.__float__(value), name, depth)
        try:
            plain = msgspec.to_builtins(value)
        except Exception:  # noqa: BLE001 - whatever an object does, the decision is recorded
            return self._replaced(value, name, "not_json")
        return self.value(plain, name, depth)

    def _replaced(self, value: object, name: object, reason: str, by: str | None = None) -> str:
        self.notes.add((*self._path, name), reason, value)
        return stand_in(reason) if by is None else by
