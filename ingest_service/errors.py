"""What can go wrong, named for the reaction and not for the library that noticed it.

Adapters translate in one place each; anything that is not here ends the worker, with offsets kept.
"""

from enum import StrEnum
from typing import NamedTuple


class IngestError(Exception):
    """Something that the service knows how to react to.

    The message is for a person: what is wrong, and what to do. It never holds event content,
    a token or a password.
    """


class SetupError(IngestError):
    """Nothing will work until somebody changes the set-up: stop, say what to do, exit 2."""


class DatabaseUnavailableError(IngestError):
    """The database cannot be asked now: hold the offsets, pause, try again with backoff."""


class OwnershipLostError(IngestError):
    """Somebody else moved this stream's head: drop what was prepared, read the head, seek."""


class RowKeyTakenError(IngestError):
    """A row's key is in the table: take the staged path, which tells duplicates from reused ids."""


class RowRefusedError(IngestError):
    """The database refuses a row that the decoder let through: isolate it (a bug of ours)."""


class PartitionMissingError(IngestError):
    """There is no partition of the table for a row's day: have it made, then try again."""


class BrokerUnavailableError(IngestError):
    """Kafka cannot be asked now: try again with backoff."""


class StopReason(StrEnum):
    """Why a partition waits for an operator: a metric's label, so alerts and runbooks use it."""

    GAP = "gap"
    """Records have left Kafka before they were taken."""
    TRUNCATED = "truncated"
    """The log ends before the offset where it was to go on: cut, or made again."""
    RECREATED = "recreated"
    """The record before is another one: the topic was deleted and made again."""
    MISSING_OFFSETS = "missing_offsets"
    """Offsets in the middle of the log have no record: transactions, or compaction."""
    CREATE_TIME = "create_time"
    """Records carry their publisher's clock."""
    DAMAGED_BATCH = "damaged_batch"
    BATCH_TOO_LARGE = "batch_too_large"
    ORIGINALS_DAMAGED = "originals_damaged"
    """What was kept of the record before cannot be read."""
    GARBAGE_LIMIT = "garbage_limit"
    """Too many records in a row were no events."""


class Stop(NamedTuple):
    """That a partition must not go on: the code, and the sentence with what an operator can do."""

    reason: StopReason
    message: str


class PartitionFault(IngestError):  # noqa: N818 - a fault of the partition, not an error of ours
    """This partition must stop until an operator decides; its neighbours go on."""

    def __init__(self, topic: str, partition: int, stop: Stop) -> None:
        super().__init__(stop.message)
        self.topic = topic
        self.partition = partition
        self.stop = stop


class PositionLostError(PartitionFault):
    """The log no longer holds where this partition stood: look at ledger and log once more."""

    def __init__(self, topic: str, partition: int, message: str) -> None:
        super().__init__(topic, partition, Stop(StopReason.GAP, message))


class RecordRefusedError(IngestError):
    """Kafka will never take this record as it is: do not send it again, tell its publisher."""


class SinkUnavailableError(IngestError):
    """A sink gave no answer, so nobody knows whether it took the request: try again."""
