"""What a batch would unpack to is known before it is unpacked, and never guessed too low."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import cramjam
import pytest
from aiokafka import codec
from aiokafka.record._crecords import default_records
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.adapters import kafka_codecs
from ingest_service.adapters.kafka_codecs import (
    BATCH_BYTES,
    BatchTooLargeError,
    lz4_size,
    snappy_size,
    zstd_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ENCODED = {"lz4": codec.lz4_encode, "snappy": codec.snappy_encode, "zstd": codec.zstd_encode}
SIZES = {"lz4": lz4_size, "snappy": snappy_size, "zstd": zstd_size}
data = st.one_of(
    st.binary(max_size=5_000),
    st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 60_000)).map(
        lambda drawn: drawn[0] * drawn[1]
    ),
)


@pytest.mark.parametrize("name", SIZES)
@given(raw=data)
def test_size_is_never_guessed_too_low(name: str, raw: bytes):
    """Else a bomb would pass; guessed far too high, honest batches would not."""
    size = SIZES[name](bytes(ENCODED[name](raw)))
    assert len(raw) <= size <= len(raw) + 4 * 1024 * 1024


@pytest.mark.parametrize("level", [1, 3, 19])
@pytest.mark.parametrize("size", [0, 1, 131_072, 131_073, 3_000_000])
def test_zstandard_of_any_level_and_length(level: int, size: int):
    """Frames with and without their size in the header, of raw, repeated and packed blocks."""
    raw = (b"ab" * size)[:size]
    assert size <= zstd_size(bytes(cramjam.zstd.compress(raw, level))) <= size + 131_072


@pytest.mark.parametrize("name", ["gzip", "lz4", "snappy", "zstd"])
def test_bomb_is_refused_and_a_full_batch_is_not(name: str):
    """The bound is exact to a block, in the very functions that aiokafka calls."""
    kafka_codecs.install()
    encode: Callable[[bytes], bytes] = getattr(codec, f"{name}_encode")
    decode: Callable[[bytes], bytes] = getattr(default_records, f"{name}_decode")
    full = bytes(BATCH_BYTES - 4 * 1024 * 1024)
    assert bytes(decode(bytes(encode(full)))) == full
    with pytest.raises(BatchTooLargeError):
        decode(bytes(encode(bytes(BATCH_BYTES + 5 * 1024 * 1024))))


@pytest.mark.parametrize("name", ["lz4", "snappy", "zstd"])
@given(cut=st.integers(0, 400), flip=st.integers(0, 400))
def test_damaged_input_is_the_decoders_to_refuse(name: str, cut: int, flip: int):
    """The look at the headers ends, and raises nothing but what is caught beside it."""
    packed = bytearray(bytes(ENCODED[name](bytes(range(256)) * 4))[:cut])
    if packed:
        packed[flip % len(packed)] ^= 0xFF
    try:
        assert SIZES[name](bytes(packed)) >= 0
    except (struct.error, IndexError, ValueError, cramjam.DecompressionError):
        pass
