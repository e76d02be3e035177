"""Logs: one event a line, fixed field names, and nothing in them that came in an event.

A database error repeats the row in its DETAIL, and asyncio prints the text of exceptions that
nobody awaited. So no exception's text is logged unless we wrote it (`IngestError`) or the
operating system did (`OSError`); of all others, the type and where it happened.
"""

import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from traceback import extract_tb
from typing import Any, Literal, TextIO

import msgspec
import structlog

from ingest_service.errors import IngestError

Event = MutableMapping[str, Any]

_BURST = 5
_WINDOW_SECONDS = 10.0
_MOST_REMEMBERED = 1000
_IDENTITY = ("event", "level", "logger", "topic", "partition", "component", "error_type")


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    style: Literal["json", "console"] | None = None,
    stream: TextIO | None = None,
) -> None:
    """Send our log lines, and other libraries' warnings, to standard error.

    Without a style: for a person on a terminal, JSON elsewhere.
    """
    stream = stream or sys.stderr
    style = style or ("console" if stream.isatty() else "json")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _name_logger,
            without_exception_texts,
            Repeats(),
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _one_line if style == "json" else _for_a_person(stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Loggers(stream),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_ThroughStructlog()], level=logging.WARNING, force=True)


def say_exception(exc: BaseException) -> str:
    """Return what may be said of an exception: its text when it is safe, else only its type."""
    if isinstance(exc, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(say_exception(inner) for inner in exc.exceptions))
    if isinstance(exc, IngestError):
        return str(exc)
    name = type(exc).__name__
    return f"{name}: {exc}" if isinstance(exc, OSError) else name


def where(exc: BaseException) -> list[str]:
    """Return the places that an exception passed, innermost last, without any text of it."""
    frames = extract_tb(exc.__traceback__)[-8:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def without_exception_texts(_: Any, __: str, event: Event) -> Event:
    """Replace each exception among the fields by what may be said of it."""
    exc = event.pop("exc_info", None)
    if exc is True:
        exc = sys.exception()
    elif isinstance(exc, tuple):
        exc = exc[1]
    if isinstance(exc, BaseException):
        event["error_type"] = type(exc).__name__
        event["error"] = say_exception(exc)
        event["where"] = where(exc)
    for key, value in event.items():
        if isinstance(value, BaseException):
            event[key] = say_exception(value)
    return event


class Repeats:
    """Let the first few of the same event through in each window, and count the others.

    The count goes out as `suppressed` with the next one that passes. The same event about
    another partition or component is another event.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()

    def __call__(self, _: Any, __: str, event: Event) -> Event:
        """Pass the event on, or drop it."""
        key = tuple(str(event.get(field, "")) for field in _IDENTITY)
        now = self._clock()
        since, count = self._seen.get(key, (now, 0))
        if now - since >= _WINDOW_SECONDS:
            if count > _BURST:
                event["suppressed"] = count - _BURST
            since, count = now, 0
        self._remember(key, since, count + 1)
        if count >= _BURST:
            raise structlog.DropEvent
        return event

    def _remember(self, key: tuple[str, ...], since: float, count: int) -> None:
        self._seen[key] = (since, count)
        self._seen.move_to_end(key)
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)


class _Loggers:
    """Makes the loggers that write; each knows its name, for the `logger` field."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, *names: str) -> "_NamedLogger":
        return _NamedLogger(self._stream, names[0] if names else "")


class _NamedLogger(structlog.WriteLogger):
    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream)
        self.name = name


def _name_logger(logger: Any, _: str, event: Event) -> Event:
    if name := getattr(logger, "name", ""):
        event["logger"] = name
    return event


def _for_a_person(stream: TextIO) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time")


def _one_line(_: Any, __: str, event: Event) -> str:
    first = {key: event.pop(key) for key in ("time", "level", "event") if key in event}
    return msgspec.json.encode(first | dict(event), enc_hook=str).decode()


class _ThroughStructlog(logging.Handler):
    """Passes other libraries' records on, without the texts of exceptions among their arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one of our events."""
        # asyncio appends the repr of the task, and so the text of its exception.
        message = _worded(record).partition("\n")[0]
        logger = structlog.get_logger(record.name)
        logger.log(
            min(record.levelno // 10 * 10, logging.CRITICAL), message, exc_info=record.exc_info
        )


def _worded(record: logging.LogRecord) -> str:
    words, args = str(record.msg), record.args
    if not args:
        return words
    if isinstance(args, tuple):
        args = tuple(say_exception(arg) if isinstance(arg, BaseException) else arg for arg in args)
    try:
        return words % args
    except (TypeError, ValueError):  # arguments that do not fit: a bug of the library's
        return words
