"""The record that is handed on: made in a fifth of the time that aiokafka's own takes."""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.structs import TopicPartition


class FetchedRecord(msgspec.Struct, gc=False):
    """Implements `events.record.Record`; `timestamp_type` says whose clock `timestamp` is."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


def fetched_record(_: Any, position: TopicPartition, record: Any) -> FetchedRecord:
    """Return what aiokafka's parser found, with its place. A method of aiokafka's, by `install`."""
    return FetchedRecord(
        position.topic,
        position.partition,
        record.offset,
        record.timestamp,
        record.timestamp_type,
        record.key,
        record.value,
        record.headers,
    )


def install() -> None:
    """Have every consumer of this process hand on such records; none uses deserializers."""
    PartitionRecords._consumer_record = fetched_record  # noqa: SLF001 - there is no public way
