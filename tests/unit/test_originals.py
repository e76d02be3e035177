"""What arrived comes back byte for byte, or is said to be damaged: never anything else."""

from __future__ import annotations

import gzip
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import igzip

from ingest_service import ledger
from ingest_service.adapters.kafka_codecs import BATCH_BYTES
from ingest_service.events.record import StoredRecord
from ingest_service.originals import (
    UNPACKED_BYTES,
    UNPACKED_RECORDS,
    OriginalsUnreadableError,
    pack_originals,
    record_of,
    unpack_originals,
)
from ingest_service.persist.batching import BatchLimits

ODD_NAME = b"\xff\x00\xc3".decode("utf-8", "surrogateescape")

BYTES = st.none() | st.binary(max_size=40)
NAMES = st.text(max_size=6) | st.binary(max_size=6).map(
    lambda name: name.decode("utf-8", "surrogateescape")
)
RECORDS = st.builds(
    StoredRecord,
    topic=st.just("t"),
    partition=st.just(4),
    offset=st.integers(0, 2**63 - 1),
    timestamp=st.integers(-1, 2**50),
    key=BYTES,
    value=BYTES,
    headers=st.lists(st.tuples(NAMES, BYTES), max_size=3),
)
VERDICTS = st.one_of(
    st.none(),
    st.sampled_from(["empty", "id_reused"]),
    st.tuples(st.integers(1, 32767), st.integers(0, 2**63 - 1)),
)


@given(st.lists(st.tuples(RECORDS, VERDICTS), max_size=8))
def test_what_was_packed_comes_back(kept: list):
    """Every record with every header, its exact frame and its verdict, in order."""
    frames = [ledger.frame(record) for record, _ in kept]
    packed = pack_originals(frames, [verdict for _, verdict in kept])
    originals = unpack_originals(packed, "t", 4)
    assert [each.frame for each in originals] == frames
    assert [(each.record, each.verdict) for each in originals] == kept


@given(RECORDS)
def test_frame_and_record_are_each_others_inverse(record: StoredRecord):
    """A record can be framed again from its originals, so a digest can be checked from them."""
    frame = ledger.frame(record)
    assert record_of(frame, "t", 4) == record
    assert ledger.frame(record_of(frame, "t", 4)) == frame


def test_format_is_open_to_other_readers():
    """Anybody with gzip and MessagePack can read what was kept: the format is part of the promise."""
    record = StoredRecord("t", 4, 9, 1_700_000_000_000, None, b"v", [(ODD_NAME, b"h")])
    packed = pack_originals([ledger.frame(record)] * 2, [None, (3, 8)])
    assert msgspec.msgpack.decode(gzip.decompress(packed)) == [
        [[9, 1_700_000_000_000, None, b"v", [[b"\xff\x00\xc3", b"h"]]], None],
        [[9, 1_700_000_000_000, None, b"v", [[b"\xff\x00\xc3", b"h"]]], [3, 8]],
    ]


def test_as_many_verdicts_as_records():
    """A verdict that is missing is a bug of ours, and never packed."""
    with pytest.raises(ValueError, match="shorter"):
        pack_originals([ledger.frame(StoredRecord("t", 0, 0, 0))], [])


PACKED = pack_originals(
    [ledger.frame(StoredRecord("t", 0, n, 1, b"key", b"value" * 5)) for n in range(3)], [None] * 3
)


@given(cut=st.integers(0, len(PACKED) - 1))
def test_cut_originals_are_unreadable(cut: int):
    """A tail that is missing never passes for fewer records."""
    with pytest.raises(OriginalsUnreadableError):
        unpack_originals(PACKED[:cut], "t", 0)


@given(at=st.integers(10, len(PACKED) - 1), bit=st.integers(0, 7))
def test_flipped_bit_is_unreadable(at: int, bit: int):
    """Gzip's checksum covers every bit of what was kept."""
    damaged = bytearray(PACKED)
    damaged[at] ^= 1 << bit
    with pytest.raises(OriginalsUnreadableError):
        unpack_originals(bytes(damaged), "t", 0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({"no": "list"}),
        msgspec.msgpack.encode([["frame", None, "third"]]),
        msgspec.msgpack.encode([[[1, 2, None, b"v"], None]]),
        msgspec.msgpack.encode([[[1, 2, "text key", b"v", []], None]]),
        msgspec.msgpack.encode([[["1", 2, None, b"v", []], None]]),
        msgspec.msgpack.encode([[[1, 2, None, b"v", []], 5]]),
        msgspec.msgpack.encode([[[1, 2, None, b"v", []], [1, 2, 3]]]),
    ],
)
def test_other_content_is_unreadable(content: bytes):
    """Well-formed gzip around something else is told from originals."""
    with pytest.raises(OriginalsUnreadableError):
        unpack_originals(gzip.compress(content), "t", 0)


def bomb(zeros: int) -> bytes:
    """Return originals with one value of so many zeros, packed."""
    frame = ledger.frame(StoredRecord("t", 0, 0, 1, None, bytes(zeros)))
    return pack_originals([frame], [None])


def test_bomb_is_not_unpacked():
    """A gigabyte of zeros in a megabyte of originals is unreadable, and never takes the memory."""
    packed = igzip.compress(bytes(1 << 30), 1)
    code = (
        "import sys; from pathlib import Path; from ingest_service import originals\n"
        "try: originals.unpack_originals(sys.stdin.buffer.read(), 't', 0)\n"
        "except originals.OriginalsUnreadableError as exc: print(exc)\n"
        # Not getrusage: its figure begins with this process' own, which holds the gigabyte.
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=packed, capture_output=True, check=True
    )
    said, kilobytes = done.stdout.decode().splitlines()
    assert said == "originals cannot be read: TooLargeError"
    assert int(kilobytes) * 1024 < 2.5 * UNPACKED_BYTES


def test_forged_count_of_records_is_unreadable():
    """Records of a few bytes become objects of hundreds: more than any entry has are not made."""
    count = UNPACKED_RECORDS + 1
    pair = msgspec.msgpack.encode([[0, 0, None, None, []], None])
    content = b"\xdd" + count.to_bytes(4, "big") + pair * count
    with pytest.raises(OriginalsUnreadableError, match="TooLarge"):
        unpack_originals(gzip.compress(content, compresslevel=1), "t", 0)


def test_bounds_leave_room_for_any_batch():
    """What a worker can gather, and the largest batch of Kafka's on top, comes back."""
    limits = BatchLimits()
    assert limits.max_records * 10 < UNPACKED_RECORDS
    largest = limits.max_bytes + BATCH_BYTES
    assert largest * 2 < UNPACKED_BYTES
    [original] = unpack_originals(bomb(largest), "t", 0)
    assert original.record.value == bytes(largest)


@given(st.binary(min_size=1, max_size=9))
def test_appended_bytes_are_unreadable(more: bytes):
    """Nothing can be hung behind what was kept."""
    with pytest.raises(OriginalsUnreadableError):
        unpack_originals(PACKED + more, "t", 0)


@given(st.binary(max_size=60))
def test_message_never_repeats_content(noise: bytes):
    """An error about originals can be logged: it names the kind of damage alone."""
    with pytest.raises(OriginalsUnreadableError) as error:
        unpack_originals(noise, "t", 0)
    assert str(error.value).startswith("originals cannot be read: ")
    assert str(error.value).removeprefix("originals cannot be read: ").isidentifier()
