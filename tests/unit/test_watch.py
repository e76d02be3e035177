"""What `make up` says about the flow: the arithmetic and the line."""

import os

from hypothesis import given
from hypothesis import strategies as st

from sinks import forget_real_sinks
from watch import Flow, line, rows_a_second, table

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
    now = Flow(1.0, published=1_000, rows=900, quarantined=7, lag=93, splunk=1_200, datadog=0)
    assert line(now, 450.4) == (
        "published 1,000 · rows 900 · quarantined 7 · lag 93 · 450 rows/s · Splunk 1,200 · Datadog 0"
    )


def test_a_sink_that_does_not_answer_is_not_shown_as_empty():
    """No answer and nothing arrived are two things, in the line and in the table."""
    now = Flow(1.0, published=1, rows=1, quarantined=0, lag=0, splunk=None, datadog=0)
    assert line(now, 1).endswith("Splunk no answer · Datadog 0")
    assert [next(iter(column.cells)) for column in table(now, 1).columns][-2:] == ["no answer", "0"]


def test_samples_never_go_to_a_real_sink(monkeypatch):
    """Sinks that the environment names are taken out of it, and nothing else is."""
    monkeypatch.setenv("INGEST_DATADOG__API_KEY", "real")
    monkeypatch.setenv("INGEST_SPLUNK__URL", "https://splunk.example")
    monkeypatch.setenv("INGEST_LOG__LEVEL", "debug")
    assert forget_real_sinks()
    assert [name for name in os.environ if "SPLUNK" in name or "DATADOG" in name] == []
    assert os.environ["INGEST_LOG__LEVEL"] == "debug"
    assert not forget_real_sinks()


def flow(seconds: float, rows: int) -> Flow:
    return Flow(seconds=seconds, published=rows, rows=rows, quarantined=0, lag=0)
