"""A segment is the next records of one stream: without a hole, chained, each with its verdict."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from fakes.events import garbage, record
from ingest_service import ledger
from ingest_service.events.decode import CONTRACT, DEFAULT_LIMITS, decoder
from ingest_service.events.rejection import Reason
from ingest_service.ledger import Head, Rules, Stream, Verdict
from ingest_service.originals import unpack_originals
from ingest_service.persist.segment import Finding, Segment, rejected_in_a_row

STREAM = Stream(3, "events", 0, 1)
RULES = Rules.of(CONTRACT, DEFAULT_LIMITS)
DECODE = decoder()
HEAD = Head(4, 10, b"d" * 32, b"h" * 32)
DUPLICATE = Finding((3, 1))
REFUSED = Finding(Reason.REFUSED_BY_DATABASE.value, "a bug")


def segment_of(*good: bool) -> Segment:
    """Return a segment behind HEAD of good records and garbage."""
    segment = Segment(STREAM, HEAD.next_offset, HEAD.digest, RULES)
    made = [(record if each else garbage)(10 + n) for n, each in enumerate(good)]
    assert segment.extend(made, DECODE) == len(good)
    return segment


@given(good=st.lists(st.booleans(), max_size=20), data=st.data())
def test_digest_is_that_of_the_records_alone(good: list[bool], data: st.DataObject):
    """However the records come in, the digest is one SHA-256 step a record from the head on."""
    records = [(record if each else garbage)(10 + n) for n, each in enumerate(good)]
    segment = Segment(STREAM, 10, HEAD.digest, RULES)
    rest = records
    while rest:
        cut = data.draw(st.integers(1, len(rest)))
        segment.extend(rest[:cut], DECODE)
        rest = rest[cut:]
    expected = HEAD.digest
    for each in records:
        expected = sha256(expected + ledger.frame(each)).digest()
    assert segment.digest == expected
    assert segment.next_offset == 10 + len(good)
    assert len(segment) == len(segment.kafka_times) == len(good)
    assert segment.size_bytes == sum(len(ledger.frame(each)) for each in records)


@given(good=st.lists(st.booleans(), min_size=1, max_size=12))
def test_each_record_has_one_verdict_and_one_place(good: list[bool]):
    """A record is a row or kept aside; entry, originals, rows and quarantine say the same."""
    segment = segment_of(*good)
    assert segment.verdicts == [None if each else "not_json" for each in good]
    offsets = [10 + n for n in range(len(good))]
    aside = [each.record.offset for each in segment.quarantined]
    assert sorted([row.kafka_offset for row in segment.rows] + aside) == offsets
    entry = segment.entry(HEAD)
    assert (entry.first_offset, entry.next_offset) == (10, 10 + len(good))
    assert (entry.row_count, entry.quarantine_count) == (sum(good), len(good) - sum(good))
    kept = unpack_originals(segment.pack(), "events", 0)
    assert [each.record.offset for each in kept] == offsets
    assert [each.verdict for each in kept] == segment.verdicts


def test_hole_ends_what_is_taken():
    """Records are taken up to the first missing one, whichever way the offset is wrong."""
    for wrong in (13, 11, 9):
        segment = segment_of(True, True)
        before = segment.digest
        assert segment.extend([record(wrong), record(wrong + 1)], DECODE) == 0
        assert (segment.next_offset, segment.digest) == (12, before)
        assert segment.extend([record(12), record(14)], DECODE) == 1
        assert segment.next_offset == 13


def test_segment_continues_only_its_own_history():
    """The same offset after other records is another history."""
    segment = segment_of(True)
    assert segment.continues(HEAD)
    assert segment.continues(HEAD._replace(sequence=9, hash=b"x" * 32))
    assert not segment.continues(None)
    assert not segment.continues(HEAD._replace(next_offset=11))
    assert not segment.continues(HEAD._replace(digest=b"x" * 32))


def test_finding_replaces_the_verdict_everywhere():
    """A duplicate is no row any more; a refused row is kept aside with its original bytes."""
    segment = segment_of(True, True, False, True)
    digest = segment.digest
    segment.overrule({10: DUPLICATE, 13: REFUSED})
    assert segment.verdicts == [(3, 1), None, "not_json", "refused_by_database"]
    assert [row.kafka_offset for row in segment.rows] == [11]
    aside = {each.record.offset: each for each in segment.quarantined}
    assert sorted(aside) == [12, 13]
    assert aside[13].message == "a bug"
    assert aside[13].record.value == record_value(segment, 13)
    entry = segment.entry(HEAD)
    assert (entry.row_count, entry.duplicate_count, entry.quarantine_count) == (1, 1, 2)
    assert [each.verdict for each in unpack_originals(segment.pack(), "events", 0)] == (
        segment.verdicts
    )
    assert segment.digest == digest


def record_value(segment: Segment, offset: int) -> bytes | None:
    kept = unpack_originals(segment.pack(), "events", 0)
    return next(each.record.value for each in kept if each.record.offset == offset)


def test_next_attempt_looks_for_conflicts_again():
    """What an attempt that came to nothing found is forgotten; what the database refuses is not."""
    segment = segment_of(True, True, True)
    segment.overrule({10: DUPLICATE, 11: Finding(Reason.ID_REUSED.value, "reused"), 12: REFUSED})
    segment.forget_conflicts()
    assert segment.verdicts == [None, None, "refused_by_database"]
    assert [row.kafka_offset for row in segment.rows] == [10, 11]


VERDICTS: st.SearchStrategy[list[Verdict]] = st.lists(
    st.sampled_from([None, "empty", (1, 2)]), max_size=10
)


@given(batches=st.lists(VERDICTS, max_size=6))
def test_rejections_in_a_row_add_up_over_batches(batches: list[list[Verdict]]):
    """Where batches are cut does not change the count, and a row or a duplicate ends it."""
    counted = 0
    for batch in batches:
        counted = rejected_in_a_row(batch, counted)
    whole = [verdict for batch in batches for verdict in batch]
    tail = 0
    while tail < len(whole) and isinstance(whole[-1 - tail], str):
        tail += 1
    assert counted == tail
