"""SIGHUP: another log level without a restart, from where a running process can still be told."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
import structlog

from ingest_service.telemetry.log_level import change_level_on_hangup, read_level_again
from waiting import until

if TYPE_CHECKING:
    import io
    from pathlib import Path


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in [name for name in os.environ if name.startswith("INGEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("INGEST_SECRETS_DIR", str(tmp_path))
    return tmp_path


def written(log: io.StringIO) -> list[str]:
    """Return which levels are written now."""
    before = len(log.getvalue())
    for level in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), level)(f"a line of level {level}")
    return [json.loads(line)["level"] for line in log.getvalue()[before:].splitlines()]


async def test_hangup_takes_the_level_from_its_file(secrets: Path, log: io.StringIO) -> None:
    """A file that changed takes effect at the signal, and a line says so at any level."""
    change_level_on_hangup()
    for number, (level, expected) in enumerate([("error", 1), ("debug", 4), ("warning", 2)], 1):
        (secrets / "INGEST_LOG__LEVEL").write_text(f"{level}\n")
        structlog.configure(processors=_without_repeats())
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda n=number: log.getvalue().count("log level set") == n)
        assert f'"to_level":"{level}"' in log.getvalue()
        assert '"source":"secrets directory"' in log.getvalue()
        assert len(written(log)) == expected


def _without_repeats() -> list:
    from ingest_service.telemetry.repeats import Repeats

    return [
        Repeats() if isinstance(each, Repeats) else each
        for each in structlog.get_config()["processors"]
    ]


def test_level_of_the_environment_stays_and_says_why(
    secrets: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment comes first and cannot change: the log says where to set it instead."""
    monkeypatch.setenv("INGEST_LOG__LEVEL", "warning")
    (secrets / "INGEST_LOG__LEVEL").write_text("debug")
    read_level_again()
    assert "environment: unset it there" in log.getvalue()
    assert written(log) == ["warning", "error"]


def test_level_is_the_default_again_when_its_file_is_gone(secrets: Path, log: io.StringIO) -> None:
    """Taking the file away ends what it began."""
    read_level_again()
    assert '"source":"default"' in log.getvalue()
    assert written(log) == ["info", "warning", "error"]


def test_bad_settings_change_nothing(secrets: Path, log: io.StringIO) -> None:
    """A slip while somebody looks into an incident must not end the worker."""
    (secrets / "INGEST_LOG__LEVEL").write_text("loud")
    read_level_again()
    line = json.loads(log.getvalue())
    assert line["event"] == "log level stays"
    assert "INGEST_LOG__LEVEL" in line["why"]
    assert written(log) == ["info", "warning", "error"]


async def test_closed_terminal_still_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that somebody runs by hand does not outlive its terminal, with nowhere to log to."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    before = signal.getsignal(signal.SIGHUP)
    change_level_on_hangup()
    assert signal.getsignal(signal.SIGHUP) is before
