"""Which dead letters a replay sends: every wanted one that no receipt names, once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.events.record import StoredRecord
from ingest_service.forward.dead_letter import Refusal, headers_of
from ingest_service.replay.backlog import Backlog, Choice, Kind
from ingest_service.replay.receipt import NAME, receipt, receipted


def letter(partition: int, offset: int, sink: str = "splunk", why: str = "bad") -> StoredRecord:
    source = StoredRecord("events", 1, 1000 + offset, 5, b"k", b"{}")
    headers = headers_of(source, Refusal(sink, why))
    return StoredRecord("dead", partition, offset, 9, b"k", b"{}", headers)


def receipt_for(partition: int, at: int, *offsets: int) -> StoredRecord:
    value, headers = receipt("splunk", offsets)
    return StoredRecord("dead", partition, at, 9, None, value, headers)


def backlog(*records: StoredRecord, choice: Choice = Choice()) -> Backlog:  # noqa: B008 - a constant
    found = Backlog(choice)
    for record in records:
        found.take(record)
    return found


def test_letters_without_receipt_wait() -> None:
    """By sink and partition, in order; counted by sink and reason."""
    found = backlog(letter(0, 3), letter(0, 4, "datadog"), letter(1, 0), letter(0, 5))
    assert found.sinks == ["datadog", "splunk"]
    assert found.waiting("splunk") == {0: [3, 5], 1: [0]}
    assert found.waiting("datadog") == {0: [4]}
    assert found.found == {Kind("splunk", "bad"): 3, Kind("datadog", "bad"): 1}


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_receipt_takes_its_letters_out(letters: set[int], sent: set[int]) -> None:
    """What a run sent, no later run sends again; everything else still waits."""
    records = [letter(0, offset) for offset in sorted(letters)]
    found = backlog(*records, receipt_for(0, 41, *sent))
    assert found.waiting("splunk") == ({0: sorted(letters - sent)} if letters - sent else {})
    assert sum(found.sent_before.values()) == len(letters & sent)


def test_receipt_counts_in_its_own_partition() -> None:
    """Offsets of another partition are other letters."""
    found = backlog(letter(0, 3), letter(1, 3), receipt_for(1, 9, 3))
    assert found.waiting("splunk") == {0: [3]}


def test_filter_leaves_the_others_for_a_later_run() -> None:
    """A letter that is not wanted now is neither sent nor counted as sent."""
    records = [letter(0, 1, why="bad"), letter(0, 2, why="too_large"), letter(0, 3, "datadog")]
    chosen = backlog(*records, choice=Choice({"splunk"}, {"too_large"}))
    assert chosen.waiting("splunk") == {0: [2]}
    assert chosen.sinks == ["splunk"]
    assert backlog(*records).waiting("splunk") == {0: [1, 2]}


def test_record_of_somebody_else_is_nothing() -> None:
    """Neither letter nor receipt: it is passed over."""
    others = [
        StoredRecord("dead", 0, 1, 9, b"k", b"[1]"),
        StoredRecord("dead", 0, 2, 9, b"k", None, [(NAME, b"splunk")]),
        StoredRecord("dead", 0, 3, 9, b"k", b"no list", [(NAME, b"splunk")]),
        StoredRecord("dead", 0, 4, 9, b"k", b"[1]", [(NAME, b"splunk"), ("more", b"")]),
    ]
    assert [list(receipted(other)) for other in others] == [[], [], [], []]
    assert backlog(*others).sinks == []
