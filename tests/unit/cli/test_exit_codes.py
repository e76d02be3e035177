from __future__ import annotations

import errno

import pytest

from ingest_service.cli import output
from ingest_service.errors import BrokerUnavailableError, SetupError

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
