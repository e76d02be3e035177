"""What `make up` says about the flow: the arithmetic and the line."""

from hypothesis import given
from hypothesis import strategies as st

from watch import Flow, line, rows_a_second

COUNTS = st.integers(0, 10**12)


@given(rows=COUNTS, more=COUNTS, began=st.floats(0, 1e6), lasted=st.floats(0.1, 1e4))
def test_speed_is_new_rows_by_time(rows: int, more: int, began: float, lasted: float):
    """Only what came between the two moments counts."""
    before = flow(began, rows)
    now = flow(began + lasted, rows + more)
    speed = rows_a_second(before, now)
    assert abs(speed * (now.seconds - before.seconds) - more) <= 1e-6 * max(more, 1)


def test_the_first_moment_has_no_speed():
    """With nothing to compare with, no speed is made up."""
    assert rows_a_second(None, flow(5.0, 1000)) == 0.0


def test_the_line_shows_every_count():
    """A pipe gets each number, with thousands apart."""
    now = Flow(seconds=1.0, published=1_000, rows=900, quarantined=7, lag=93)
    assert line(now, 450.4) == ("published 1,000 · rows 900 · quarantined 7 · lag 93 · 450 rows/s")


def flow(seconds: float, rows: int) -> Flow:
    return Flow(seconds=seconds, published=rows, rows=rows, quarantined=0, lag=0)
