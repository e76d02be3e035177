"""The window: what may be committed, and what has to be read again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.forward.window import Span, Window

steps = st.lists(st.tuples(st.sampled_from("crs"), st.integers(0, 9)), max_size=60)


@given(steps)
def test_prefix_never_passes_an_offset_that_is_not_settled(steps: list[tuple[str, int]]) -> None:
    """Whatever is covered, released and settled in whatever order, the prefix is contiguous."""
    window, pending = Window(100), list[Span]()
    settled: set[int] = set()
    for what, number in steps:
        if what == "c":
            end = window.position + 1 + number
            pending.append(window.cover(min(end, window.limit or end), 1))
        elif pending:
            span = pending.pop(number % len(pending))
            if what == "s":
                window.settle(span)
                settled.update(range(span.first, span.next))
            else:
                window.release(span)
        assert all(offset in settled for offset in range(100, window.prefix))
        assert window.prefix not in settled


@given(steps)
def test_each_offset_is_under_way_once(steps: list[tuple[str, int]]) -> None:
    """What is read next is never something that is under way or settled already."""
    window, pending = Window(0), list[Span]()
    covered: set[int] = set()
    for what, number in steps:
        if what == "c":
            end = window.position + 1 + number
            span = window.cover(min(end, window.limit or end), 1)
            offsets = set(range(span.first, span.next))
            assert not offsets & covered
            covered |= offsets
            pending.append(span)
        elif pending:
            span = pending.pop(number % len(pending))
            if what == "s":
                window.settle(span)
            else:
                window.release(span)
                covered -= set(range(span.first, span.next))


def test_released_span_is_read_again_before_anything_new() -> None:
    """A span whose acknowledgement never came is a gap: read up to its end, and no further."""
    window = Window(0)
    first, second, third = window.cover(10, 5), window.cover(20, 6), window.cover(30, 7)
    window.settle(first)
    window.release(second)
    assert (window.position, window.limit, window.prefix) == (10, 20, 10)
    again = window.cover(20, 6)
    assert (window.position, window.limit) == (30, None)
    window.settle(third)
    assert window.prefix == 10
    window.settle(again)
    assert window.prefix == 30


def test_oldest_record_is_that_of_the_first_open_span() -> None:
    """What an alert looks at is the first record that is not settled, not the first that is kept."""
    window = Window(0)
    first = window.cover(10, 5)
    window.cover(20, 6)
    assert window.oldest_ms == 5
    window.settle(first)
    assert window.oldest_ms == 6
