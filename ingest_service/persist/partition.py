"""One assigned partition: where it stands, what is gathered of it, and why it may have stopped."""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from ingest_service import ledger
from ingest_service.errors import PartitionFault, Stop, StopReason
from ingest_service.events.decode import Decode
from ingest_service.events.record import Record
from ingest_service.ledger import Head, Rules, Stream
from ingest_service.persist.segment import Segment
from ingest_service.shapes import Bounds

_SILENCE_SECONDS = 1.0


class Beginning(NamedTuple):
    """Where reading begins; `probe` is the frame that the record before it must have."""

    seek_to: int
    probe: bytes | None


def where_to_begin(
    head: Head, bounds: Bounds, last_frame: bytes | None, partition: int
) -> Beginning | Stop:
    """Return where a partition's stream goes on, or why it must not.

    A topic that was deleted and made again is read on without any error by Kafka's clients, so
    the record before the head is read once more and compared.
    """
    if head.next_offset > bounds.end:
        return Stop(
            StopReason.TRUNCATED,
            f"the log ends at offset {bounds.end}, before {head.next_offset} where the ledger "
            "goes on: the topic was truncated, or deleted and made again. If it was made again: "
            f"{_new_epoch(partition)}",
        )
    if head.next_offset < bounds.start:
        return Stop(
            StopReason.GAP,
            f"records {head.next_offset} to {bounds.start - 1} have left Kafka before they were "
            f"persisted. If they cannot be brought back: {_accept_gap(partition)}",
        )
    if last_frame is None or head.next_offset == bounds.start:
        return Beginning(head.next_offset, None)
    return Beginning(head.next_offset - 1, last_frame)


def _new_epoch(partition: int) -> str:
    return f"`ingest-service ledger new-epoch --partition {partition} --reason ...`"


def _accept_gap(partition: int, more: str = "") -> str:
    return f"`ingest-service ledger accept-gap --partition {partition} {more}--reason ...`"


class Partition:
    """An assigned partition. It is read only while it is `open`."""

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.retry_at = 0.0
        self.fault: str | None = None
        self.rejected_in_a_row = 0
        self.segment: Segment | None = None
        self._head: Head | None = None
        self._probe: bytes | None = None
        self._last_frame: bytes | None = None
        self._heard_at = inf
        self._holes = 0

    @property
    def is_open(self) -> bool:
        """Whether records may be taken."""
        return self.segment is not None

    @property
    def position(self) -> int:
        """The offset to read next."""
        assert self.segment is not None
        return self.segment.next_offset - (self._probe is not None)

    def open(self, stream: Stream, head: Head, beginning: Beginning, rules: Rules) -> None:
        """Read on after this head."""
        self._head = head
        self._probe = self._last_frame = beginning.probe
        self._heard_at = inf
        self._holes = 0
        self.fault = None
        self.segment = Segment(stream, head.next_offset, head.digest, rules)

    def close(self, retry_at: float, fault: str | None = None) -> None:
        """Take nothing until it is opened again; drop what was gathered."""
        self.segment = self._probe = self._head = None
        self.retry_at = retry_at
        self.fault = fault

    def is_in_doubt(self, now: float) -> bool:
        """Say whether the record before must be read once more, before those that came now.

        After a silence, be it of the topic's or because this worker was frozen or cut off, this
        log may be another one: made again meanwhile, and already past our offset.
        """
        silence, self._heard_at = now - self._heard_at, now
        if silence < _SILENCE_SECONDS or self._probe is not None:
            return False
        self._probe = self._last_frame
        return self._probe is not None

    def take(self, records: Sequence[Record], decode: Decode) -> bool:
        """Add records to the segment; False when one is missing, so that the consumer must seek.

        Raises `PartitionFault` when this log is not the one that the ledger knows.
        """
        assert self.segment is not None
        if self._probe is not None and records:
            self._check_probe(records[0])
            records = records[1:]
        taken = self.segment.extend(records, decode)
        self._last_frame = self.segment.last_frame or self._last_frame
        if taken == len(records):
            self._holes = 0
            return True
        self._count_hole(self.segment.next_offset, records[taken].offset)
        return False

    def _check_probe(self, record: Record) -> None:
        if ledger.frame(record) != self._probe:
            self._raise(
                StopReason.RECREATED,
                f"the record at offset {self.position} is not the one that was persisted: the "
                f"topic was deleted and made again. {_new_epoch(self.number)} goes on",
            )
        self._probe = None

    def _count_hole(self, expected: int, found: int) -> None:
        # Once may be the consumer's: after an error aiokafka forgets records that it had fetched.
        self._holes += 1
        if self._holes > 1:
            self._raise(
                StopReason.MISSING_OFFSETS,
                f"offsets {expected} to {found - 1} are not in the log. A transactional producer "
                "(its markers take offsets) or compaction does that: stop it, set "
                "cleanup.policy=delete, then "
                + _accept_gap(self.number, f"--to {found} --including-kept "),
            )

    def _raise(self, reason: StopReason, message: str) -> None:
        raise PartitionFault(self.topic, self.number, Stop(reason, message))

    def cut(self) -> Segment | None:
        """Return what has gathered, if anything, and begin the next segment behind it."""
        done = self.segment
        if done is None or not len(done):
            return None
        self.segment = Segment(done.stream, done.next_offset, done.digest, done.rules)
        return done
