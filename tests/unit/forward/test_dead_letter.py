"""A dead letter gives back the record that it was made from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.events.record import StoredRecord
from ingest_service.forward.dead_letter import (
    MAX_ANSWER_BYTES,
    DeadLetter,
    Refusal,
    headers_of,
    read,
)

OFFSETS = st.integers(0, 2**63 - 1)
NAMES = st.text(max_size=20) | st.sampled_from(["sark-sink", "sark-offset", "sark-time"])
VALUES = st.none() | st.binary(max_size=40)
RECORDS = st.builds(
    StoredRecord,
    topic=st.text(min_size=1, max_size=20),
    partition=st.integers(0, 2**31 - 1),
    offset=OFFSETS,
    timestamp=OFFSETS,
    key=VALUES,
    value=VALUES,
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=10),
)
REFUSALS = st.builds(
    Refusal,
    sink=st.text(max_size=10),
    reason=st.text(max_size=20),
    status=st.integers(0, 599),
    answer=st.binary(max_size=MAX_ANSWER_BYTES),
)


def lettered(record: StoredRecord, refusal: Refusal) -> StoredRecord:
    """Return what the dead-letter topic would hold, at a place of its own."""
    headers = headers_of(record, refusal)
    return StoredRecord("dead", 0, 7, 1, record.key, record.value, headers)


@given(RECORDS, REFUSALS)
def test_letter_gives_back_record_and_refusal(record: StoredRecord, refusal: Refusal) -> None:
    """Position, time, key, value, headers and refusal all come back, whatever its publisher used."""
    assert read(lettered(record, refusal)) == DeadLetter(record, refusal)


@given(RECORDS)
def test_record_that_is_no_letter_is_none(record: StoredRecord) -> None:
    """Somebody else's record in the topic is not taken for a dead letter."""
    assert read(record) is None


def test_headers_of_ours_that_are_damaged_make_no_letter() -> None:
    """A position that is no number would send a record under another one's identity."""
    record = StoredRecord("events", 0, 1, 2)
    headers = headers_of(record, Refusal("splunk", "invalid_data"))
    headers[-2] = ("sark-offset", b"one")
    assert read(StoredRecord("dead", 0, 7, 1, headers=headers)) is None


def test_answer_is_bounded() -> None:
    """A sink's long answer takes no more room than the topic has for it."""
    refusal = Refusal("splunk", "invalid_data", 400, b"x" * 100_000)
    letter = read(lettered(StoredRecord("events", 0, 1, 2), refusal))
    assert letter is not None
    assert len(letter.refusal.answer) == MAX_ANSWER_BYTES


def test_name_that_is_not_utf8_can_be_sent() -> None:
    """Kafka's clients send names as UTF-8 alone: odd bytes are spelled out, the letter is kept."""
    record = StoredRecord("events", 0, 1, 2, headers=[("odd-\udcff", b"1")])
    [(name, value), *_] = headers_of(record, Refusal("splunk", "invalid_data"))
    assert name.encode() == b"odd-\\udcff"
    assert value == b"1"
