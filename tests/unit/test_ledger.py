"""The chain's format, pinned byte for byte, and its law: only the records count."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service import ledger
from ingest_service.events.record import Limits, StoredRecord
from ingest_service.ledger import Head, Rules, Stream

STREAM = Stream(7, "gateway.audit.events", 3, 1)
RULES = Rules(1, '{"max_age_seconds":2592000}')
RECORD = StoredRecord(
    STREAM.topic, 3, 1000, 1_700_000_000_123, b"r-1", b'{"a":1}', [("source", b"gw"), ("n", None)]
)

# Written out, so that no change of a library or of ours alters the format by accident: a ledger
# that was written with another format could no longer be verified.
FRAME = (
    "95cd03e8cf0000018bcfe5687bc403722d31c4077b2261223a317d9292c406736f75726365c402677792c4016ec0"
)
BARE_FRAME = "950000c0c090"


def test_frame_is_what_it_always_was():
    """A record's bytes in the digest and in the originals never change."""
    assert ledger.frame(RECORD).hex() == FRAME
    assert ledger.frame(StoredRecord("t", 0, 0, 0)).hex() == BARE_FRAME


def test_frame_does_not_name_the_topic():
    """A witness needs the records alone: where they are from is in the first digest."""
    moved = RECORD._replace(topic="other", partition=0)
    assert ledger.frame(moved) == ledger.frame(RECORD)


def test_header_names_that_are_no_text_keep_their_bytes():
    """Surrogate escapes stand for bytes, and become those bytes again."""
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert ledger.encode_headers([(name, b"v")]).hex() == "9192c402fffec40176"
    assert ledger.encode_headers([]).hex() == "90"


def test_digest_is_what_it_always_was():
    """The start, a record and a gap each step the digest to a value that is written out here."""
    start = ledger.first_digest(STREAM, 1000)
    one = ledger.extend_digest(start, [bytes.fromhex(FRAME)])
    assert start.hex() == "31de7cf9405876564c81f0054f4b7618b88b93b5fba0f22fe2bb3d8e1278094e"
    assert one.hex() == "40f6e2002f8f7a375d5feb2f1c4c9b080b776c07e7e02347669926b2900da9f2"
    assert (
        ledger.gap_digest(one, 1001, 1005).hex()
        == "9061643c3d4b8c07be02fbd438556a81525692f9f733f81e6c7456eb294c5086"
    )
    assert one == sha256(start + bytes.fromhex(FRAME)).digest()


def test_hashes_are_what_they_always_were():
    """Start, records with every kind of verdict, and gap: each entry's hash is written out here."""
    start = ledger.start_entry(STREAM, 1000, RULES)
    verdicts = [None, (7, 12), "not_json"]
    records = ledger.records_entry(7, start.head, b"d" * 32, verdicts, RULES)
    gap = ledger.gap_entry(7, records.head, 1010, RULES)
    assert start.hash.hex() == "33101d56e5a916cd5c559824a031709629f33d8f478440acaa333d1e285aa3e3"
    assert records.hash.hex() == "d935d0195186b969d187debf803496faba130cc534d278524bfbf95d155009f6"
    assert gap.hash.hex() == "1988daf4d84ba7e1a30768ebf5f9048a6f948a1fe2647631b593e7abe5836b99"
    assert ledger.encode_verdicts(verdicts).hex() == "c092070ca86e6f745f6a736f6e"


def test_entries_say_what_they_hold():
    """Offsets continue the head, and the counts are those of the verdicts."""
    head = Head(4, 100, b"d" * 32, b"h" * 32)
    entry = ledger.records_entry(7, head, b"e" * 32, [None, None, (7, 1), "empty"], RULES)
    assert entry[:8] == (7, 5, "records", 100, 104, 2, 1, 1)
    assert entry.previous_hash == head.hash
    assert entry.head == Head(5, 104, b"e" * 32, entry.hash)
    gap = ledger.gap_entry(7, entry.head, 110, RULES)
    assert gap[:8] == (7, 6, "gap", 104, 110, 0, 0, 0)
    start = ledger.start_entry(STREAM, 55, RULES)
    assert start[:8] == (7, 0, "start", 55, 55, 0, 0, 0)
    assert start.previous_hash is None


