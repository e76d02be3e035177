"""The shapes on both sides of decoding: a Kafka record, a row, a rejection."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Record(Protocol):
    """A Kafka record as it arrived; aiokafka's `ConsumerRecord` is one, a kept original is one.

    `timestamp` is Kafka time in milliseconds (the broker's: `LogAppendTime`). Header names are
    text in which bytes that are not UTF-8 stand as surrogate escapes.
    """

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


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
