"""The audit id of a record: the publisher's own, or one that only this record can have."""

import hashlib
import re
from typing import Final

from ingest_service.events.identity import shape_uuid7
from ingest_service.events.record import Record
from ingest_service.events.rejection import Reason
from ingest_service.events.v1.refusal import Refused

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def accept_id(text: str) -> str:
    """Return a publisher's id in lower case."""
    lowered = text.lower()
    # `lower` maps U+212A to `k`, no sign to a hexadecimal digit: nothing foreign slips in.
    if _UUID.fullmatch(lowered) is None:
        raise Refused(
            Reason.BAD_ID,
            "id must be a UUID in its hyphenated form of 36 characters, or be left out",
        )
    return lowered


def derive_id(record: Record) -> str:
    """Return the id of a record that brings none: the same on every replay, ordered by Kafka time.

    The topic's length comes first, so no other topic, partition and offset spell the same bytes.
    """
    topic = record.topic.encode()
    place = b"%d:%b:%d:%d" % (len(topic), topic, record.partition, record.offset)
    return shape_uuid7(record.timestamp, hashlib.sha256(place).digest())
