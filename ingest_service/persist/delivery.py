"""Write a batch until the database has it or somebody else owns it: the reaction to each error."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import structlog

from ingest_service.errors import (
    DatabaseUnavailableError,
    OwnershipLostError,
    PartitionMissingError,
    RowKeyTakenError,
    RowRefusedError,
    SetupError,
)
from ingest_service.events.record import Row
from ingest_service.events.rejection import Reason
from ingest_service.ledger import Entry
from ingest_service.persist.ports import Database, Observer
from ingest_service.persist.retry import backoff_seconds
from ingest_service.persist.segment import Finding, Segment
from ingest_service.persist.transaction import write

_US_PER_DAY = 86_400_000_000
_MOST_DAYS = 400  # that the database's function takes in one call
_NOBODY_MOVED = 3
_MAKING_HELPS = 3  # after that somebody drops them as fast as they are made: do not spin

MAY_NOT_APPEND = (
    "the ledger refuses new entries although nobody moved its head: this role may not append "
    "`start` and `records` (row-level security); grant it gateway_audit_writer"
)

_log = structlog.get_logger(__name__)


class Delivery(NamedTuple):
    """What became of a batch: entries that are durable, and streams that somebody else moved."""

    committed: list[tuple[Segment, Entry]]
    lost: list[Segment]
    seconds: float


class _Attempts:
    """One batch on its way: what is left of it, and how it will be tried next."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.pending = list(segments)
        self.committed: list[tuple[Segment, Entry]] = []
        self.lost: list[Segment] = []
        self.attempted: dict[int, Entry] = {}
        self.staged = False
        self.unavailable = 0
        self.fenced = 0
        self.missing = 0


async def deliver(
    database: Database, segments: Sequence[Segment], observer: Observer, rng: Random
) -> Delivery:
    """Return when each segment is durable or no longer ours; never give one up otherwise.

    Raises `SetupError` when only a person can help. What was prepared is written as it is: the
    decoder has judged, and a retry does not judge again.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    attempts = _Attempts(segments)
    while attempts.pending:
        try:
            await _try(database, attempts)
        except OwnershipLostError:
            _count_fence(attempts, observer)
        except DatabaseUnavailableError as exc:
            attempts.unavailable += 1
            observer.database_unavailable(str(exc))
            observer.write_error("unavailable")
            await asyncio.sleep(backoff_seconds(attempts.unavailable, rng))
    observer.database_available(clock() - began)
    for _ in attempts.lost:
        observer.fenced()
    return Delivery(attempts.committed, attempts.lost, clock() - began)


async def _try(database: Database, attempts: _Attempts) -> None:
    """Write once; what turns out to be in the way is put right for the next try."""
    try:
        outcome = await write(
            database, attempts.pending, staged=attempts.staged, attempted=attempts.attempted
        )
    except RowKeyTakenError:
        attempts.staged = True
    except PartitionMissingError as exc:
        await _make_partitions(database, attempts.pending)
        attempts.missing += 1
        if attempts.missing > _MAKING_HELPS:
            raise DatabaseUnavailableError(f"{exc} and making it does not help") from exc
    except RowRefusedError:
        # The trial needs the partitions that the write did not get to.
        await _make_partitions(database, attempts.pending)
        if not await _isolate(database, attempts.pending):
            if attempts.staged:
                raise
            attempts.staged = True  # the way of the trial, which refused nothing
    else:
        attempts.committed += outcome.committed
        attempts.lost += outcome.moved
        attempts.pending = []


def _count_fence(attempts: _Attempts, observer: Observer) -> None:
    observer.write_error("fenced")
    attempts.fenced += 1
    if attempts.fenced > _NOBODY_MOVED:
        raise SetupError(MAY_NOT_APPEND)


async def _make_partitions(database: Database, segments: Sequence[Segment]) -> None:
    epoch = dt.date(1970, 1, 1)
    days = sorted({row.timestamp_us // _US_PER_DAY for segment in segments for row in segment.rows})
    _log.info("table partitions wanted", days=len(days))
    # Once at least: a batch of nothing but garbage needs the month of its originals.
    for n in range(0, max(len(days), 1), _MOST_DAYS):
        wanted = [epoch + dt.timedelta(days=day) for day in days[n : n + _MOST_DAYS]]
        await database.make_partitions(wanted)


async def _isolate(database: Database, segments: Sequence[Segment]) -> bool:
    """Quarantine what the database refuses. The decoder should have: this is a bug of ours."""
    found = False
    for segment in segments:
        refused = await _refused(database, segment.stream.id, segment.rows)
        if not refused:
            continue
        _log.error(
            "database refuses decoded rows: please report this as a bug",
            topic=segment.stream.topic,
            partition=segment.stream.partition,
            offsets=[row.kafka_offset for row in refused[:10]],
            count=len(refused),
        )
        finding = Finding(
            Reason.REFUSED_BY_DATABASE.value,
            "the database refuses this event: a bug of the service, not of the publisher",
        )
        segment.overrule({row.kafka_offset: finding for row in refused})
        found = True
    return found


async def _refused(database: Database, stream_id: int, rows: Sequence[Row]) -> list[Row]:
    if not rows or not await database.refuses(stream_id, rows):
        return []
    if len(rows) == 1:
        return list(rows)
    half = len(rows) // 2
    return await _refused(database, stream_id, rows[:half]) + await _refused(
        database, stream_id, rows[half:]
    )
