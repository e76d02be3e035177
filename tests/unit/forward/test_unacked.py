"""What a sink accepted and has not acknowledged: offsets that are durable later, or sent again."""

from __future__ import annotations

from ingest_service.forward.unacked import Unacked
from ingest_service.forward.window import Window


def spans(window: Window, size: int = 10) -> list:
    return [(window, window.cover(window.position + size, 1))]


def test_batch_is_durable_once_each_of_its_requests_is() -> None:
    """A batch that was sent in pieces waits for the last of them."""
    window, unacked = Window(0), Unacked(10, 300)
    batch = spans(window)
    unacked.add([0, 1], batch, now=0)
    assert unacked.acknowledge(frozenset({1, 7})) == []
    assert unacked.acknowledge(frozenset({0})) == batch
    assert unacked.ids == []


def test_what_is_never_acknowledged_expires_whole() -> None:
    """After the bound all of the batch is read again, also what was acknowledged of it."""
    window, unacked = Window(0), Unacked(10, 300)
    late, young = spans(window), spans(window)
    unacked.add([0, 1], late, now=0)
    unacked.add([2], young, now=200)
    unacked.acknowledge(frozenset({1}))
    assert unacked.expire(299) == []
    assert unacked.expire(300) == late
    assert unacked.ids == [2]


def test_number_that_comes_again_is_another_request() -> None:
    """A sink that was restarted counts from 0: who waited for its 0 waits in vain."""
    window, unacked = Window(0), Unacked(10, 300)
    lost, new = spans(window), spans(window)
    unacked.add([0, 1], lost, now=0)
    assert unacked.add([0], new, now=1) == lost
    assert unacked.acknowledge(frozenset({0})) == new
    assert unacked.acknowledge(frozenset({1})) == []


def test_window_is_bounded_and_forgets_after_a_rebalance() -> None:
    """Its size is the bound of what a kill repeats."""
    window, unacked = Window(0), Unacked(2, 300)
    unacked.add([0, 1], spans(window), now=0)
    assert unacked.is_full
    unacked.clear()
    assert not unacked.is_full
    assert len(unacked) == 0
