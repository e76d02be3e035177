"""Records on their way to one sink together, as it takes them, and the offsets that they cover."""

from collections import Counter
from collections.abc import Sequence

from ingest_service.events.record import Record
from ingest_service.forward.answers import Why
from ingest_service.forward.ports import Encoded, Entry, Filtered, Limits, Unsendable
from ingest_service.forward.window import Span, Window

Refused = tuple[Record, Why]


class Batch:
    """What has gathered since `since`. Its offsets are settled together, once all of it is."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.entries: list[Entry] = []
        self.refused: list[Refused] = []
        self.filtered: Counter[str] = Counter()
        self.size_bytes = 0
        self.spans: list[tuple[Window, Span]] = []

    def __len__(self) -> int:
        return len(self.entries) + len(self.refused)

    def is_full(self, limits: Limits) -> bool:
        """Say whether nothing more may be added."""
        return len(self) >= limits.max_entries or self.size_bytes >= limits.max_bytes

    def take(self, records: Sequence[Record], encoded: Sequence[Encoded], limits: Limits) -> int:
        """Add records, encoded for the sink, up to its limits; return how many were added."""
        entries, room, size = self.entries, limits.max_entries - len(self), self.size_bytes
        taken = 0
        for record, body in zip(records, encoded, strict=True):
            if room <= 0:
                break
            if body.__class__ is bytes:
                if size + len(body) >= limits.max_bytes and entries:
                    break
                entries.append((record, body))
                size += len(body) + 1  # what separates it from the next
                room -= 1
            elif isinstance(body, Filtered):
                self.filtered[body.rule] += 1
            else:
                assert isinstance(body, Unsendable)
                size += self._refuse(record, body)
                room -= 1
            taken += 1
        self.size_bytes = size
        return taken

    def _refuse(self, record: Record, body: Unsendable) -> int:
        self.refused.append((record, body.why))
        if body.marked is not None:
            self.entries.append((record, body.marked))
        return len(record.value or b"") + len(body.marked or b"")

    def cover(self, window: Window, next_offset: int, kafka_ms: int) -> None:
        """Note that this batch covers its window's partition up to `next_offset`."""
        self.spans.append((window, window.cover(next_offset, kafka_ms)))
