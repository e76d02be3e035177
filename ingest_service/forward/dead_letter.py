"""A dead letter: the record as it was, and behind its own headers, why a sink will never take it.

Written by the forwarder, read by `replay dead-letters` and by people: the names are a contract.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ingest_service.events.record import Record, StoredRecord

MAX_ANSWER_BYTES = 1024
"""How much of a sink's answer is kept."""

_NAMES = (
    "sark-sink",
    "sark-reason",
    "sark-status",
    "sark-answer",
    "sark-topic",
    "sark-partition",
    "sark-offset",
    "sark-time",
)

Header = tuple[str, bytes | None]


class Refusal(NamedTuple):
    """Why a sink will never take a record. `status` is 0 when it was never sent.

    `reason` is a short code, the same as the metric's label; `answer` is what the sink said.
    """

    sink: str
    reason: str
    status: int = 0
    answer: bytes = b""


class DeadLetter(NamedTuple):
    """A dead letter read back: the record as the topic of events had it, and why it was refused."""

    record: StoredRecord
    refusal: Refusal


def headers_of(record: Record, refusal: Refusal) -> list[Header]:
    """Return the headers of a record's dead letter: its own, then the eight of ours.

    `sark-time` is the record's own Kafka time in milliseconds, from which a derived audit id is
    made; when it was dead-lettered is the letter's own Kafka time.
    """
    values = (
        refusal.sink.encode(),
        refusal.reason.encode(),
        b"%d" % refusal.status,
        refusal.answer[:MAX_ANSWER_BYTES],
        record.topic.encode(),
        b"%d" % record.partition,
        b"%d" % record.offset,
        b"%d" % record.timestamp,
    )
    own = [(_sendable(name), value) for name, value in record.headers]
    return [*own, *zip(_NAMES, values, strict=True)]


def read(letter: Record) -> DeadLetter | None:
    """Return what a record of the dead-letter topic holds, or None when it is no dead letter.

    Only the last eight headers are ours: a publisher may have used the same names before them.
    """
    own, ours = letter.headers[: -len(_NAMES)], letter.headers[-len(_NAMES) :]
    if tuple(name for name, _ in ours) != _NAMES:
        return None
    try:
        return _read(letter, own, [value or b"" for _, value in ours])
    except ValueError:  # a number that is none, or text that is not UTF-8
        return None


def _read(letter: Record, own: Sequence[Header], values: Sequence[bytes]) -> DeadLetter:
    sink, reason, status, answer, topic, partition, offset, time = values
    record = StoredRecord(
        topic.decode(), int(partition), int(offset), int(time), letter.key, letter.value, own
    )
    return DeadLetter(record, Refusal(sink.decode(), reason.decode(), int(status), answer))


def _sendable(name: str) -> str:
    """Return a header's name as a producer takes it: bytes that are not UTF-8 are spelled out."""
    return name.encode("utf-8", "backslashreplace").decode()
