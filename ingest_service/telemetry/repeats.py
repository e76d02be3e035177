"""The same event again and again is written once in a while, with how often it was left out."""

import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from threading import Lock
from typing import Any, Final, NamedTuple

import structlog

Event = MutableMapping[str, Any]

WINDOW_SECONDS = 30.0
LIBRARY_WINDOW_SECONDS = 60.0
"""Of another library's line: in an outage ours has said it, and it says it all the time."""
LEFT_OUT: Final = "left_out"
TEMPLATE: Final = "_template"
"""What another library's line is made from: its words without what was put into them."""

_MOST_REMEMBERED = 1000
_KINDS = ("level", "logger", "status", "step", "reason", "why", "error_type")
_PLACES = ("sink", "topic", "partition", "partitions", "component")


class _Seen(NamedTuple):
    until: float
    left_out: int = 0
    last: Event | None = None


class Repeats:
    """Lets an event through once in each window, and keeps the last one of those left out.

    The same about another partition, sink or component, or for another reason, is another event.
    What was left out is told by `overdue` with the words of the last one, so nothing ends in
    silence. Debug lines pass.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[tuple[str, ...], _Seen] = OrderedDict()
        self._lock = Lock()  # /metrics is served by other threads

    def __call__(self, _: Any, __: str, event: Event) -> Event:
        """Pass the event on, or drop it."""
        template = event.pop(TEMPLATE, None)
        if event.get("level") == "debug":
            return event
        key, window = _kind(event, template)
        now = self._clock()
        with self._lock:
            seen = self._seen.get(key)
            if seen is not None and now < seen.until:
                self._remember(key, _Seen(seen.until, seen.left_out + 1, event))
                raise structlog.DropEvent
            self._remember(key, _Seen(now + window))
        if seen is not None and seen.left_out:
            event[LEFT_OUT] = seen.left_out
        return event

    def _remember(self, key: tuple[str, ...], seen: _Seen) -> None:
        self._seen[key] = seen
        self._seen.move_to_end(key)
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)

    def overdue(self, *, all_of_them: bool = False) -> list[Event]:
        """Return the last of each kind that was left out and whose window is over, counted."""
        now, found = self._clock(), list[Event]()
        with self._lock:
            for key, seen in list(self._seen.items()):
                if seen.last is None or not (all_of_them or now >= seen.until):
                    continue
                seen.last[LEFT_OUT] = seen.left_out
                found.append(seen.last)
                self._seen[key] = _Seen(now + WINDOW_SECONDS)
        return found


def _kind(event: Event, template: str | None) -> tuple[tuple[str, ...], float]:
    """Return what makes two lines the same, and for how long one of them is enough.

    Another library's lines differ in their arguments, and come once for each of its clients.
    """
    fields = _KINDS + _PLACES if template is None else _KINDS
    words = event.get("event", "") if template is None else template
    window = WINDOW_SECONDS if template is None else LIBRARY_WINDOW_SECONDS
    return (str(words), *(str(event.get(field, "")) for field in fields)), window
