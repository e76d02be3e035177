"""Commands as an operator types them."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stage.stage import Stage


async def operate(stage: Stage, command: str, *more: str) -> str:
    """Run `ingest-service ...` as a message names it, with what else it needs; return its words."""
    program, *arguments = shlex.split(command)
    assert program == "ingest-service"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "ingest_service", *arguments, *more],
        env=stage.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
