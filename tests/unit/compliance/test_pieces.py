"""What passes between processes and runs: nothing is lost on the way."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.compliance.chain import Anchored
from ingest_service.compliance.findings import Class, Finding, Findings
from ingest_service.compliance.passage import Blind, StreamReport
from ingest_service.compliance.pieces import Lost, Outcome, Piece
from ingest_service.compliance.positions import BLOCK_BITS, Positions, merged_ranges
from ingest_service.compliance.resumption import open_notes
from ingest_service.compliance.timespan import _bisect, merged
from ingest_service.errors import SetupError
from ingest_service.ledger import Stream

if TYPE_CHECKING:
    from pathlib import Path

STREAM = Stream(2, "events", 0, 1)
FINDING = Finding(Class.ROW_DIFFERS, STREAM, 7, "", 3, ("reason",), 2)
PLACES = st.lists(st.tuples(st.integers(1, 3), st.integers(-5, 3 << BLOCK_BITS)))


def outcome(first: int, last_hash: bytes = b"h" * 32) -> Outcome:
    findings, positions = Findings(), Positions()
    findings.add(FINDING)
    positions.add(2, 5)
    return Outcome(
        piece=Piece(STREAM, first, first + 9, 40, last_hash, (Anchored(5, b"d" * 32),)),
        report=StreamReport(STREAM, 10, 40, b"\xab" * 32, 4, 25, 20, 3, 2, 5, 30),
        findings=findings.tell(),
        covered=[(2, 10, 40)],
        blind=[Blind(STREAM, 40, 50, 9, 1)],
        positions=positions.tell(),
        lost=[Lost(STREAM, 3, 11, None), Lost(STREAM, 3, 12, ("id",))],
        checked_at=1.5,
    )


def test_outcome_is_the_same_after_its_way():
    """JSON between processes, and in the notes, gives back what was put in."""
    given_one = outcome(-(2**63))
    assert msgspec.json.decode(msgspec.json.encode(given_one), type=Outcome) == given_one


@given(PLACES, PLACES)
def test_positions_of_two_pieces_are_joined(left: list, right: list):
    """A block that two pieces share holds the places of both."""
    joined = Positions()
    for places in (left, right):
        one = Positions()
        for place in places:
            one.add(*place)
        joined.merge(one.tell())
    assert all(place in joined for place in left + right)
    blocks = {(stream_id, offset >> BLOCK_BITS) for stream_id, offset in left + right}
    assert sum(map(joined.count, blocks)) == len(set(left + right))


def test_findings_of_two_pieces_add_up():
    """Counts add up, and the first ones by offset are kept."""
    whole = Findings(kept=2)
    for offsets in ((8, 9), (1, 2, 3)):
        part = Findings()
        for offset in offsets:
            part.add(FINDING._replace(offset=offset))
        whole.merge(part.tell())
    assert whole.counts() == {Class.ROW_DIFFERS: 10}
    assert [found.offset for found in whole.first()] == [1, 2]


def test_reports_of_two_pieces_are_one():
    """The first one's beginning, the last one's end, the sums, the farthest anchor."""
    report = StreamReport(STREAM)
    report.join(StreamReport(STREAM, 10, 20, b"a" * 32, 1, 10, 9, 1, 0, 0, 20))
    report.join(StreamReport(STREAM, 20, 30, b"b" * 32, 2, 8, 8, 0, 0, 2, None))
    report.join(StreamReport(STREAM))
    assert report == StreamReport(STREAM, 10, 30, b"b" * 32, 3, 18, 17, 1, 0, 2, 20)


RANGES = st.lists(st.tuples(st.integers(1, 2), st.integers(0, 20), st.integers(1, 5)))


@given(RANGES)
def test_merged_ranges_cover_the_same_offsets(given_ones: list):
    """Each offset of some range is in exactly one merged one, and none touch."""
    ranges = [(stream_id, first, first + length) for stream_id, first, length in given_ones]
    result = merged_ranges(ranges)
    covered = [(each[0], offset) for each in result for offset in range(each[1], each[2])]
    assert covered == sorted({(s, n) for s, first, end in ranges for n in range(first, end)})
    assert all(left[0] < right[0] or left[2] < right[1] for left, right in pairwise(result))


# --- notes ---------------------------------------------------------------------------------------


def test_notes_of_a_run_that_was_broken_off_are_used(tmp_path: Path):
    """The next run finds what was done, even when the last line was cut off; complete: it is gone."""
    path = tmp_path / "notes"
    with pytest.raises(KeyboardInterrupt), open_notes(path) as notes:
        notes.add(outcome(0))
        notes.add(outcome(10))
        raise KeyboardInterrupt
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(KeyboardInterrupt), open_notes(path) as notes:
        assert notes.take(outcome(0).piece) == outcome(0)
        assert notes.take(outcome(10).piece) is None
        notes.add(outcome(10))
        raise KeyboardInterrupt
    with open_notes(path) as notes:
        assert notes.take(outcome(10).piece) == outcome(10)
        assert notes.take(outcome(10, b"x" * 32).piece) is None, "its entries are others now"
    assert not path.exists()


def test_notes_hold_for_one_run_at_a_time(tmp_path: Path):
    """Two runs would write over each other's lines."""
    path = tmp_path / "notes"
    with open_notes(path), pytest.raises(SetupError, match="another run"), open_notes(path):
        pass


def test_a_file_that_holds_something_else_is_left_alone(tmp_path: Path):
    """A mistyped name destroys nothing."""
    path = tmp_path / "mine"
    path.write_text("precious\n")
    with pytest.raises(SetupError, match="something else"), open_notes(path):
        pass
    assert path.read_text() == "precious\n"
    with pytest.raises(SetupError, match="cannot be opened"), open_notes(tmp_path / "no" / "way"):
        pass


# --- times ---------------------------------------------------------------------------------------


@given(st.integers(-5, 20), st.integers(-5, 20), st.integers(-10, 30))
async def test_bisection_finds_the_first(first: int, last: int, bound: int):
    """The first number from which on it holds; one behind the last when it never does."""

    async def holds(number: int) -> bool:
        return number >= bound

    expected = next((n for n in range(first, last + 1) if n >= bound), max(first, last + 1))
    assert await _bisect(first, last, holds) == expected


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5))))
def test_merged_spans_cover_the_same(given_ones: list):
    """Every number of some span is in exactly one merged one, and none touch."""
    spans = [(first, first + length) for first, length in given_ones]
    result = merged(spans)
    covered = [number for first, last in result for number in range(first, last + 1)]
    assert covered == sorted({n for first, last in spans for n in range(first, last + 1)})
    assert all(left[1] + 1 < right[0] for left, right in pairwise(result))
