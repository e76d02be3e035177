"""A receipt: a record in the dead-letter topic that says which letters before it were sent again.

It stands in the partition of its letters, so retention never takes it before them; a consumer
group's offset would be forgotten after a week without a member, and knows no filters.
"""

from collections.abc import Collection, Sequence

import msgspec

from ingest_service.events.record import Record

NAME = "sark-sent-again"
"""The header that makes a record a receipt; its value is the sink's name."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[int]).decode


def receipt(sink: str, offsets: Collection[int]) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return value and headers of the receipt for these letters of one partition."""
    return _encode(sorted(offsets)), [(NAME, sink.encode())]


def receipted(record: Record) -> Sequence[int]:
    """Return the offsets of the letters that a record is the receipt for: none if it is none."""
    if [name for name, _ in record.headers] != [NAME] or record.value is None:
        return ()
    try:
        return _decode(record.value)
    except msgspec.MsgspecError:
        return ()
