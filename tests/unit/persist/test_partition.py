"""Where a partition goes on, and when it must not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.events import record
from ingest_service import ledger
from ingest_service.errors import PartitionFault, Stop, StopReason
from ingest_service.events.decode import CONTRACT, DEFAULT_LIMITS, decoder
from ingest_service.ledger import Head, Rules, Stream
from ingest_service.persist.partition import Beginning, Partition, where_to_begin
from ingest_service.shapes import Bounds

STREAM = Stream(3, "events", 5, 1)
RULES = Rules.of(CONTRACT, DEFAULT_LIMITS)
DECODE = decoder()
KEPT = record(9)
FRAME = ledger.frame(KEPT)


def head(next_offset: int) -> Head:
    return Head(1, next_offset, b"d" * 32, b"h" * 32)


def opened(beginning: Beginning | None = None) -> Partition:
    partition = Partition("events", 5)
    partition.open(STREAM, head(10), beginning or Beginning(10, None), RULES)
    return partition


# --- where to begin ------------------------------------------------------------------------------


def test_record_before_the_head_is_read_once_more():
    """One record back, to compare it with what was persisted."""
    assert where_to_begin(head(10), Bounds(0, 20), FRAME, 3) == Beginning(9, FRAME)
    assert where_to_begin(head(10), Bounds(0, 10), FRAME, 3) == Beginning(9, FRAME)


def test_nothing_to_compare_begins_at_the_head():
    """At the log's start, or without a kept record, there is nothing to read once more."""
    assert where_to_begin(head(10), Bounds(10, 20), FRAME, 3) == Beginning(10, None)
    assert where_to_begin(head(10), Bounds(0, 20), None, 3) == Beginning(10, None)
    assert where_to_begin(head(0), Bounds(0, 0), None, 3) == Beginning(0, None)


def test_records_that_left_kafka_are_named_and_wait_for_accept_gap():
    """Retention was faster than the worker: an operator has to accept it."""
    why = where_to_begin(head(10), Bounds(15, 20), FRAME, 3)
    assert isinstance(why, Stop)
    assert why.reason is StopReason.GAP
    assert "10 to 14" in why.message
    assert "accept-gap" in why.message


def test_log_that_ends_before_the_head_waits_for_a_new_epoch():
    """A topic that holds less than was persisted is another topic."""
    for bounds in (Bounds(0, 9), Bounds(0, 0)):
        why = where_to_begin(head(10), bounds, FRAME, 3)
        assert isinstance(why, Stop)
        assert why.reason is StopReason.TRUNCATED
        assert "new-epoch" in why.message


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_reading_never_begins_outside_of_the_log(start: int, length: int, next_offset: int):
    """Kafka is never asked for an offset that it does not have: it would choose another one."""
    bounds = Bounds(start, start + length)
    beginning = where_to_begin(head(next_offset), bounds, FRAME, 3)
    if isinstance(beginning, Beginning):
        assert bounds.start <= beginning.seek_to <= bounds.end
    else:
        assert not bounds.start <= next_offset <= bounds.end


# --- taking records ------------------------------------------------------------------------------


def test_probe_is_compared_and_not_written_again():
    """The record that is read once more is no new record."""
    partition = opened(Beginning(9, FRAME))
    assert partition.position == 9
    assert partition.take([], DECODE)
    assert partition.take([KEPT, record(10)], DECODE)
    assert partition.position == 11
    assert partition.segment is not None
    assert [row.kafka_offset for row in partition.segment.rows] == [10]


@pytest.mark.parametrize(
    "other", [record(9), KEPT._replace(timestamp=1), KEPT._replace(headers=[]), record(10)]
)
def test_other_record_in_its_place_stops_the_partition(other):
    """A topic that was made again is noticed at the first record."""
    partition = opened(Beginning(9, FRAME))
    with pytest.raises(PartitionFault, match="new-epoch") as fault:
        partition.take([other, record(10)], DECODE)
    assert (fault.value.topic, fault.value.partition) == ("events", 5)


def test_first_hole_seeks_and_the_second_one_stops():
    """Once may be the consumer's doing; twice at the same place it is the log's."""
    partition = opened()
    assert not partition.take([record(10), record(12)], DECODE)
    assert partition.position == 11
    with pytest.raises(PartitionFault, match=r"11 to 11 .*accept-gap"):
        partition.take([record(12)], DECODE)


def test_hole_that_was_the_consumers_is_forgotten():
    """After the records did come, another hole is a first one again."""
    partition = opened()
    assert not partition.take([record(11)], DECODE)
    assert partition.take([record(10), record(11)], DECODE)
    assert not partition.take([record(13)], DECODE)
    assert partition.position == 12


def test_cut_hands_over_and_goes_on_behind():
    """The next segment continues the one that is being written, though that is not durable yet."""
    partition = opened()
    assert partition.cut() is None
    partition.take([record(10), record(11)], DECODE)
    done = partition.cut()
    assert done is not None
    assert (done.first_offset, done.next_offset) == (10, 12)
    partition.take([record(12)], DECODE)
    after = partition.cut()
    assert after is not None
    assert (after.first_offset, after.first_digest) == (12, done.digest)


def test_closed_partition_has_nothing():
    """What was gathered is dropped with the reason and the time to look again."""
    partition = opened()
    partition.take([record(10)], DECODE)
    partition.close(7.5, "why")
    assert not partition.is_open
    assert partition.cut() is None
    assert (partition.retry_at, partition.fault) == (7.5, "why")
    partition.open(STREAM, head(10), Beginning(10, None), RULES)
    assert (partition.is_open, partition.fault, partition.position) == (True, None, 10)
