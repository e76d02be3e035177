from __future__ import annotations

import asyncio
import errno
import gc
import json
import logging
from datetime import datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING

import pytest
import structlog
from asyncpg import UniqueViolationError

from ingest_service.errors import DatabaseUnavailableError
from ingest_service.telemetry import logs
from ingest_service.telemetry.logs import configure, request_id, say_exception, set_level
from waiting import until

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
    structlog.get_logger().info("refused", why="\x1b[2J\nforged")
    assert "\x1b" not in log.getvalue()
    assert "\nforged" not in log.getvalue()
    with pytest.raises(json.JSONDecodeError):
        lines(log)


def test_level_changes_while_it_runs(log: io.StringIO) -> None:
    """Loggers that exist already follow, and so do other libraries' lines."""
    logger = structlog.get_logger()
    for level in ("debug", "error"):
        set_level(level)
        logger.debug("ours at %s", level)
        logging.getLogger("aiokafka").info("theirs at %s", level)
        logging.getLogger("aiokafka").error("trouble at %s", level)
    assert [line["event"] for line in lines(log)] == [
        "ours at debug",
        "theirs at debug",
        "trouble at debug",
    ]


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (b"req-7/2026.11:a_b", "req-7/2026.11:a_b"),
        (b"x" * 64, "x" * 64),
        (b"x" * 65, None),
        (b"alice@example.com", None),
        (b"two words", None),
        ("café".encode(), None),
        (b"\xff", None),
        (b"", None),
        (None, None),
    ],
)
def test_request_id_is_shown_when_it_looks_like_one(key: bytes | None, shown: str | None) -> None:
    """Whoever makes requests chooses the id: no sentence of theirs gets into a log."""
    assert request_id(key) == shown


def test_field_that_nobody_knows_is_left_out(log: io.StringIO) -> None:
    """A line says what there is to say: no nulls."""
    structlog.get_logger().info("event", request_id=None, offset=0)
    assert "request_id" not in lines(log)[0]
    assert lines(log)[0]["offset"] == 0


async def test_what_was_left_out_is_told_in_the_end(log: io.StringIO) -> None:
    """The last repeat is written with how many there were, at the latest when the worker ends."""
    logger = structlog.get_logger("ingest_service.test")
    async with logs.telling_repeats():
        for offset in range(5):
            logger.warning("again", offset=offset)
        assert [line["offset"] for line in lines(log)] == [0]
    first, last = lines(log)
    assert (last["offset"], last["left_out"], last["level"]) == (4, 4, "warning")
    assert last["time"] >= first["time"]
    assert last["logger"] == "ingest_service.test"


async def test_what_was_left_out_is_told_while_the_worker_runs(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst that ends is not forgotten until the next one."""
    monkeypatch.setattr(logs, "_LOOK_EVERY_SECONDS", 0.001)
    monkeypatch.setattr("ingest_service.telemetry.repeats.WINDOW_SECONDS", 0.05)
    async with logs.telling_repeats():
        for _ in range(3):
            structlog.get_logger().warning("again")
        await until(lambda: len(lines(log)) == 2)
        assert lines(log)[1]["left_out"] == 2


def test_libraries_line_that_differs_by_its_arguments_is_one_line(log: io.StringIO) -> None:
    """Another library's words are one event, whatever it puts into them."""
    for node in range(20):
        logging.getLogger("aiokafka").warning("no connection to node %s", node)
    assert [line["event"] for line in lines(log)] == ["no connection to node 0"]
    assert "_template" not in log.getvalue()


class Full(StringIO):
    """A log on a disk that is full."""

    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.usefixtures("log")
def test_log_that_cannot_be_written_stops_no_work(style: str) -> None:
    """A full disk under the log, or a pipe that nobody reads, costs lines and no event."""
    closed = StringIO()
    closed.close()
    for stream in (Full(), closed):
        stream.isatty = lambda: False
        configure("info", style, stream)
        structlog.get_logger().error("stopped")
        logging.getLogger("aiokafka").error("no node")


def test_text_that_is_none_is_written_all_the_same(log: io.StringIO) -> None:
    """A file's name may hold bytes that are no text; the line comes, as JSON."""
    structlog.get_logger().error(
        "refused", why="no such file: \udcff", wanted={1, 2}, n=float("nan")
    )
    [line] = lines(log)
    assert line["why"] == "no such file: \udcff"
