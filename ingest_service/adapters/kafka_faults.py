"""What a partition's log can have wrong, said so that an operator knows what to do: pure."""

from collections.abc import Sequence
from typing import Any, Final

from aiokafka.structs import TopicPartition

from ingest_service.adapters.kafka_codecs import BATCH_BYTES
from ingest_service.errors import PartitionFault, Stop, StopReason

LOG_APPEND_TIME: Final = 1

_COMES_DAMAGED = (
    "comes damaged: it fails its checksum or cannot be decompressed. See to the broker's disk; it "
    "is asked again every 10 s. If it cannot be mended"
)
_TOO_LARGE = (
    f"would unpack to more than {BATCH_BYTES >> 20} MiB: no gateway sends that. Find "
    "who does, and let the broker unpack (`compression.type=uncompressed` on the topic). To give "
    "it up"
)


def clock_fault(position: TopicPartition, records: Sequence[Any]) -> PartitionFault:
    """Say that these records, from the first on, carry their publisher's clock."""
    until = 1 + max(each.offset for each in records if each.timestamp_type != LOG_APPEND_TIME)
    message = (
        f"from offset {records[0].offset} on its records carry the publisher's clock: set "
        "message.timestamp.type=LogAppendTime on the topic and have them published again. To "
        f"go on past them: {_accept_gap(position.partition, until)}"
    )
    return PartitionFault(position.topic, position.partition, Stop(StopReason.CREATE_TIME, message))


def batch_fault(
    position: TopicPartition,
    offset: int,
    end: int | None,
    *,
    too_large: bool,
    way_past: str | None = None,
) -> PartitionFault:
    """Say that the batch at `offset`, which ends before `end`, cannot be read.

    `way_past` is the command that goes on past it; without one, the ledger's.
    """
    what = _TOO_LARGE if too_large else _COMES_DAMAGED
    way_past = way_past or _accept_gap(position.partition, end or "N")
    reason = StopReason.BATCH_TOO_LARGE if too_large else StopReason.DAMAGED_BATCH
    stop = Stop(reason, f"the batch at offset {offset} {what}: {way_past}")
    return PartitionFault(position.topic, position.partition, stop)


def _accept_gap(partition: int, to: int | str) -> str:
    return (
        f"`ingest-service ledger accept-gap --partition {partition} --to {to} --including-kept "
        "--reason ...`"
    )
