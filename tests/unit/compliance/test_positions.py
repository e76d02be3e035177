"""A bit an offset: the set says what a set of places says."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.compliance.positions import BLOCK_BITS, Positions

BLOCK = 1 << BLOCK_BITS
OFFSETS = st.one_of(
    st.integers(-3, 3), st.integers(BLOCK - 3, BLOCK + 3), st.integers(2**62, 2**62 + 3)
)
PLACES = st.sets(st.tuples(st.integers(1, 2), OFFSETS))


def filled(places: set[tuple[int, int]]) -> Positions:
    positions = Positions()
    for place in places:
        positions.add(*place)
    return positions


@given(places=PLACES, asked=st.tuples(st.integers(1, 2), OFFSETS))
def test_holds_exactly_what_was_put_in(places: set[tuple[int, int]], asked: tuple[int, int]):
    """No place stands for another, at the edges of blocks and for offsets of any size."""
    positions = filled(places)
    assert all(place in positions for place in places)
    assert (asked in positions) == (asked in places)


@given(places=PLACES, rows=st.lists(st.tuples(st.integers(1, 2), OFFSETS)))
def test_odd_blocks_are_those_with_another_count(
    places: set[tuple[int, int]], rows: list[tuple[int, int]]
):
    """A block is looked at closely when, and only when, its rows are more or fewer than its bits."""
    counts = Counter((stream, offset >> BLOCK_BITS) for stream, offset in rows)
    bits = Counter((stream, offset >> BLOCK_BITS) for stream, offset in places)
    odd = {block for block in counts | bits if counts[block] != bits[block]}
    assert filled(places).odd_blocks(counts) == sorted(odd)


@given(places=PLACES, stream=st.integers(1, 2), first=OFFSETS, length=st.integers(0, 2 * BLOCK))
def test_removed_range_is_gone_and_nothing_else(
    places: set[tuple[int, int]], stream: int, first: int, length: int
):
    """What cannot be judged is taken out, offset by offset."""
    positions = filled(places)
    positions.remove((stream, first, first + length))
    left = {
        place for place in places if place[0] != stream or not first <= place[1] < first + length
    }
    assert {place for place in places if place in positions} == left


def test_block_yields_its_places_in_order():
    """A block that is looked at closely says which places it holds."""
    positions = filled({(1, BLOCK + 5), (1, BLOCK), (1, 3), (2, BLOCK + 1)})
    assert list(positions.in_block((1, 1))) == [(1, BLOCK), (1, BLOCK + 5)]
