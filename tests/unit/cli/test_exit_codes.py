from __future__ import annotations

import errno
import json
import logging

import pytest
import structlog
import typer

from ingest_service.cli import output
from ingest_service.errors import BrokerUnavailableError, SetupError
from ingest_service.telemetry import logs

CANARY = "canary-of-an-event"


def failing(exc: BaseException) -> object:
    def command() -> None:
        raise exc

    return command


def ended(exc: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = output.ended(failing(exc))
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err


def test_good_end_is_zero() -> None:
    """A command that returns has succeeded."""
    assert output.ended(lambda: None) == 0


@pytest.mark.parametrize(
    ("exc", "code"), [(SetupError("set it"), 2), (BrokerUnavailableError("start it"), 1)]
)
def test_our_errors_are_one_message(
    exc: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Used or set up wrongly is 2, everything else that we know is 1; never a traceback."""
    assert ended(exc, capsys) == (code, f"ingest-service: {exc}\n")


def test_group_is_said_by_its_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    """Several tasks that fail alike are one message, and the set-up's fault decides the code."""
    group = ExceptionGroup(
        CANARY,
        [
            BrokerUnavailableError("start it"),
            ExceptionGroup("", [SetupError("set it"), SetupError("set it")]),
        ],
    )
    code, said = ended(group, capsys)
    assert code == 2
    assert said == "ingest-service: start it\ningest-service: set it\n"


@pytest.mark.parametrize(
    "exc", [LookupError(CANARY), ExceptionGroup(CANARY, [SetupError("x"), LookupError(CANARY)])]
)
def test_bug_is_told_apart_and_tells_no_content(
    exc: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug is not `found something wrong`; its place is said, its text may hold an event."""
    code, said = ended(exc, capsys)
    assert code == 70
    assert "LookupError" in said
    assert CANARY not in said


def test_full_disk_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    """A report that cannot be written is said as what it is: nothing to report to us."""
    exc = OSError(errno.ENOSPC, "No space left on device")
    assert ended(exc, capsys) == (
        1,
        "ingest-service: the output cannot be written: No space left on device\n",
    )


def test_interrupt_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C is what the person wanted."""
    assert ended(KeyboardInterrupt(), capsys) == (130, "")


def test_work_runs_to_its_end() -> None:
    """A command's asynchronous part gives its result back."""

    async def work() -> int:
        return 7

    assert output.run(work()) == 7


async def fails(exc: Exception) -> None:
    raise exc


@pytest.mark.parametrize(
    ("exc", "code", "event"),
    [
        (SetupError("set it"), 2, "worker ended"),
        (BrokerUnavailableError("start it"), 1, "worker ended"),
        (ExceptionGroup("", [BrokerUnavailableError("b"), SetupError("s")]), 2, "worker ended"),
        (LookupError(CANARY), 70, "worker failed: please report this as a bug"),
        (
            ExceptionGroup(CANARY, [SetupError("s"), LookupError(CANARY)]),
            70,
            "worker failed: please report this as a bug",
        ),
    ],
)
def test_end_of_a_worker_is_a_line_of_its_log(
    exc: Exception, code: int, event: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody sits beside it: what reads its log as JSON reads its end as well, and no content."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("info", "json")
    try:
        with pytest.raises(typer.Exit) as end:
            output.run_worker(fails(exc))
    finally:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
    [line] = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert end.value.exit_code == line["exit_code"] == code
    assert (line["event"], line["level"]) == (event, "critical")
    assert CANARY not in str(line)
    if code == 70:
        assert line["error_type"] == "LookupError"
        assert isinstance(line["where"], list)
    else:
        assert line["why"] in {"set it", "start it", "b; s"}
