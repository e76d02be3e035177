"""Requests that a sink accepted and has not acknowledged: pure. Offsets are kept, never events."""

from dataclasses import dataclass, field

from ingest_service.forward.window import Span, Window

Spans = list[tuple[Window, Span]]


@dataclass(eq=False)
class _Waiting:
    spans: Spans
    since: float
    missing: set[int] = field(default_factory=set)


class Unacked:
    """A bounded number of batches that wait. What is in it may arrive twice after a kill."""

    def __init__(self, most_requests: int, expire_seconds: float) -> None:
        self._most = most_requests
        self._expire_seconds = expire_seconds
        self._by_id: dict[int, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def is_full(self) -> bool:
        """Whether the next batch must wait."""
        return len(self._by_id) >= self._most

    @property
    def ids(self) -> list[int]:
        """What to ask the sink about, the oldest first."""
        return list(self._by_id)

    def add(self, ack_ids: list[int], spans: Spans, now: float) -> Spans:
        """Wait for all of these; return the spans of batches that lost an id to this one.

        A sink that was restarted counts from 0 again: who waited for that number waits in vain.
        """
        lost = [span for each in ack_ids for span in self._drop(each)]
        waiting = _Waiting(spans, now, set(ack_ids))
        self._by_id |= dict.fromkeys(ack_ids, waiting)
        return lost

    def acknowledge(self, ack_ids: frozenset[int]) -> Spans:
        """Return the spans that are durable at the sink now."""
        durable: Spans = []
        for each in ack_ids:
            waiting = self._by_id.pop(each, None)
            if waiting is not None:
                waiting.missing.discard(each)
                if not waiting.missing:
                    durable += waiting.spans
        return durable

    def expire(self, now: float) -> Spans:
        """Give up on those that wait for too long; return their spans, to be read once more."""
        late = [
            each
            for each, waiting in self._by_id.items()
            if now - waiting.since >= self._expire_seconds
        ]
        return [span for each in late for span in self._drop(each)]

    def _drop(self, ack_id: int) -> Spans:
        waiting = self._by_id.get(ack_id)
        if waiting is None:
            return []
        for each in list(self._by_id):
            if self._by_id[each] is waiting:
                del self._by_id[each]
        return waiting.spans

    def clear(self) -> None:
        """Forget all: after a rebalance these offsets are somebody else's."""
        self._by_id.clear()