@pytest.mark.parametrize(
    "change",
    [
        {"stream_id": 8},
        {"sequence": 6},
        {"kind": "replay"},
        {"first_offset": 99},
        {"next_offset": 105},
        {"row_count": 3},
        {"duplicate_count": 0},
        {"quarantine_count": 2},
        {"contract": 2},
        {"limits": "{}"},
        {"digest": b"f" * 32},
        {"previous_hash": b"g" * 32},
    ],
    ids=lambda change: next(iter(change)),
)
def test_hash_covers_every_field(change: dict):
    """Nothing that an entry says can be changed without changing its hash."""
    verdicts = [None, None, (7, 1), "empty"]
    head = Head(4, 100, b"d" * 32, b"h" * 32)
    entry = ledger.records_entry(7, head, b"e" * 32, verdicts, RULES)
    encoded = ledger.encode_verdicts(verdicts)
    assert ledger.entry_hash(entry, encoded) == entry.hash
    assert ledger.entry_hash(entry._replace(**change), encoded) != entry.hash


VERDICTS = st.one_of(
    st.none(),
    st.sampled_from(["empty", "not_json", "id_reused"]),
    st.tuples(st.integers(1, 32767), st.integers(0, 2**62)),
)


@given(one=st.lists(VERDICTS, max_size=5), other=st.lists(VERDICTS, max_size=5))
def test_other_verdicts_give_another_hash(one: list, other: list):
    """No two lists of verdicts are encoded alike, so none can be swapped for another."""
    assert (ledger.encode_verdicts(one) == ledger.encode_verdicts(other)) == (one == other)


BINARY = st.none() | st.binary(max_size=20)
RECORDS = st.lists(
    st.builds(
        StoredRecord,
        topic=st.just("t"),
        partition=st.just(0),
        offset=st.integers(0, 2**62),
        timestamp=st.integers(0, 2**45),
        key=BINARY,
        value=BINARY,
        headers=st.lists(st.tuples(st.text(max_size=5), BINARY), max_size=2),
    ),
    max_size=12,
)


@given(records=RECORDS, data=st.data())
def test_digest_does_not_depend_on_where_batches_are_cut(records: list, data: st.DataObject):
    """Any consumer of the topic arrives at the same digest: that is what makes it a witness."""
    frames = [ledger.frame(each) for each in records]
    whole = ledger.extend_digest(b"0" * 32, frames)
    digest, rest = b"0" * 32, frames
    while rest:
        cut = data.draw(st.integers(1, len(rest)))
        digest, rest = ledger.extend_digest(digest, rest[:cut]), rest[cut:]
    assert digest == whole


@given(records=RECORDS.filter(len), data=st.data())
def test_digest_depends_on_every_record_and_its_place(records: list, data: st.DataObject):
    """Leaving a record out, or changing one byte of it, shows in the digest."""
    frames = [ledger.frame(each) for each in records]
    whole = ledger.extend_digest(b"0" * 32, frames)
    n = data.draw(st.integers(0, len(frames) - 1))
    changed = ledger.frame(records[n]._replace(value=(records[n].value or b"") + b"x"))
    assert ledger.extend_digest(b"0" * 32, frames[:n] + frames[n + 1 :]) != whole
    assert ledger.extend_digest(b"0" * 32, [*frames[:n], changed, *frames[n + 1 :]]) != whole


def test_start_depends_on_which_stream_begins_where():
    """Two lives of a topic, two partitions or two beginnings never share a digest."""
    streams = [STREAM, STREAM._replace(epoch=2), STREAM._replace(partition=4)]
    streams.append(STREAM._replace(topic="other"))
    starts = [ledger.first_digest(stream, offset) for stream in streams for offset in (0, 1)]
    assert len(set(starts)) == len(starts)


def test_rules_have_one_form():
    """The limits are hashed as text, so they are written in one way only."""
    assert Rules.of(1, Limits(max_age_seconds=60)) == Rules(1, '{"max_age_seconds":60}')
    assert ledger.canonical_json({"b": 1, "a": [1, 2]}) == '{"a":[1,2],"b":1}'
