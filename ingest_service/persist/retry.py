"""How long to wait before asking a dependency again: pure."""

from random import Random

_FIRST_SECONDS = 0.1
_LONGEST_SECONDS = 5.0


def backoff_seconds(attempt: int, rng: Random) -> float:
    """Return the wait before attempt `attempt` (from 1): doubling, with jitter, never past 5 s."""
    longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(attempt - 1, 16))
    return longest * rng.uniform(0.5, 1.0)
