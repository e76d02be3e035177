from __future__ import annotations

import asyncio
import gc
import json
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import structlog
from asyncpg import UniqueViolationError

from ingest_service.errors import DatabaseUnavailableError
from ingest_service.telemetry import logs
from ingest_service.telemetry.logs import Repeats, configure, say_exception

if TYPE_CHECKING:
    import io

CANARY = "canary-of-an-event"


def lines(log: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def database_error() -> UniqueViolationError:
    """Return an error as PostgreSQL sends it: with the row in its DETAIL."""
    error = UniqueViolationError(f"duplicate key {CANARY}")
    error.detail = f"Key (id)=({CANARY}) already exists."
    return error


def test_one_event_is_one_line_with_fixed_names(log: io.StringIO) -> None:
    """Time in UTC, level, event and logger are always there, under these names."""
    structlog.get_logger("ingest_service.persist").info("stopped\nreally", partition=3)
    [line] = lines(log)
    assert line | {"time": ""} == {
        "time": "",
        "level": "info",
        "event": "stopped\nreally",
        "partition": 3,
        "logger": "ingest_service.persist",
    }
    assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)


def test_unknown_exceptions_tell_type_and_place_only(log: io.StringIO) -> None:
    """A database error's text repeats the row: neither it nor its causes' texts are logged."""
    try:
        try:
            raise database_error()
        except UniqueViolationError as exc:
            raise LookupError(CANARY) from exc
    except LookupError as exc:
        structlog.get_logger().exception("failed", cause=exc.__cause__)
    assert CANARY not in log.getvalue()
    [line] = lines(log)
    assert line["error_type"] == "LookupError"
    assert line["cause"] == "UniqueViolationError"
    assert "test_logs.py" in line["where"][-1]


def test_our_own_errors_keep_their_message(log: io.StringIO) -> None:
    """What we wrote for a person reaches that person."""
    structlog.get_logger().warning("retry", error=DatabaseUnavailableError("start the database"))
    assert lines(log)[0]["error"] == "start the database"


def test_exception_groups_are_said_by_their_members() -> None:
    """A task group's failure names each kind once, and no foreign text."""
    inner = [database_error(), database_error(), DatabaseUnavailableError("away")]
    assert say_exception(ExceptionGroup(CANARY, inner)) == "UniqueViolationError; away"


def test_operating_system_errors_are_said_whole() -> None:
    """Which file or port it was is what an operator needs."""
    assert say_exception(OSError(13, "Permission denied", "key.pem")).endswith("'key.pem'")


def test_libraries_warnings_come_through_without_exception_texts(log: io.StringIO) -> None:
    """Another library's line keeps its words; exceptions among its arguments lose theirs."""
    logging.getLogger("aiokafka.consumer").warning("failed at %s: %s", "host:1", database_error())
    logging.getLogger("aiokafka.consumer").info("chatter")
    [line] = lines(log)
    assert line["event"] == "failed at host:1: UniqueViolationError"
    assert line["logger"] == "aiokafka.consumer"
    assert line["level"] == "warning"


def test_library_that_logs_wrongly_is_survived(log: io.StringIO) -> None:
    """Arguments that do not fit, and levels that nobody knows, break nothing."""
    [ours] = [h for h in logging.getLogger().handlers if type(h).__module__ == logs.__name__]
    for level, words, args in (
        (logging.ERROR, "bad %d", ("text",)),
        (35, "between", None),
        (logging.ERROR, "named %(n)s", ({"n": 1},)),
    ):
        ours.handle(logging.LogRecord("x", level, "", 0, words, args, None))
    assert [line["event"] for line in lines(log)] == ["bad %d", "between", "named 1"]


def test_exception_that_nobody_awaited_is_said_without_its_text(log: io.StringIO) -> None:
    """Asyncio reports a lost task with the exception's repr; that repr is left out."""

    async def lose() -> None:
        async def fail() -> None:
            raise database_error()

        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        del task

    asyncio.run(lose())
    gc.collect()
    assert CANARY not in log.getvalue()
    assert lines(log)[0]["error_type"] == "UniqueViolationError"


def test_levels_are_kept(log: io.StringIO) -> None:
    """What is below the level is not written."""
    configure("error", "json", log)
    structlog.get_logger().warning("no")
    structlog.get_logger().error("yes")
    assert [line["event"] for line in lines(log)] == ["yes"]


def test_console_is_for_people(log: io.StringIO) -> None:
    """On a terminal's behalf a line is words, not JSON."""
    configure("info", "console", log)
    structlog.get_logger().info("assigned", partition=3)
    assert "assigned" in log.getvalue()
    assert "partition=3" in log.getvalue()
    with pytest.raises(json.JSONDecodeError):
        lines(log)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def passed(repeats: Repeats, **event: object) -> dict | None:
    try:
        return dict(repeats(None, "", dict(event)))
    except structlog.DropEvent:
        return None


def test_repeated_event_is_held_back_and_counted() -> None:
    """A few a window pass; the next after it says how many did not."""
    clock = Clock()
    repeats = Repeats(clock)
    out = [passed(repeats, event="retry") for _ in range(20)]
    assert sum(event is not None for event in out) == 5
    clock.now = 11.0
    assert passed(repeats, event="retry") == {"event": "retry", "suppressed": 15}
    clock.now = 30.0
    assert passed(repeats, event="retry") == {"event": "retry"}


def test_other_partitions_are_other_events() -> None:
    """One partition's noise hides no other partition's news."""
    repeats = Repeats(Clock())
    for _ in range(20):
        passed(repeats, event="stopped", partition=1)
    assert passed(repeats, event="stopped", partition=2) is not None


def test_memory_of_repeats_is_bounded() -> None:
    """A thousand kinds of events are remembered, not a million."""
    repeats = Repeats(Clock())
    for n in range(5000):
        passed(repeats, event=f"e{n}")
    assert len(repeats._seen) <= logs._MOST_REMEMBERED
