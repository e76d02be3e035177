"""What `replay` tells a person: every letter and offset is accounted for, and the next step is said."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from ingest_service.cli.replay_report import progress, show_letters, show_refilled
from ingest_service.replay.backlog import Kind
from ingest_service.replay.dead_letters import Resent
from ingest_service.replay.refill import Refilled, Wanted
from ingest_service.replay.resumption import Resumption, Step

if TYPE_CHECKING:
    from collections.abc import Callable

BAD = Kind("splunk", "bad_format")
WANTED = Wanted("events", 3, 100, 200)


@pytest.mark.parametrize(
    ("dry_run", "said"),
    [
        (True, "splunk bad_format: 9 letters, 4 sent before, 5 would be sent"),
        (False, "splunk bad_format: 9 letters, 4 sent before, 3 sent now, 2 refused again"),
    ],
)
def test_letters_are_a_line_for_each_sink_and_reason(
    capsys: pytest.CaptureFixture[str], dry_run: bool, said: str
) -> None:
    """What was found is what was sent before, sent now, and refused again; a sink that is off is named."""
    resent = Resent(
        Counter({BAD: 9}), Counter({BAD: 4}), ["datadog"], Counter({BAD: 3}), Counter({BAD: 2})
    )
    show_letters(resent, dry_run=dry_run, json=False)
    assert capsys.readouterr().out.splitlines() == [
        said,
        "datadog: not on, so nothing was sent to it",
    ]


@pytest.mark.parametrize(
    ("resumption", "said"),
    [
        (Resumption(Step.MOVE, 200), "goes on at 200"),
        (Resumption(Step.LEAVE, 300), "stands at 300, outside of this range: it was left there"),
        (Resumption(Step.LEAVE, None), "has not begun with this partition"),
        (
            Resumption(Step.STOP_FIRST, 100),
            "`ingest-service replay sink splunk --partition 3 --from 100 --to 200 --already-sent`",
        ),
    ],
)
def test_refill_says_how_the_forwarder_goes_on(
    capsys: pytest.CaptureFixture[str], resumption: Resumption, said: str
) -> None:
    """The second line is what is left to do, ready to be copied."""
    show_refilled("splunk", WANTED, Refilled(97, 1, 0, 2), resumption, json=False)
    counts, forwarder = capsys.readouterr().out.splitlines()
    assert counts.startswith("splunk: events/3 100-199: 97 sent, 1 left out")
    assert counts.endswith("2 not kept (a gap or a purge)")
    assert said in forwarder


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_for_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    """A script's log is not filled with bars; standard output stays the result's."""
    monkeypatch.setenv("FORCE_COLOR" if terminal else "NO_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if terminal else "0")
    tell: Callable[[int, int], None]
    with progress("letters") as tell:
        tell(3, 7)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("letters" in captured.err) is terminal
