"""A hand-written producer; it passes the contract suite that aiokafka's owner passes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ingest_service.errors import BrokerUnavailableError, RecordRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    Settled = Callable[[Exception | None], None]


class FakeProducer:
    """Acknowledges on the next turn of the loop, unless it is told to hold, block or refuse."""

    def __init__(self, broker: FakeBroker) -> None:
        self.partitions = [0, 1, 2]
        self._broker = broker
        self._spent = False
        self._held: list[tuple[tuple[bytes, bytes], Settled]] = []
        broker.producers.append(self)

    def partition_of(self, key: bytes) -> int:
        return sum(key) % len(self.partitions)

    async def send(self, partition: int, key: bytes, value: bytes, settled: Settled) -> None:
        while partition in self._broker.blocked and not self._spent:
            await self._broker.unblocked.wait()
        if self._spent:
            raise BrokerUnavailableError("spent")
        self._held.append(((key, value), settled))
        if not self._broker.holds:
            asyncio.get_running_loop().call_soon(self.acknowledge)

    def acknowledge(self) -> None:
        """Take what was sent, or refuse it."""
        held, self._held = self._held, []
        for (key, value), settled in held:
            if self._spent:
                settled(BrokerUnavailableError("spent"))
            elif len(value) > self._broker.max_record_bytes:
                self._spent = True
                settled(RecordRefusedError("too large for the topic"))
            else:
                self._broker.records.append((key, value))
                settled(None)

    def break_down(self, silent: Collection[bytes] = ()) -> None:
        """Fail what is on its way, and whatever comes; of `silent` values nothing is ever heard."""
        self._spent = True
        self._held = [held for held in self._held if held[0][1] not in silent]
        self.acknowledge()

    async def close(self, seconds: float) -> None:
        if not self._broker.holds:
            self.acknowledge()
        self._spent = True


class FakeBroker:
    """One topic; `away` refuses connections, `holds` acknowledges only when asked to."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes]] = []
        self.producers: list[FakeProducer] = []
        self.max_record_bytes = 1 << 21
        self.away = False
        self.holds = False
        self.blocked: set[int] = set()
        self.unblocked = asyncio.Event()

    async def open(self) -> FakeProducer:
        if self.away:
            raise BrokerUnavailableError("the broker is away")
        return FakeProducer(self)

    @property
    def values(self) -> list[bytes]:
        return [value for _, value in self.records]

    def unblock(self) -> None:
        self.blocked.clear()
        self.unblocked.set()

    def acknowledge(self) -> None:
        """Answer everything that was held, and hold no more."""
        self.holds = False
        for producer in self.producers:
            producer.acknowledge()
