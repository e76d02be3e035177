"""Another clock for one process: what the wall says is wrong, what runs on is right."""

from __future__ import annotations

import json
from pathlib import Path

_LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib64/faketime/libfaketime.so.1")


def clock_off_by(days: int) -> dict[str, str]:
    """Return the settings under which a worker's wall clock is off; its monotonic one is right.

    By libfaketime where it is installed (Debian's `faketime`), as any program would meet it; else
    the worker's own `time.time` is shifted.
    """
    for pattern in _LIBRARIES:
        for library in Path("/").glob(pattern.lstrip("/")):
            return {
                "LD_PRELOAD": str(library),
                "FAKETIME": f"{days:+d}d",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
    return {"STAGE_CONSTANTS": json.dumps({}), "STAGE_CLOCK_DAYS": str(days)}
