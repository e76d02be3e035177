"""Indexer acknowledgement: numbers a channel, and a `true` that is given once."""

from __future__ import annotations

import uuid
from collections import defaultdict


class Acks:
    """The acknowledgements that clients have not been told yet."""

    def __init__(self) -> None:
        self._next: defaultdict[str, int] = defaultdict(int)
        self._given_at: dict[tuple[str, int], float] = {}

    def give(self, channel: str, now: float, *, indexed: bool) -> int:
        """Return the channel's next number; one whose events are lost is never acknowledged."""
        number = self._next[channel]
        self._next[channel] += 1
        if indexed:
            self._given_at[channel, number] = now
        return number

    def ask(
        self, channel: str, numbers: list[int], now: float, after_seconds: float | None
    ) -> dict[str, bool]:
        """Say which are indexed by now; a `true` is said once, anything unknown is `false`."""
        return {str(each): self._tell(channel, each, now, after_seconds) for each in numbers}

    def _tell(self, channel: str, number: int, now: float, after_seconds: float | None) -> bool:
        given = self._given_at.get((channel, number))
        if given is None or after_seconds is None or now - given < after_seconds:
            return False
        del self._given_at[channel, number]
        return True

    def forget(self) -> None:
        """Lose every channel, as an idle one is lost, or as a restart loses them."""
        self._next.clear()
        self._given_at.clear()

    @property
    def waiting(self) -> int:
        """How many a client has not been told yet."""
        return len(self._given_at)


def is_channel(text: str) -> bool:
    """Tell whether this is a GUID."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
