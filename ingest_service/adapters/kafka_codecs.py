"""Decompression with a bound: a record of 200 MB of zeros is a few kilobytes on the wire.

Kafka limits what a batch takes compressed, aiokafka decompresses it whole, and the worker would die
of it again and again. So the size is read off the compressed blocks' headers first (gzip has none:
it is unpacked up to the bound). Batches of events stay far below: `BATCH_BYTES`.
"""

import gzip
import io
import struct
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import cramjam
from aiokafka.record import default_records as python_records
from aiokafka.record._crecords import default_records as compiled_records

BATCH_BYTES: Final = 16 * 1024 * 1024
"""What a batch may unpack to: 15 events of the largest size that is allowed."""
FETCH_BYTES: Final = BATCH_BYTES
"""Where a fetch takes no further batch: many large ones are as bad as a huge one."""

T = TypeVar("T", bound=Sized)

_LZ4_MAGIC = b"\x04\x22\x4d\x18"
_LZ4_MOST_RATIO = 255
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_BLOCK = 128 * 1024
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER = 16


class BatchTooLargeError(Exception):
    """A batch unpacks to more than a worker takes."""


class FetchFullError(BatchTooLargeError):
    """This batch is for the next fetch: what this one has unpacked is enough."""


class Unpacked:
    """How much one fetch has unpacked; its first batch always fits."""

    def __init__(self) -> None:
        self._bytes = 0

    def add(self, size: int) -> None:
        """Count a batch, or raise `FetchFullError`."""
        if self._bytes and self._bytes + size > FETCH_BYTES:
            raise FetchFullError
        self._bytes += size


_unpacked: ContextVar[Unpacked | None] = ContextVar("unpacked", default=None)


@contextmanager
def one_fetch() -> Iterator[None]:
    """Hold all that this task unpacks inside the block to `FETCH_BYTES`."""
    token = _unpacked.set(Unpacked())
    try:
        yield
    finally:
        _unpacked.reset(token)


def _counted(unpacked: T) -> T:
    if (fetch := _unpacked.get()) is not None:
        fetch.add(len(unpacked))
    return unpacked


def install() -> None:
    """Have every consumer of this process decompress with the bound."""
    for module in (python_records, compiled_records):
        module.gzip_decode = _gunzip
        for codec, size in (("lz4", lz4_size), ("snappy", snappy_size), ("zstd", zstd_size)):
            decode = getattr(module, f"{codec}_decode")
            if getattr(decode, "bounded", False):
                continue
            setattr(module, f"{codec}_decode", _bounded(decode, size))


def _bounded(decode: Any, size: Callable[[bytes], int]) -> Any:
    def decode_bounded(payload: Any) -> Any:
        payload = bytes(payload)
        try:
            unpacked = size(payload)
        except (struct.error, IndexError, ValueError, cramjam.DecompressionError):
            unpacked = 0  # damaged: the decoder says so itself
        if unpacked > BATCH_BYTES:
            raise BatchTooLargeError
        return _counted(decode(payload))

    decode_bounded.bounded = True  # type: ignore[attr-defined]  # a mark for `install` to see
    return decode_bounded


def _gunzip(payload: Any) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as packed:
        unpacked = packed.read(BATCH_BYTES + 1)
    if len(unpacked) > BATCH_BYTES:
        raise BatchTooLargeError
    return _counted(unpacked)


def lz4_size(payload: bytes) -> int:
    """Return the most that these LZ4 frames can unpack to, by their blocks' headers."""
    at = total = 0
    while payload[at : at + 4] == _LZ4_MAGIC:
        flags, block_size = payload[at + 4], payload[at + 5]
        most = 1 << (8 + 2 * (block_size >> 4 & 7))
        at += 7 + 8 * (flags >> 3 & 1) + 4 * (flags & 1)
        while packed := struct.unpack_from("<I", payload, at)[0]:
            size = packed & 0x7FFFFFFF
            total += size if packed >> 31 else min(most, _LZ4_MOST_RATIO * size)
            at += 4 + size + 4 * (flags >> 4 & 1)
        at += 4 + 4 * (flags >> 2 & 1)
    return total


def zstd_size(payload: bytes) -> int:
    """Return the most that these Zstandard frames can unpack to, by their blocks' headers."""
    at = total = 0
    while payload[at : at + 4] == _ZSTD_MAGIC:
        flags = payload[at + 4]
        single = flags >> 5 & 1
        of_size = (single, 2, 4, 8)[flags >> 6]
        at += 5 + (1 - single) + (0, 1, 2, 4)[flags & 3] + of_size
        last = 0
        while not last:
            header = int.from_bytes(payload[at : at + 3], "little")
            last, kind, size = header & 1, header >> 1 & 3, header >> 3
            if at >= len(payload):
                raise ValueError
            total += _ZSTD_BLOCK if kind == 2 else size  # noqa: PLR2004 - a compressed block
            at += 3 + (1 if kind == 1 else size)
        at += 4 * (flags >> 2 & 1)
    return total


def snappy_size(payload: bytes) -> int:
    """Return what these Snappy blocks say that they unpack to; decoding holds them to it."""
    if payload[: len(_XERIAL)] != _XERIAL:
        return int(cramjam.snappy.decompress_raw_len(payload))
    at, total = _XERIAL_HEADER, 0
    while at < len(payload):
        size = struct.unpack_from(">i", payload, at)[0]
        if size <= 0:
            raise ValueError
        total += cramjam.snappy.decompress_raw_len(payload[at + 4 : at + 4 + size])
        at += 4 + size
    return total
