"""Reads records that aiokafka cannot: those whose header names are not UTF-8.

Kafka carries any bytes there, and some clients send them. aiokafka raises `UnicodeDecodeError` for
the whole batch, again and again: one such record would stop its partition for ever. So that one
batch is fetched once more and read by aiokafka's own parser in Python, with names decoded so that
their bytes are kept (`surrogateescape`).
"""

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.structs import TopicPartition

from ingest_service.adapters.kafka_records import fetched_record

_MAX_BYTES = 2 * 1024 * 1024
_LOG_OVERHEAD = struct.calcsize(">qi")  # base offset and length, before each batch

_LAST_DELTA_AT = 23  # of a batch's header


class _Tolerant(bytearray):
    """A buffer whose slices decode to text whatever they hold."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _Tolerant(found) if isinstance(index, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:
        """Decode; bytes that are no text stand as surrogate escapes."""
        return super().decode(encoding, errors)


async def fetch_tolerantly(client: Any, position: TopicPartition, offset: int) -> list[Any]:
    """Return the records from `offset` to the end of its batch; empty when there are none.

    Raises aiokafka's errors. The batch's checksum is checked, as aiokafka would.
    """
    data = await _fetch_raw(client, position, offset)
    for batch in _batches(data):
        records = [fetched_record(None, position, each) for each in batch if each.offset >= offset]
        if records:
            return records
    return []


async def end_of_batch(client: Any, position: TopicPartition, offset: int) -> int | None:
    """Return the offset behind the batch that holds `offset`, by its header alone."""
    data = await _fetch_raw(client, position, offset)
    if len(data) < _LAST_DELTA_AT + 4:
        return None
    [base] = struct.unpack_from(">q", data)
    [delta] = struct.unpack_from(">i", data, _LAST_DELTA_AT)
    return int(base + delta + 1)


async def _fetch_raw(client: Any, position: TopicPartition, offset: int) -> bytes:
    leader = client.cluster.leader_for_partition(position)
    request = FetchRequest(
        500, 1, _MAX_BYTES, 0, [(position.topic, [(position.partition, offset, _MAX_BYTES)])]
    )
    response = await client.send(leader, request)
    _, ((_, error_code, *_, data),) = response.topics[0]
    if error_code:
        raise kafka_errors.for_code(error_code)
    return bytes(data)


def _batches(data: bytes) -> Iterator[Any]:
    at = 0
    while at + _LOG_OVERHEAD <= len(data):
        end = at + _LOG_OVERHEAD + struct.unpack_from(">i", data, at + 8)[0]
        if end > len(data):
            return
        batch = _DefaultRecordBatchPy(data[at:end])
        if not batch.validate_crc():
            raise kafka_errors.CorruptRecordException("a batch fails its checksum")
        if not batch.is_control_batch:
            iter(batch)  # decompresses
            batch._buffer = _Tolerant(batch._buffer)  # noqa: SLF001 - the one way in
            yield batch
        at = end
