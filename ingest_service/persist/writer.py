"""The loop: pull, prepare, write. A record's offset passes only in the record's transaction."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import time

import structlog

from ingest_service.errors import BrokerUnavailableError, PartitionFault, PositionLostError
from ingest_service.events.record import Record
from ingest_service.persist import batching
from ingest_service.persist.assignment import Assignment, Duty
from ingest_service.persist.batching import Gathered
from ingest_service.persist.delivery import Delivery, deliver
from ingest_service.persist.failpoints import failpoint
from ingest_service.persist.ports import Database
from ingest_service.persist.retry import backoff_seconds
from ingest_service.persist.segment import Segment

_POLL_SECONDS = 0.2
_BUSY_SECONDS = 1.0
_PATIENCE = 5  # times that; a member may be silent for minutes

_log = structlog.get_logger(__name__)


class Writer:
    """One connection's loop: it pulls for its own partitions and writes them, nobody else does.

    There is no queue between reading and writing: while one batch is written the next one gathers,
    so nothing waits for another connection, and what is in memory is two batches.
    """

    def __init__(self, index: int, writers: int, database: Database, duty: Duty) -> None:
        self.name = f"writer-{index}"
        self._database = database
        self._duty = duty
        self._source = duty.source
        self._own = Assignment(index, writers, database, duty)
        self._writing: asyncio.Task[Delivery] | None = None
        self._handed_over: Sequence[Segment] = ()
        self._gathering_since = 0.0
        self._hurried = False

    async def run(self) -> None:
        """Deliver until told to stop; then write what has gathered, and end."""
        try:
            while not self._duty.stopping.is_set():
                await self._follow_assignment()
                await self._gather()
                await self._finish_write()
                self._begin_write()
            await self._finish_write()
            self._begin_write()
            await self._finish_write()
        finally:
            if self._writing is not None:
                self._writing.cancel()

    async def _follow_assignment(self) -> None:
        """Before a partition is opened, nothing of it may be on its way to the ledger."""
        if self._own.is_current and not self._own.has_due:
            return
        await self._finish_write()
        if not self._own.is_current:
            self._own.follow()
        await self._own.open_due(self._beat)

    # --- reading ---------------------------------------------------------------------------------

    async def _gather(self) -> None:
        """Pull and prepare until the batch is worth writing and the one before is written."""
        while self._own.is_current and not self._own.has_due and not self._duty.stopping.is_set():
            gathered = self._gathered()
            full = batching.is_full(gathered, self._duty.limits)
            if self._writing is not None and (full or self._writing.done()):
                # Told at once: on a quiet topic the next batch may be hours away.
                await self._finish_write()
                continue
            linger = batching.seconds_to_linger(gathered, self._duty.limits, _now())
            linger = 0.0 if self._hurried else linger
            if gathered.records and linger == 0 and self._writing is None:
                return
            await self._pull(gathered, min(linger or _POLL_SECONDS, _POLL_SECONDS))
            self._beat()

    def _gathered(self) -> Gathered:
        segments = [each.segment for each in self._own.partitions.values() if each.segment]
        return Gathered(
            sum(len(segment) for segment in segments),
            sum(segment.size_bytes for segment in segments),
            self._gathering_since,
        )

    async def _pull(self, gathered: Gathered, seconds: float) -> None:
        """Fetch for this writer's own partitions, and judge what came."""
        own = tuple(self._own.partitions)
        if not own:
            await self._source.stand_by(seconds)
            return
        wanted = batching.records_to_ask_for(gathered, self._duty.limits)
        try:
            fetched = await self._source.fetch(own, wanted, seconds)
            if not self._own.is_current:
                return
            if fetched and not gathered.records:
                self._gathering_since = _now()
            failpoint("after_fetch")
            for number, records in fetched.items():
                self._take(number, records)
            failpoint("after_prepare")
            # Let the other connection's COPY be fed: a fetch of what is there already does not
            # wait, and PostgreSQL starved while a whole batch was decoded (42 k rows/s, then 57 k).
            await asyncio.sleep(0)
        except PartitionFault as fault:
            self._react(fault)
            self._own.rewind()
        except BrokerUnavailableError as exc:
            _log.warning("fetching failed", why=str(exc))
            self._own.rewind()
            await asyncio.sleep(backoff_seconds(1, self._duty.rng))

    def _react(self, fault: PartitionFault) -> None:
        """Stop a partition behind the last good record: what has gathered of it goes first.

        Dropped, it would come again and be dropped again, and an operator who accepts the gap would
        give it up as well. The fault is met again when it is written.
        """
        partition = self._own.partitions[fault.partition]
        if partition.segment:
            self._hurried = True
        elif isinstance(fault, PositionLostError):
            self._own.reopen(fault.partition)  # which says why; this error does not know
        else:
            self._own.stop(partition, fault.stop)

    def _take(self, number: int, records: Sequence[Record]) -> None:
        partition = self._own.partitions[number]
        if not partition.is_open or not records:
            return
        if partition.is_in_doubt(_now()) or not partition.take(records, self._duty.decode):
            self._source.seek(number, partition.position)

    # --- writing ---------------------------------------------------------------------------------

    def _begin_write(self) -> None:
        """Hand over what has gathered, unless a rebalance made it void."""
        if not self._own.is_current:
            return
        self._hurried = False
        segments = [done for each in self._own.partitions.values() if (done := each.cut())]
        self._handed_over = segments
        if segments:
            self._writing = asyncio.create_task(
                deliver(self._database, segments, self._duty.observer, self._duty.rng),
                name=f"{self.name}-delivery",
            )

    async def _finish_write(self) -> None:
        """Wait for the batch before; count it, or go back to where the ledger says."""
        if self._writing is None:
            return
        await self._wait_for(self._writing)
        delivery = await self._writing
        self._writing, self._handed_over = None, ()
        self._tell([segment for segment, _ in delivery.committed], delivery.seconds)
        for segment, _ in delivery.committed:
            self._own.committed(segment)
        for segment in delivery.lost:
            _log.warning(
                "ledger moved by another worker",
                topic=segment.stream.topic,
                partition=segment.stream.partition,
            )
            self._own.reopen(segment.stream.partition)

    async def _wait_for(self, writing: asyncio.Task[Delivery]) -> None:
        """Wait until it is done; when that takes long, go on polling with nothing coming.

        Not at once: a pause drops what was fetched already, and all of it is fetched again.
        """
        for _ in range(_PATIENCE):
            await asyncio.wait({writing}, timeout=_BUSY_SECONDS)
            if writing.done():
                return
            self._beat()
        self._own.pause()
        while not writing.done():
            await self._poll()
            self._beat()
        self._own.resume()

    async def _poll(self) -> None:
        """Keep the membership. After a rebalance all is paused, and old partitions are taboo."""
        own = self._own.share
        if not own:
            await self._source.stand_by(_POLL_SECONDS)
            return
        try:
            await self._source.fetch(own, 1, _POLL_SECONDS)
        except (PartitionFault, BrokerUnavailableError):  # met again when there is work to do
            await asyncio.sleep(_POLL_SECONDS)

    def _beat(self) -> None:
        """Say that this loop is alive, and how old what it holds is."""
        gathered = [each.segment for each in self._own.partitions.values() if each.segment]
        held = [segment.kafka_times[0] for segment in (*self._handed_over, *gathered)]
        self._duty.observer.beat(self.name, min(held, default=None))

    def _tell(self, committed: Sequence[Segment], seconds: float) -> None:
        """Tell the metrics, only now that it is durable."""
        if not committed:
            return
        observer, now = self._duty.observer, time()
        others = [each for segment in committed for each in segment.verdicts if each is not None]
        observer.written([row for segment in committed for row in segment.rows], seconds)
        reasons = Counter(each for each in others if isinstance(each, str))
        observer.quarantined(reasons)
        observer.duplicates(sum(isinstance(each, tuple) for each in others))
        # The broker stamps a producer's whole batch with one time: few are different.
        stamps = Counter(stamp for segment in committed for stamp in segment.kafka_times)
        observer.delays({now - stamp / 1000: count for stamp, count in stamps.items()})
        _log.debug("batch written", records=sum(map(len, committed)), seconds=round(seconds, 4))
        for segment in committed if reasons else ():
            _log_quarantined(segment)


def _log_quarantined(segment: Segment) -> None:
    """Say which records are kept aside and why, by the decoder's own words for it."""
    found = {
        segment.first_offset + place: verdict
        for place, verdict in enumerate(segment.verdicts)
        if isinstance(verdict, str)
    }
    if found:
        _log.warning(
            "records quarantined",
            topic=segment.stream.topic,
            partition=segment.stream.partition,
            first_offset=min(found),
            last_offset=max(found),
            reasons=Counter(found.values()),
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
