"""What has arrived at a sink: counts, positions, the newest entries."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

KEPT_ENTRIES = 500_000
KEPT_EXCHANGES = 10_000


class Entry(NamedTuple):
    """One event as it arrived: its own bytes, when, and what it says about itself."""

    raw: bytes
    at: float
    audit_id: str | None
    position: tuple[str, int, int] | None

    @property
    def content(self) -> dict[str, Any]:
        """The entry, parsed."""
        content: dict[str, Any] = json.loads(self.raw)
        return content


class Exchange(NamedTuple):
    """One request for events and what it was answered."""

    at: float
    status: int
    entries: int
    raw_bytes: int
    wire_bytes: int
    channel: str


class Ranges:
    """A set of offsets, kept as ranges: a million in a row take no more room than one."""

    def __init__(self, ranges: list[list[int]] | None = None) -> None:
        self.ranges: list[list[int]] = ranges or []

    def add(self, offset: int) -> bool:
        """Take one in; tell whether it is new."""
        ranges = self.ranges
        place = bisect_right(ranges, offset, key=lambda each: each[0])
        before = ranges[place - 1] if place else None
        if before and offset <= before[1]:
            return False
        if before and before[1] == offset - 1:
            before[1] = offset
            if place < len(ranges) and ranges[place][0] == offset + 1:
                before[1] = ranges.pop(place)[1]
        elif place < len(ranges) and ranges[place][0] == offset + 1:
            ranges[place][0] = offset
        else:
            ranges.insert(place, [offset, offset])
        return True


class Arrived:
    """What one sink has taken in since it was started, or since its state file began."""

    def __init__(self, keep: int = KEPT_ENTRIES) -> None:
        self._keep = keep
        self.clear()

    def clear(self) -> None:
        """Forget all of it."""
        self.events = self.repeated = self.unplaced = 0
        self.raw_bytes = self.wire_bytes = self.requests = 0
        self.answers: Counter[int] = Counter()
        self.problems: Counter[str] = Counter()
        self.positions: dict[str, dict[int, Ranges]] = {}
        self.entries: deque[Entry] = deque(maxlen=self._keep)
        self.exchanges: deque[Exchange] = deque(maxlen=KEPT_EXCHANGES)

    @property
    def distinct(self) -> int:
        """How many different records have come."""
        return self.events - self.repeated

    @property
    def ids(self) -> list[str]:
        """The audit ids of the newest entries, in the order in which they came."""
        return [entry.audit_id for entry in self.entries if entry.audit_id is not None]

    def offsets(self, topic: str, partition: int) -> list[tuple[int, int]]:
        """Return the offsets that have come, as ranges that include both ends."""
        ranges = self.positions.get(topic, {}).get(partition, Ranges()).ranges
        return [(first, last) for first, last in ranges]

    def add(self, entry: Entry) -> None:
        """Count an entry that was taken in."""
        self.events += 1
        self.entries.append(entry)
        if entry.position is None:
            self.unplaced += 1
            return
        topic, partition, offset = entry.position
        place = self.positions.setdefault(topic, {}).setdefault(partition, Ranges())
        self.repeated += not place.add(offset)

    def log(self, exchange: Exchange) -> None:
        """Count a request for events and its answer; status 0 is no answer at all."""
        self.requests += 1
        self.answers[exchange.status] += 1
        self.raw_bytes += exchange.raw_bytes
        self.wire_bytes += exchange.wire_bytes
        self.exchanges.append(exchange)

    def counts(self) -> dict[str, Any]:
        """Return what can be counted."""
        return {
            "events": self.events,
            "distinct": self.distinct,
            "repeated": self.repeated,
            "unplaced": self.unplaced,
            "requests": self.requests,
            "raw_bytes": self.raw_bytes,
            "wire_bytes": self.wire_bytes,
            "answers": {str(status): count for status, count in sorted(self.answers.items())},
            "problems": dict(self.problems),
        }

    def places(self) -> dict[str, dict[str, list[list[int]]]]:
        """Return topic → partition → ranges of offsets."""
        return {
            topic: {str(number): place.ranges for number, place in sorted(partitions.items())}
            for topic, partitions in self.positions.items()
        }

    def save(self, path: Path) -> None:
        """Write the counts and positions, whole or not at all; the entries are not kept."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"counts": self.counts(), "positions": self.places()}))
        new.replace(path)

    def load(self, path: Path) -> None:
        """Go on from what an earlier process saved, if one did."""
        if not path.exists():
            return
        saved = json.loads(path.read_text())
        counts = saved["counts"]
        for name in ("events", "repeated", "unplaced", "requests", "raw_bytes", "wire_bytes"):
            setattr(self, name, counts[name])
        self.answers = Counter({int(status): n for status, n in counts["answers"].items()})
        self.problems = Counter(counts["problems"])
        self.positions = {
            topic: {int(number): Ranges(ranges) for number, ranges in partitions.items()}
            for topic, partitions in saved["positions"].items()
        }
