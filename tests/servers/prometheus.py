"""Prometheus' own programs for the tests: whichever are there, or are had in seconds."""

from __future__ import annotations

import os
import shutil
from functools import cache
from typing import TYPE_CHECKING, NoReturn

import pytest

from stack import prometheus_source as source
from stack.state import State

if TYPE_CHECKING:
    from pathlib import Path


@cache
def programs() -> list[source.Programs]:
    """Return every Prometheus that is there, Debian's unpacked where there is none; else skip."""
    state = State.shared()
    if source.had_quickly(state) is None:
        missing("Prometheus")
    return source.found(state)


def amtool() -> Path:
    """Return Alertmanager's tool, from beside a Prometheus; else skip."""
    tools = (each.program("amtool") for each in programs())
    return next(filter(None, tools), None) or missing("amtool")


def alertmanager() -> str:
    """Return the server; else skip. It has to be installed: Debian's wants its own /usr/share."""
    names = ("alertmanager", "prometheus-alertmanager")
    return next(filter(None, map(shutil.which, names)), None) or missing("Alertmanager")


def missing(what: str) -> NoReturn:
    """Skip the test, with what to do; under CI that is an error."""
    message = (
        f"no {what}: install it (`apt install prometheus prometheus-alertmanager`); "
        "`make prometheus` builds Prometheus with Go"
    )
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
