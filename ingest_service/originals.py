"""The records of an entry as they arrived, byte for byte, each with its verdict."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from isal import igzip, igzip_lib

from ingest_service.events.record import StoredRecord
from ingest_service.ledger import ROW, Verdict

UNPACKED_BYTES: Final = 80 * 1024 * 1024
"""More than the records of any entry: a batch of 16 MiB is full, and a fetch adds 16 at most."""

UNPACKED_RECORDS: Final = 120_000
"""Twelve times what a batch takes: what is forged with more would unpack to gigabytes."""

_GZIP_ERROR: Any = igzip_lib.IsalError  # its stub does not say that it is an exception type
_GZIP_LEVEL = 1  # isal's level 1 compresses audit events nearly as well as zlib-6, 11 times faster
_PAIR = b"\x92"  # MessagePack: an array of two
_ARRAY32 = b"\xdd"  # MessagePack: an array whose length follows in four bytes

_encode = msgspec.msgpack.Encoder().encode


class Original(NamedTuple):
    """A record read back from the originals: its exact frame, its fields, its verdict."""

    frame: bytes
    record: StoredRecord
    verdict: Verdict


class OriginalsUnreadableError(ValueError):
    """Kept originals are not what this service writes: they were changed, or cut."""


class TooLargeError(Exception):
    """Kept originals would unpack to more than any entry holds."""


def pack_originals(frames: Sequence[bytes], verdicts: Sequence[Verdict]) -> bytes:
    """Return records and verdicts as they are kept: MessagePack `[[frame, verdict], ...]`, gzip."""
    parts = [_ARRAY32, len(frames).to_bytes(4, "big")]
    for each, verdict in zip(frames, verdicts, strict=True):
        parts += (_PAIR, each, ROW if verdict is None else _encode(verdict))
    return igzip.compress(b"".join(parts), _GZIP_LEVEL)


_decode_pairs = msgspec.msgpack.Decoder(list[tuple[msgspec.Raw, Verdict]]).decode
_decode_frame = msgspec.msgpack.Decoder(
    tuple[int, int, bytes | None, bytes | None, list[tuple[bytes, bytes | None]]]
).decode


def unpack_originals(packed: bytes, topic: str, partition: int) -> list[Original]:
    """Return what `pack_originals` was given, or raise `OriginalsUnreadableError`.

    Whoever can write to the table could keep a bomb there: it is not unpacked beyond the bounds.
    """
    try:
        pairs = _decode_pairs(_unpacked(packed))
        return [
            Original(bytes(raw), record_of(bytes(raw), topic, partition), verdict)
            for raw, verdict in pairs
        ]
    except (_GZIP_ERROR, EOFError, TooLargeError, msgspec.MsgspecError) as exc:
        raise OriginalsUnreadableError(f"originals cannot be read: {type(exc).__name__}") from exc


def _unpacked(packed: bytes) -> bytes:
    gzip = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    content = bytes(gzip.decompress(packed, UNPACKED_BYTES + 1))
    if len(content) > UNPACKED_BYTES:
        raise TooLargeError
    if not gzip.eof or gzip.unused_data:
        raise EOFError
    if content[:1] == _ARRAY32 and int.from_bytes(content[1:5], "big") > UNPACKED_RECORDS:
        raise TooLargeError
    return content


def record_of(frame: bytes, topic: str, partition: int) -> StoredRecord:
    """Return the record that `ledger.frame` was given."""
    offset, timestamp, key, value, headers = _decode_frame(frame)
    names = [(name.decode("utf-8", "surrogateescape"), content) for name, content in headers]
    return StoredRecord(topic, partition, offset, timestamp, key, value, names)
