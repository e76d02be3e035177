"""Logs: one event a line, fixed field names, and nothing in them that came in an event.

A database error repeats the row in its DETAIL, and asyncio prints the text of exceptions that
nobody awaited. So no exception's text is logged unless we wrote it (`IngestError`) or the
operating system did (`OSError`); of all others, the type and where it happened.
"""

import asyncio
import json
import logging
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from traceback import extract_tb
from typing import Any, Literal, TextIO, TypeAlias

import msgspec
import structlog

from ingest_service.errors import IngestError
from ingest_service.telemetry.repeats import TEMPLATE, Event, Repeats

Level: TypeAlias = Literal["debug", "info", "warning", "error"]

_LOOK_EVERY_SECONDS = 1.0
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/-]{1,64}")


def configure(
    level: Level = "info",
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
            _without_nothing,
            # Before repeats are left out: the last of them is told later, with its own time.
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            Repeats(),
            _one_line if style == "json" else _for_a_person(stream),
        ],
        logger_factory=_Loggers(stream),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_ThroughStructlog()], force=True)
    set_level(level)


def set_level(level: Level) -> None:
    """Write our lines from this level on; other libraries' from `warning`, `info` with `debug`."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    logging.getLogger().setLevel(logging.INFO if level == "debug" else logging.WARNING)


@asynccontextmanager
async def telling_repeats() -> AsyncIterator[None]:
    """Tell what was left out of the log, when its time is over and when the block ends."""
    telling = asyncio.create_task(_keep_telling(), name="tell-repeats")
    try:
        yield
    finally:
        telling.cancel()
        tell_repeats(all_of_them=True)


async def _keep_telling() -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        tell_repeats()


def tell_repeats(*, all_of_them: bool = False) -> None:
    """Write the last of each kind of event that was left out, with how many there were."""
    config = structlog.get_config()
    *_, repeats, render = config["processors"]
    if isinstance(repeats, Repeats):
        for event in repeats.overdue(all_of_them=all_of_them):
            config["logger_factory"]().msg(render(None, "", event))


def request_id(key: bytes | None) -> str | None:
    """Return a record's request id, if it looks like one: no word of a user's gets into a log."""
    return key.decode() if key is not None and _REQUEST_ID.fullmatch(key) else None


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


class _Loggers:
    """Makes the loggers that write; each knows its name, for the `logger` field."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, *names: str) -> "_NamedLogger":
        return _NamedLogger(self._stream, names[0] if names else "")


class _NamedLogger(structlog.WriteLogger):
    """Writes lines. One that cannot be written, on a full disk, is lost: the work goes on."""

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream)
        self.name = name

    def msg(self, message: str) -> None:
        """Write one line."""
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            super().msg(message)

    log = debug = info = warn = warning = error = critical = exception = msg


def _name_logger(logger: Any, _: str, event: Event) -> Event:
    if name := getattr(logger, "name", ""):
        event["logger"] = name
    return event


def _for_a_person(stream: TextIO) -> structlog.dev.ConsoleRenderer:
    # Values are quoted: a line end or an escape sequence in one would forge lines on a terminal.
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), timestamp_key="time", repr_native_str=True
    )


def _without_nothing(_: Any, __: str, event: Event) -> Event:
    return {key: value for key, value in event.items() if value is not None}


def _one_line(_: Any, __: str, event: Event) -> str:
    first = {key: event.pop(key) for key in ("time", "level", "event") if key in event}
    line = first | dict(event)
    try:
        return msgspec.json.encode(line, enc_hook=str).decode()
    except ValueError:  # half a surrogate, from a file's name perhaps
        return json.dumps(line, default=str)


class _ThroughStructlog(logging.Handler):
    """Passes other libraries' records on, without the texts of exceptions among their arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one of our events."""
        # asyncio appends the repr of the task, and so the text of its exception.
        message = _worded(record).partition("\n")[0]
        logger = structlog.get_logger(record.name)
        logger.log(
            min(record.levelno // 10 * 10, logging.CRITICAL),
            message,
            exc_info=record.exc_info,
            **{TEMPLATE: str(record.msg)},
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
