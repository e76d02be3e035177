"""How long to wait before asking a sink again: pure."""

from random import Random
from typing import Final

_FIRST_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 30.0
LONGEST_ASKED_SECONDS: Final = 300.0
"""A sink may ask for more patience than we would have; not for a day of it."""


def backoff_seconds(attempt: int, rng: Random, asked_seconds: float | None = None) -> float:
    """Return the wait before attempt `attempt` (from 1): doubling, with full jitter.

    At least what the sink asked for, up to five minutes; a tenth of jitter on top of that, since
    every worker was told the same.
    """
    ceiling = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(attempt - 1, 16))
    wait = rng.uniform(0.0, ceiling)
    if asked_seconds is None:
        return wait
    asked = min(max(asked_seconds, 0.0), LONGEST_ASKED_SECONDS)
    return max(wait, asked * rng.uniform(1.0, 1.1))
