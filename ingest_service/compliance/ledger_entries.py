"""An operator's decisions: that lost records are lost, and that a topic began a new life."""

from typing import NamedTuple

from ingest_service import ledger
from ingest_service.adapters.ledger_operator import LedgerOperator, open_operator
from ingest_service.errors import SetupError
from ingest_service.ledger import Entry, Head, Rules, Stream
from ingest_service.shapes import Bounds


class Gap(NamedTuple):
    """A gap that was accepted, or would be."""

    stream: Stream
    entry: Entry
    note: str | None

    @property
    def lost(self) -> int:
        """How many records are given up."""
        return self.entry.next_offset - self.entry.first_offset


class Epoch(NamedTuple):
    """A new epoch of a partition; `ended_at` is where the one before stopped."""

    stream: Stream
    epoch: int
    ended_at: int


async def accept_gap(
    dsn: str, place: tuple[str, int], to: int, reason: str, rules: Rules, *, dry_run: bool = False
) -> Gap:
    """Append the entry by which (topic, partition) goes on at offset `to`.

    Raises `SetupError` when there is no such stream, no gap, or no right to do it.
    """
    topic, partition = place
    _require_reason(reason)
    async with open_operator(dsn) as operator:
        streams = await operator.newest_streams(topic, partition)
        if not streams:
            raise SetupError(_unknown(topic, partition))
        [stream] = streams
        await operator.lock(stream)
        head = await operator.head(stream)
        entry = ledger.gap_entry(stream.id, _judge_gap(stream, head, to), to, rules)
        return Gap(stream, entry, None if dry_run else await operator.append(entry, reason))


async def open_epochs(
    dsn: str, topic: str, partition: int | None, reason: str, *, dry_run: bool = False
) -> list[Epoch]:
    """Open the next epoch of a partition, or of every one that was ever assigned, or of none.

    The worker that gets the partition appends its start. Raises `SetupError` when there is
    nothing to follow, or no right to do it.
    """
    _require_reason(reason)
    async with open_operator(dsn) as operator:
        streams = await operator.newest_streams(topic, partition)
        if not streams:
            raise SetupError(_unknown(topic, partition))
        epochs = [await _end(operator, stream) for stream in streams]
        if not dry_run:
            for each in epochs:
                await operator.open_epoch(each.stream, reason)
        return epochs


def judge_bounds(bounds: Bounds, to: int | None, *, including_kept: bool) -> int:
    """Return up to where a gap is to be accepted, by what Kafka's log holds.

    By default up to the log's start. Raises `SetupError` for an offset that would give up records
    which are still there (unless that is said), or that are not there yet.
    """
    if to is None or to == bounds.start:
        return bounds.start
    if to > bounds.end:
        raise SetupError(
            f"the log ends at {bounds.end}: nothing is lost up to {to}. A topic that was made "
            "again, shorter, needs `ingest-service ledger new-epoch`"
        )
    if to > bounds.start and not including_kept:
        raise SetupError(
            f"Kafka still has the records from {bounds.start} on: a gap up to {to} would give "
            "them up. Say --including-kept if that is meant"
        )
    return to


def _judge_gap(stream: Stream, head: Head | None, to: int) -> Head:
    name = f"{stream.topic}/{stream.partition}"
    if head is None:
        raise SetupError(
            f"{name} has no entry yet: a worker starts it at the log's start, without a gap"
        )
    if to <= head.next_offset:
        raise SetupError(
            f"there is no gap: {name} goes on at {head.next_offset}, which is not before {to}"
        )
    return head


async def _end(operator: LedgerOperator, stream: Stream) -> Epoch:
    await operator.lock(stream)
    head = await operator.head(stream)
    if head is None:
        raise SetupError(
            f"{stream.topic}/{stream.partition} has an epoch {stream.epoch} without an entry: "
            "a worker will begin it, no other is needed"
        )
    return Epoch(stream, stream.epoch + 1, head.next_offset)


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise SetupError("--reason must say why: it is kept for ever")


def _unknown(topic: str, partition: int | None) -> str:
    where = topic if partition is None else f"{topic}/{partition}"
    return f"the ledger does not know {where}: a worker opens the first epoch by itself"
