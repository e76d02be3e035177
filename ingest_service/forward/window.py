"""What of one partition is under way: pure. Only the contiguous prefix may be committed."""

from bisect import insort
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Span:
    """Offsets from `first` up to, and without, `next`, which are settled together."""

    first: int
    next: int
    kafka_ms: int
    settled: bool = False


class Window:
    """The offsets between what is committed and what was read, in spans.

    A span is covered when it was read, settled when each of its records is at the sink, in the
    dead letters or left out by the settings, and released when it has to be read once more.
    Nothing past `prefix` may be committed; `committed` is what the broker knows of it.
    """

    def __init__(self, start: int) -> None:
        self.prefix = start
        self.committed = start
        self._frontier = start
        self._spans: list[Span] = []
        self._gaps: list[tuple[int, int]] = []

    @property
    def position(self) -> int:
        """The offset to read next: the first one that no span covers."""
        return self._gaps[0][0] if self._gaps else self._frontier

    @property
    def limit(self) -> int | None:
        """Where reading must stop, since a span that is under way begins there."""
        return self._gaps[0][1] if self._gaps else None

    @property
    def oldest_ms(self) -> int | None:
        """The Kafka time of the oldest record that is not settled, if any is under way."""
        return next((span.kafka_ms for span in self._spans if not span.settled), None)

    def cover(self, next_offset: int, kafka_ms: int) -> Span:
        """Note that everything from `position` up to `next_offset` was read."""
        first = self.position
        assert first < next_offset
        span = Span(first, next_offset, kafka_ms)
        if not self._gaps:
            self._frontier = next_offset
            self._spans.append(span)
            return span
        _, limit = self._gaps.pop(0)
        assert next_offset <= limit
        if next_offset < limit:
            self._gaps.insert(0, (next_offset, limit))
        insort(self._spans, span, key=_first)
        return span

    def settle(self, span: Span) -> None:
        """Note that nothing of this span can be lost any more; the prefix may grow."""
        span.settled = True
        done = 0
        for each in self._spans:
            if not each.settled or each.first != self.prefix:
                break
            self.prefix = each.next
            done += 1
        del self._spans[:done]

    def release(self, span: Span) -> None:
        """Have this span read once more: nobody knows whether the sink keeps it."""
        self._spans.remove(span)
        insort(self._gaps, (span.first, span.next))
        joined: list[tuple[int, int]] = []
        for first, following in self._gaps:
            if joined and joined[-1][1] == first:
                joined[-1] = (joined[-1][0], following)
            else:
                joined.append((first, following))
        if joined[-1][1] == self._frontier:
            self._frontier = joined.pop()[0]
        self._gaps = joined


def _first(span: Span) -> int:
    return span.first
