"""A line of JSON becomes a record, as it is; only a missing id is added."""

import hashlib

import msgspec

from ingest_service.events.decode import CONTRACT, decode
from ingest_service.events.identity import shape_uuid7
from ingest_service.events.record import Limits, Row, StoredRecord
from ingest_service.events.rejection import Rejection
from ingest_service.publisher.sealing import Sealed


class _Identity(msgspec.Struct):
    id: str | None = None


_identity = msgspec.json.Decoder(_Identity).decode


def seal_line(line: bytes, now_ms: int, limits: Limits) -> Sealed | Rejection:
    """Return the record of a line, or the rejection that the persister would give it.

    A line without an id gets one made from its content, so that a file that is published again
    after a failure makes no second rows. Two lines that are equal in every byte, time and request
    id included, are therefore one event.
    """
    judged = _judge(line, now_ms, limits)
    if isinstance(judged, Row) and _identity(line).id is None:
        audit_id = str(shape_uuid7(judged.timestamp_us // 1_000, hashlib.sha256(line).digest()))
        # Of two equal keys the last one counts: so this is right where the line says null, too.
        line = line.rstrip()[:-1] + b',"id":"%b"}' % audit_id.encode()
        judged = _judge(line, now_ms, limits)  # it may have grown too large
    if isinstance(judged, Rejection):
        return judged
    return Sealed(judged.id, (judged.gateway_request_id or judged.id).encode(), line, 0)


def _judge(line: bytes, now_ms: int, limits: Limits) -> Row | Rejection:
    return decode(StoredRecord("", 0, 0, now_ms, None, line), CONTRACT, limits)
