"""One producer's life: its partitions sent side by side, and what it leaves behind."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from ingest_service.errors import IngestError
from ingest_service.publisher.outcome import NotRecorded


class Producer(Protocol):
    """What is needed of a Kafka producer; after one failure it is spent."""

    @property
    def partitions(self) -> Sequence[int]:
        """The topic's partitions."""

    def partition_of(self, key: bytes) -> int:
        """Return the partition that this key belongs to."""

    async def send(
        self, partition: int, key: bytes, value: bytes, settled: Callable[[Exception | None], None]
    ) -> None:
        """Hand a record over; raise, or be cancelled, without having done so.

        `settled` is called once: with None when all replicas have it, else with what happened.
        """

    async def close(self, seconds: float) -> None:
        """Let what was handed over arrive, for so long at most; then disconnect."""


class Entry:
    """One record on its way; `on_settled` is called once, with None when it is recorded."""

    __slots__ = ("audit_id", "given_up", "key", "on_settled", "settled", "started", "value")

    def __init__(
        self,
        audit_id: str,
        key: bytes,
        value: bytes,
        on_settled: Callable[[NotRecorded | None], None],
    ) -> None:
        self.audit_id = audit_id
        self.key = key
        self.value = value
        self.on_settled = on_settled
        self.settled = False
        self.started = False  # once handed to a producer, it may arrive
        self.given_up = False  # its caller was told: not to be tried again

    @property
    def size(self) -> int:
        """Bytes that it takes of the buffer's bound."""
        return len(self.key) + len(self.value)


class Lane:
    """What waits for one partition, oldest first; any entry can leave at once."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Entry, None] = OrderedDict()
        self._filled = asyncio.Event()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def add(self, entry: Entry, *, first: bool = False) -> None:
        """Line up at the end, or in front when it has waited before."""
        self._entries[entry] = None
        if first:
            self._entries.move_to_end(entry, last=False)
        self._filled.set()

    def remove(self, entry: Entry) -> None:
        """Leave the line, if in it."""
        self._entries.pop(entry, None)

    async def take(self) -> Entry:
        """Return the next entry, as soon as there is one."""
        while not self._entries:
            self._filled.clear()
            await self._filled.wait()
        return self._entries.popitem(last=False)[0]


class Session:
    """Sends what is added, each partition in its own task, until the producer is spent."""

    def __init__(
        self, producer: Producer, on_settled: Callable[[Entry, Exception | None], None]
    ) -> None:
        self.producer = producer
        self.unsettled: set[Entry] = set()
        self._lanes = {partition: Lane() for partition in producer.partitions}
        self._on_settled = on_settled
        self._spent = asyncio.Event()

    def add(self, entry: Entry, *, first: bool = False) -> None:
        """Line up for the partition of the entry's key."""
        self._lanes[self.producer.partition_of(entry.key)].add(entry, first=first)

    def remove(self, entry: Entry) -> None:
        """Take an entry out that was not handed over yet."""
        for lane in self._lanes.values():
            lane.remove(entry)

    def waiting(self) -> Iterator[Entry]:
        """Iterate over what was not handed over."""
        for lane in self._lanes.values():
            yield from lane

    async def run(self) -> None:
        """Send until the producer fails for the first time."""
        async with asyncio.TaskGroup() as tasks:
            sending = [
                tasks.create_task(self._send(partition, lane), name=f"audit-send-{partition}")
                for partition, lane in self._lanes.items()
            ]
            await self._spent.wait()
            for task in sending:
                task.cancel()

    async def _send(self, partition: int, lane: Lane) -> None:
        while True:
            entry = await lane.take()
            started_before, entry.started = entry.started, True
            self.unsettled.add(entry)
            settled = partial(self._settle, entry)
            try:
                await self.producer.send(partition, entry.key, entry.value, settled)
            except asyncio.CancelledError:  # it was not handed over
                self.unsettled.discard(entry)
                entry.started = started_before
                lane.add(entry, first=True)
                raise
            except IngestError as exc:
                settled(exc)

    def _settle(self, entry: Entry, failure: Exception | None) -> None:
        self.unsettled.discard(entry)
        if failure is not None:
            self._spent.set()
        self._on_settled(entry, failure)
