"""Fills a sink from the originals in the database: what left Kafka before the sink had it."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple, Protocol

from ingest_service.adapters.kept_originals import KeptEntry
from ingest_service.errors import SetupError
from ingest_service.events.record import Record
from ingest_service.ledger import Stream
from ingest_service.originals import OriginalsUnreadableError, unpack_originals
from ingest_service.replay.courier import Delivered

Tell = Callable[[int, int], None]
"""Hears how many offsets are done, and of how many."""


class Wanted(NamedTuple):
    """Offsets of one partition: from `first` up to, and without, `end`."""

    topic: str
    partition: int
    first: int
    end: int


class Originals(Protocol):
    """What the database keeps of each partition."""

    async def stream(self, topic: str, partition: int) -> Stream | None:
        """Return the stream of the partition's newest epoch."""
        ...

    async def reach(self, stream: Stream) -> tuple[int, int] | None:
        """Return the first offset in the ledger and the one after its last."""
        ...

    def entries(self, stream: Stream, first: int, end: int) -> AsyncIterator[KeptEntry]:
        """Yield the entries that hold these offsets, in order."""
        ...


class Delivering(Protocol):
    """One sink's delivery."""

    async def deliver(self, records: Sequence[Record]) -> Delivered:
        """Return once each record is durable at the sink, left out, or refused."""
        ...


class Refilled(NamedTuple):
    """What became of the wanted offsets. `missing` are not kept: an accepted gap, a purge."""

    accepted: int = 0
    left_out: int = 0
    dead_lettered: int = 0
    missing: int = 0

    def __add__(self, other: object) -> "Refilled":
        """Return the sum, count by count."""
        assert isinstance(other, Refilled)
        return Refilled(*(mine + its for mine, its in zip(self, other, strict=True)))


async def find_stream(originals: Originals, wanted: Wanted) -> Stream:
    """Return the stream that holds what is wanted; `SetupError` says what is kept instead."""
    place = f"{wanted.topic}/{wanted.partition}"
    stream = await originals.stream(wanted.topic, wanted.partition)
    reach = None if stream is None else await originals.reach(stream)
    if stream is None or reach is None:
        raise SetupError(f"the database has nothing of {place}: no persister has had it")
    if not reach[0] <= wanted.first < wanted.end <= reach[1]:
        raise SetupError(
            f"the database has {place} from offset {reach[0]} up to {reach[1]}: "
            f"{wanted.first} up to {wanted.end} is not within"
        )
    return stream


async def refill(
    originals: Originals, stream: Stream, wanted: Wanted, courier: Delivering, tell: Tell
) -> Refilled:
    """Deliver every original of the range, in order, a ledger entry at a time.

    Sent again by a second run: the audit id is the same, and so are the offsets. Raises what keeps
    the sink or the database away; `tell` has heard up to where all is done.
    """
    total = wanted.end - wanted.first
    report = Refilled()
    async for entry in originals.entries(stream, wanted.first, wanted.end):
        first = max(entry.first_offset, wanted.first)
        end = min(entry.next_offset, wanted.end)
        tell(first - wanted.first, total)
        records = _records(stream, entry, first, end)
        delivered = await courier.deliver(records)
        report += Refilled(
            delivered.accepted,
            delivered.left_out,
            len(delivered.refused),
            end - first - len(records),
        )
    tell(total, total)
    return report


def _records(stream: Stream, entry: KeptEntry, first: int, end: int) -> list[Record]:
    """Return what is kept of these offsets; nothing of a gap, or where it was purged."""
    if entry.records is None:
        return []
    try:
        originals = unpack_originals(entry.records, stream.topic, stream.partition)
    except OriginalsUnreadableError as exc:
        raise SetupError(
            f"the originals at offset {entry.first_offset} cannot be read: see "
            "`ingest-service verify`; --from a later offset goes on behind them"
        ) from exc
    return [each.record for each in originals if first <= each.record.offset < end]
