"""What Kafka's log holds decides up to where a gap may be accepted."""

from __future__ import annotations

import pytest

from ingest_service.compliance.ledger_entries import judge_bounds
from ingest_service.errors import SetupError
from ingest_service.shapes import Bounds

BOUNDS = Bounds(start=50, end=90)


@pytest.mark.parametrize(
    ("to", "including_kept", "accepted"),
    [(None, False, 50), (50, False, 50), (30, False, 30), (60, True, 60), (90, True, 90)],
)
def test_what_is_gone_may_be_given_up(to: int | None, including_kept: bool, accepted: int):
    """Up to the log's start at once; records that are still there only when it is said."""
    assert judge_bounds(BOUNDS, to, including_kept=including_kept) == accepted


@pytest.mark.parametrize(
    ("to", "including_kept", "why"),
    [(51, False, "still has the records from 50"), (91, True, "the log ends at 90")],
)
def test_what_is_there_or_will_be_is_not_given_up(to: int, including_kept: bool, why: str):
    """A slip of the finger must not lose records for ever."""
    with pytest.raises(SetupError, match=why):
        judge_bounds(BOUNDS, to, including_kept=including_kept)
