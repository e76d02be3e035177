"""Places where a fault test may stop or kill the worker; they do nothing in production.

`INGEST_FAILPOINT=after_copy:kill:3` kills this process when it passes `after_copy` for the third
time; `stop` freezes it instead (SIGSTOP), as a hung node would.
"""

import os
import signal
from collections import Counter

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}

POINTS = (
    "after_fetch",
    "after_prepare",
    "after_lock",
    "after_copy",
    "after_originals",
    "after_quarantine",
    "after_append",
    "after_commit",
    "after_kafka_commit",
)
"""Every place, in the order in which a batch passes them."""

_name, _, _rest = os.environ.get("INGEST_FAILPOINT", "").partition(":")
_action, _, _nth = _rest.partition(":")
_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Let a fault test act here."""
    if name != _name:
        return
    _passed[name] += 1
    if _passed[name] == int(_nth or 1):
        os.kill(os.getpid(), _SIGNALS[_action or "kill"])
