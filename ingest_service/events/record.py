"""The shapes on both sides of decoding: a Kafka record, a row, a rejection."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Record(Protocol):
    """A Kafka record as it arrived; one fetched from Kafka, or a kept original.

    `timestamp` is Kafka time in milliseconds (the broker's: `LogAppendTime`). Header names are
    text in which bytes that are not UTF-8 stand as surrogate escapes.
    """

    @property
    def topic(self) -> str:
        """The topic that it was read from."""
        ...

    @property
    def partition(self) -> int:
        """The partition that it was read from."""
        ...

    @property
    def offset(self) -> int:
        """Its place in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Kafka time, milliseconds since 1970."""
        ...

    @property
    def key(self) -> bytes | None:
        """What chose the partition; decoding does not look at it."""
        ...

    @property
    def value(self) -> bytes | None:
        """The event as it was sent, or nothing for a tombstone."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """What travelled beside the value; decoding does not look at it."""
        ...


class StoredRecord(NamedTuple):
    """A record read back from the originals, or made for a test."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Row(NamedTuple):
    """One row of `gateway_audit_events`, in column order, as the database adapter copies it.

    `timestamp_us` is microseconds since 1970 (UTC). `metadata` is JSON text in UTF-8: the
    publisher's own bytes wherever nothing had to be changed, so no digit is lost.
    """

    id: str
    event_type: str
    user_id: str | None
    agent_id: str | None
    server_name: str | None
    tool_name: str | None
    decision: str | None
    reason: str
    timestamp_us: int
    gateway_request_id: str
    metadata: bytes
    kafka_offset: int


class Limits(NamedTuple):
    """Every setting that decides what decoding answers; kept in each ledger entry."""

    max_age_seconds: int = 30 * 86_400
