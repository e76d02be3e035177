"""When a batch goes to a sink: pure decisions, time is an argument."""

from typing import Final

from ingest_service.forward.ports import Limits

LINGER_SECONDS: Final = 1.0
"""How old a batch may grow that is not full: p99 from event to sink stays under 1.5 s."""


def entries_to_gather(limits: Limits, *, behind: bool) -> int:
    """Return how many events a batch should have: more when there is a backlog.

    A request costs a millisecond of CPU whatever its size: 100 events a request end at 60 k
    events a second, full ones at five times that.
    """
    return limits.max_entries if behind else min(limits.usual_entries, limits.max_entries)


def is_due(
    entries: int, size_bytes: int, age_seconds: float, limits: Limits, *, behind: bool
) -> bool:
    """Say whether a batch should go: enough events, enough bytes, or old enough."""
    return entries > 0 and (
        entries >= entries_to_gather(limits, behind=behind)
        or size_bytes >= limits.max_bytes
        or age_seconds >= LINGER_SECONDS
    )


def seconds_to_linger(entries: int, age_seconds: float) -> float:
    """Return how long a batch that is not due may still wait for more."""
    return max(0.0, LINGER_SECONDS - age_seconds) if entries else LINGER_SECONDS
