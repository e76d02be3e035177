"""The partitions of one sink: read in order, gathered into batches, stopped one by one."""

import asyncio
from collections import deque
from collections.abc import Sequence
from random import Random

import structlog

from ingest_service.errors import (
    BrokerUnavailableError,
    PartitionFault,
    PositionLostError,
    Stop,
)
from ingest_service.events.record import Record
from ingest_service.forward.batch import Batch
from ingest_service.forward.beginning import Beginning, where_to_begin
from ingest_service.forward.environment import Observer, Source
from ingest_service.forward.ports import Sink
from ingest_service.forward.retry import backoff_seconds
from ingest_service.forward.window import Window

_CHUNK_RECORDS = 500  # encoded at once, before requests get their turn
_CHUNK_BYTES = 2 * 1024 * 1024
_POLL_SECONDS = 0.2
_FAULT_RETRY_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class Reader:
    """What of the topic is this worker's, as of one epoch of the sink's consumer group.

    `windows` holds each open partition: what is in one is read once, and committed up to the
    first record that is not settled.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        observer: Observer,
        beginning: Beginning,
        rng: Random,
    ) -> None:
        self.windows: dict[int, Window] = {}
        self.told: dict[int, int | None] = {}
        self.ready: deque[Batch] = deque()
        self.gathering = Batch(0.0)
        self.behind = False
        self._source = source
        self._encode = sink.encode
        self._limits = sink.limits
        self._observer = observer
        self._beginning = beginning
        self._rng = rng
        self._epoch = -1
        self._reading: dict[int, int] = {}
        self._holes: dict[int, int] = {}
        self._faults: dict[int, Stop] = {}
        self._retry_at: dict[int, float] = {}
        self._failures = 0
        self._average_bytes = 512.0

    @property
    def is_current(self) -> bool:
        """Whether no rebalance has happened since `follow`: else all that is under way is void."""
        return self._epoch == self._source.epoch

    @property
    def oldest_ms(self) -> int | None:
        """The Kafka time of the oldest record that was read and is not settled."""
        oldest = (window.oldest_ms for window in self.windows.values())
        return min((each for each in oldest if each is not None), default=None)

    # --- which partitions ------------------------------------------------------------------------

    def follow(self) -> None:
        """Take over what is assigned now; nothing of it is open yet."""
        self._epoch = self._source.epoch
        mine = self._source.assigned
        for number in self._retry_at.keys() - set(mine):
            self._observer.forget_partition(number)
        self.windows, self.told, self._reading, self._faults = {}, {}, {}, {}
        self._retry_at = dict.fromkeys(mine, 0.0)
        self.ready.clear()
        self.gathering = Batch(0.0)

    async def open_due(self) -> bool:
        """Open what waits for it at the committed offset; stop what has lost its place.

        Returns whether anything was due.
        """
        due = [number for number, at in self._retry_at.items() if at <= _now()]
        if not due:
            return False
        try:
            committed = await self._source.committed(due)
            bounds = await self._source.bounds(due)
            times: dict[int, int | None] = {}
            if isinstance(self._beginning.at, int):
                times = await self._source.offsets_at(due, self._beginning.at)
        except BrokerUnavailableError as exc:
            _log.warning("partitions cannot be opened yet", why=str(exc))
            self._failures += 1
            wait = backoff_seconds(self._failures, self._rng)
            self._retry_at |= dict.fromkeys(due, _now() + wait)
            return False
        self._failures = 0
        for number in due if self.is_current else ():
            window = self.windows.get(number)
            # One that stopped and is still under way goes on where it stands.
            stood = committed[number] if window is None else window.position
            self._open(
                number,
                stood,
                where_to_begin(stood, bounds[number], times.get(number), self._beginning),
            )
        return True

    def _open(self, number: int, stood: int | None, beginning: int | Stop) -> None:
        if isinstance(beginning, Stop):
            self.stop(number, beginning)
            return
        if self._faults.pop(number, None) is not None:
            self._observer.partition_goes_on(number)
        self._retry_at[number] = float("inf")
        if stood != beginning or number not in self.windows:
            self.windows[number] = Window(beginning)
            self.told[number] = stood
            self._observer.committed(number, beginning)
            if stood != beginning:
                _log.info(
                    "partition begins",
                    topic=self._source.topic,
                    partition=number,
                    offset=beginning,
                )
        self._reading.pop(number, None)
        self._source.resume([number])

    def stop(self, number: int, stop: Stop) -> None:
        """Stop one partition, say why once, look again later; its neighbours go on."""
        if self._faults.get(number) != stop:
            _log.error(
                "partition stopped",
                topic=self._source.topic,
                partition=number,
                reason=stop.reason,
                why=stop.message,
            )
        self._faults[number] = stop
        self._observer.partition_stopped(number, stop)
        self._retry_at[number] = _now() + _FAULT_RETRY_SECONDS
        self._source.pause([number])

    def pause(self) -> None:
        """Let nothing come, as long as no rebalance made these partitions somebody else's."""
        if self.is_current:
            self._source.pause(self.windows)

    def resume(self) -> None:
        """Go on where each partition stands; what came meanwhile was dropped."""
        if self.is_current:
            self._reading.clear()
            self._source.resume([n for n in self.windows if n not in self._faults])

    # --- records ---------------------------------------------------------------------------------

    async def poll(self) -> None:
        """Keep the membership while everything is paused."""
        own = tuple(self._source.assigned)
        if not own:
            await self._source.stand_by(_POLL_SECONDS)
            return
        try:
            await self._source.fetch(own, 1, _POLL_SECONDS)
        except (PartitionFault, BrokerUnavailableError):  # met again when there is room
            await asyncio.sleep(_POLL_SECONDS)

    async def pull(self, seconds: float) -> None:
        """Read what comes within this time, and gather it."""
        own = tuple(self._retry_at)
        if not own:
            await self._source.stand_by(min(seconds, _POLL_SECONDS))
            return
        self._align()
        wanted = max(1, min(_CHUNK_RECORDS, int(_CHUNK_BYTES / self._average_bytes)))
        try:
            fetched = await self._source.fetch(own, wanted, seconds)
        except PartitionFault as fault:
            self._reading.clear()
            self._react(fault)
            return
        except BrokerUnavailableError as exc:
            _log.warning("fetching failed", why=str(exc))
            self._reading.clear()
            await asyncio.sleep(backoff_seconds(1, self._rng))
            return
        if not self.is_current:
            return
        count = 0
        for number, records in fetched.items():
            count += len(records)
            self._take(number, records)
        self.behind = count >= wanted
        await asyncio.sleep(0)  # requests get their turn: a fetch of what is there does not wait

    def _align(self) -> None:
        """Have the consumer read on where each window says."""
        for number, window in self.windows.items():
            position = window.position
            if self._reading.get(number) != position and number not in self._faults:
                self._source.seek(number, position)
                self._reading[number] = position

    def _react(self, fault: PartitionFault) -> None:
        if isinstance(fault, PositionLostError):
            # Which bounds say why; this error does not know.
            self._source.pause([fault.partition])
            self._retry_at[fault.partition] = 0.0
        else:
            self.stop(fault.partition, fault.stop)

    def _take(self, number: int, records: Sequence[Record]) -> None:
        window = self.windows.get(number)
        if window is None or number in self._faults or not records:
            return
        self._reading[number] = records[-1].offset + 1
        taken = self._in_order(number, window, records)
        if taken:
            self._average_bytes += 0.1 * (len(taken[0].value or b"") - self._average_bytes)
            self._gather(window, taken)

    def _in_order(self, number: int, window: Window, records: Sequence[Record]) -> Sequence[Record]:
        """Return the records that follow what was read, without a hole and not under way already.

        The first time a record is missing it is asked for once more: after an error aiokafka
        forgets what it had fetched. The second time there is none: a transaction's marker.
        """
        position, limit = window.position, window.limit
        first, last = records[0].offset, records[-1].offset
        if first != position:
            if first < position or self._holes.get(number) != position:
                self._holes[number] = position
                return []
            _log.info(
                "offsets without a record",
                topic=self._source.topic,
                partition=number,
                first_offset=position,
                next_offset=first,
            )
        self._holes.pop(number, None)
        if last - first + 1 != len(records):
            records = [r for place, r in enumerate(records) if r.offset == first + place]
        if limit is not None:
            records = [record for record in records if record.offset < limit]
        return records

    def _gather(self, window: Window, records: Sequence[Record]) -> None:
        encoded = self._encode(records)
        while records:
            batch = self.gathering
            if not batch.spans:
                batch.since = _now()
            taken = batch.take(records, encoded, self._limits)
            if taken:
                batch.cover(window, records[taken - 1].offset + 1, records[0].timestamp)
                records, encoded = records[taken:], encoded[taken:]
            if records or batch.is_full(self._limits):
                self.cut()

    def cut(self) -> None:
        """Close the batch that gathers; it is ready to go."""
        if self.gathering.spans:
            self.ready.append(self.gathering)
            self.gathering = Batch(0.0)


def _now() -> float:
    return asyncio.get_running_loop().time()
