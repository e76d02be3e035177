"""What is written once for many events: `functools.lru_cache` costs twice as much a look."""

from collections.abc import Callable, Hashable
from typing import Final

MAX_KEYS: Final = 1024


class Memo(dict[Hashable, bytes]):
    """The answers of a function, by its arguments; started anew when somebody sends many."""

    def __init__(self, write: Callable[..., bytes]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, arguments: tuple[object, ...]) -> bytes:
        if len(self) >= MAX_KEYS:
            self.clear()
        text = self[arguments] = self._write(*arguments)
        return text
