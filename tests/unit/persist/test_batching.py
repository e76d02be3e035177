"""A batch is as large as it may be, and waits only when waiting pays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.persist.batching import (
    BatchLimits,
    Gathered,
    is_full,
    records_to_ask_for,
    seconds_to_linger,
)

LIMITS = st.builds(
    BatchLimits,
    max_records=st.integers(1, 500),
    max_bytes=st.integers(1, 100_000),
    linger_seconds=st.floats(0, 10),
    enough_records=st.integers(1, 500),
    chunk_records=st.integers(1, 200),
)
GATHERED = st.builds(
    Gathered,
    records=st.integers(0, 600),
    size_bytes=st.integers(0, 120_000),
    since=st.floats(0, 1000),
)


@given(limits=LIMITS, sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=300))
def test_batch_never_outgrows_its_limits(limits: BatchLimits, sizes: list[int]):
    """Records are never too many; bytes pass the limit by one request at most."""
    gathered, asked = Gathered(), 0
    while sizes and not is_full(gathered, limits):
        asked = records_to_ask_for(gathered, limits)
        assert 1 <= asked <= limits.chunk_records
        came, sizes = sizes[:asked], sizes[asked:]
        before = gathered
        gathered = Gathered(before.records + len(came), before.size_bytes + sum(came))
        assert before.size_bytes < limits.max_bytes
    assert gathered.records <= limits.max_records


@given(limits=LIMITS, size=st.integers(1, 2000), backlog=st.integers(1, 1000))
def test_records_of_one_size_keep_the_byte_limit(limits: BatchLimits, size: int, backlog: int):
    """Once the size is known, what is asked for fits, or is a single record."""
    gathered = Gathered(1, size)
    while backlog and not is_full(gathered, limits):
        asked = records_to_ask_for(gathered, limits)
        came = min(asked, backlog)
        backlog -= came
        gathered = Gathered(gathered.records + came, gathered.size_bytes + came * size)
        assert gathered.size_bytes <= limits.max_bytes or asked == 1


@given(limits=LIMITS, gathered=GATHERED, now=st.floats(0, 2000))
def test_lingering_ends(limits: BatchLimits, gathered: Gathered, now: float):
    """Nothing that has gathered waits longer than the linger time, and enough does not wait."""
    seconds = seconds_to_linger(gathered, limits, now)
    assert seconds >= 0
    if gathered.records:
        # A sum of floats may be an ulp off.
        assert now + seconds <= max(now, gathered.since + limits.linger_seconds) + 1e-9
    if gathered.records >= limits.enough_records or is_full(gathered, limits):
        assert seconds == 0


@given(limits=LIMITS, data=st.data())
def test_little_waits_for_more(limits: BatchLimits, data: st.DataObject):
    """A few records wait out their linger time, since each entry costs its place for ever."""
    few = data.draw(st.integers(0, min(limits.enough_records, limits.max_records) - 1))
    gathered = Gathered(few, 0, since=0.0)
    assert seconds_to_linger(gathered, limits, 0.0) == limits.linger_seconds
