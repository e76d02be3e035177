"""Many records written together, as long as all of them are alike."""

from collections.abc import Callable, Sequence

import msgspec

from ingest_service.events.record import Record
from ingest_service.forward.ports import Encoded


class UnusualError(Exception):
    """One of these records has to be written the careful way."""


def encode_alike(
    records: Sequence[Record],
    together: Callable[[Sequence[Record]], list[Encoded]],
    carefully: Callable[[Record], Encoded],
) -> list[Encoded]:
    """Return what `together` makes of the records; what it cannot write is written `carefully`.

    Halves find an odd record: its many neighbours keep the short way.
    """
    if not records:
        return []
    assert records[0].partition == records[-1].partition, "together are those of one partition"
    try:
        return together(records)
    except (UnusualError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if len(records) == 1:
            return [carefully(records[0])]
    middle = len(records) // 2
    return [
        *encode_alike(records[:middle], together, carefully),
        *encode_alike(records[middle:], together, carefully),
    ]


def texts(records: Sequence[Record]) -> list[bytes]:
    """Return the records' values, each of them UTF-8, which the parser does not look at wholly."""
    values = [record.value or b"" for record in records]
    if not all(values):
        raise UnusualError
    for value in values:
        if not value.isascii():
            value.decode()
    return values
