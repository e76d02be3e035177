"""What passes between the pipelines and the adapters, and is neither record nor ledger entry."""

from collections.abc import Mapping
from typing import NamedTuple


class Conflict(NamedTuple):
    """A staged row whose key is taken: by which row, and whether that one says the same."""

    stream_id: int
    offset: int
    taken_by: tuple[int, int]
    same_content: bool


class QuarantineRow(NamedTuple):
    """One row of `gateway_audit_quarantine`, in column order; Kafka time in microseconds."""

    stream_id: int
    kafka_offset: int
    kafka_timestamp_us: int
    key: bytes | None
    headers: bytes
    value: bytes | None
    reason: str
    message: str


class Bounds(NamedTuple):
    """What a partition's log holds: from `start` up to, and without, `end`."""

    start: int
    end: int


class HttpAnswer(NamedTuple):
    """What a server said to one request; `sent_bytes` is the body's size on the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_bytes: int
    seconds: float
