"""The facts that the choice needs, read from this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

from .choose import Facts

ENGINE_ANSWER_SECONDS = 10


@cache
def engine_fault() -> str | None:
    """Why no Docker engine can be used here, in a few words, or None when one answers."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    ask = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        answer = subprocess.run(
            ask, capture_output=True, text=True, timeout=ENGINE_ANSWER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it kept silent for {ENGINE_ANSWER_SECONDS} s"
    if answer.returncode == 0:
        return None
    return next(iter(answer.stderr.strip().splitlines()), "docker version failed")[:120]


@cache
def compose_fault() -> str | None:
    """As engine_fault, and Docker Compose has to be there too."""
    if (fault := engine_fault()) is not None:
        return fault
    answer = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return None if answer.returncode == 0 else "docker has no compose plugin"


def facts(variable: str, *, compose: bool) -> Facts:
    """Read what speaks for each source, for the server that `variable` would name."""
    named = bool(os.environ.get(variable))
    forced = os.environ.get("STACK", "")
    if named or forced == "embedded":
        return Facts(named, "not asked", forced)
    return Facts(named, compose_fault() if compose else engine_fault(), forced)
