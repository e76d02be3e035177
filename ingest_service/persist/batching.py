"""When a batch is full, when it is worth writing, and how much to ask for: pure decisions."""

from typing import NamedTuple


class BatchLimits(NamedTuple):
    """What bounds a batch.

    `enough_records` is where waiting for more stops to pay: an entry costs 360 bytes for ever,
    a third of a byte a record from here on, while an event's way to its row would grow longer.
    """

    max_records: int = 10_000
    max_bytes: int = 16 * 1024 * 1024
    linger_seconds: float = 1.0
    enough_records: int = 1_000
    chunk_records: int = 2_000  # decoded at once, before the other connection gets its turn


class Gathered(NamedTuple):
    """What has gathered since the batch before was closed; `since` is when it began."""

    records: int = 0
    size_bytes: int = 0
    since: float = 0.0


def is_full(gathered: Gathered, limits: BatchLimits) -> bool:
    """Say whether nothing more may be added."""
    return gathered.records >= limits.max_records or gathered.size_bytes >= limits.max_bytes


def seconds_to_linger(gathered: Gathered, limits: BatchLimits, now: float) -> float:
    """Return how long this batch should still wait for more records: 0 when it should go."""
    if gathered.records >= limits.enough_records or is_full(gathered, limits):
        return 0.0
    if gathered.records == 0:
        return limits.linger_seconds
    return max(0.0, gathered.since + limits.linger_seconds - now)


def records_to_ask_for(gathered: Gathered, limits: BatchLimits) -> int:
    """Return how many records may be added at once, judging their size by those already here."""
    room = min(limits.max_records - gathered.records, limits.chunk_records)
    if gathered.records:
        average = gathered.size_bytes / gathered.records
        room = min(room, int((limits.max_bytes - gathered.size_bytes) / max(average, 1.0)))
    return max(room, 1)
