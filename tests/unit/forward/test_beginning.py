"""Where a partition of a sink goes on."""

from __future__ import annotations

import pytest

from ingest_service.forward.beginning import Beginning, where_to_begin
from ingest_service.shapes import Bounds

BOUNDS = Bounds(10, 20)


@pytest.mark.parametrize(
    ("committed", "at_time", "beginning", "offset"),
    [
        (None, None, Beginning(), 10),
        (None, None, Beginning("latest"), 20),
        (None, 14, Beginning(1), 14),
        (None, None, Beginning(1), 20),
        (10, None, Beginning("latest"), 10),
        (20, None, Beginning(), 20),
        (5, None, Beginning(accept_gap=True), 10),
        (25, None, Beginning(accept_gap=True), 10),
    ],
)
def test_offset_to_read_first(
    committed: int | None, at_time: int | None, beginning: Beginning, offset: int
) -> None:
    """The committed offset, wherever a new sink would begin; else as it is told."""
    assert where_to_begin(committed, BOUNDS, at_time, beginning) == offset


@pytest.mark.parametrize(
    ("committed", "words"), [(5, "records 5 to 9 have left Kafka"), (25, "ends at offset 20")]
)
def test_lost_place_is_a_sentence(committed: int, words: str) -> None:
    """Reading on anywhere else would lose or repeat without a word."""
    assert words in str(where_to_begin(committed, BOUNDS, None, Beginning()))
