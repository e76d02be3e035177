"""A forwarder in this process: real sinks and HTTP, a stand-in for the SIEM, a broker in memory."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from fakes.source import FakeBroker, FakeSource
from ingest_service.adapters.http import HttpSender
from ingest_service.errors import BrokerUnavailableError, PositionLostError
from ingest_service.events.record import StoredRecord
from ingest_service.forward.beginning import EARLIEST, Beginning
from ingest_service.forward.dead_letter import DeadLetter, read
from ingest_service.forward.observer import SinkObserver
from ingest_service.forward.pipeline import Outside, Pipeline
from ingest_service.forward.sinks.enabled import enabled
from ingest_service.settings import Settings
from ingest_service.telemetry.health import Health
from ingest_service.telemetry.sink_metrics import SinkMetrics
from waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ingest_service.events.record import Record
    from siem import Siem

TOPIC = "gateway.audit.events"


class ForwardSource(FakeSource):
    """Implements `forward.environment.Source`."""

    async def committed(self, partitions: Sequence[int]) -> dict[int, int | None]:
        if not self._broker.available:
            raise BrokerUnavailableError("away")
        return {each: self._broker.committed.get(each) for each in partitions}

    def _read(self, partition: int, room: int) -> list[Record]:
        start, end = self._broker.bounds(partition)
        if not start <= self._positions[partition] <= end:
            raise PositionLostError(self.topic, partition, "outside of what the log holds")
        return super()._read(partition, room)

    async def offsets_at(self, partitions: Sequence[int], kafka_ms: int) -> dict[int, int | None]:
        return {
            each: next((r.offset for r in self._broker.logs[each] if r.timestamp >= kafka_ms), None)
            for each in partitions
        }


@dataclass
class Letters:
    """The dead-letter topic, which may be away."""

    away: bool = False
    letters: list[DeadLetter] = field(default_factory=list)

    async def send(self, source_partition, key, value, headers) -> None:
        if self.away:
            raise BrokerUnavailableError("away")
        letter = read(StoredRecord("dead", source_partition, 0, 0, key, value, headers))
        assert letter is not None
        self.letters.append(letter)

    @property
    def values(self) -> list[bytes | None]:
        return [letter.record.value for letter in self.letters]


@dataclass
class Forwarder:
    """One sink's pipeline as it runs."""

    pipeline: Pipeline
    source: ForwardSource
    observer: SinkObserver
    registry: CollectorRegistry
    stopping: asyncio.Event
    task: asyncio.Task[None]
    sink: str

    def counted(self, metric: str, **labels: str) -> float:
        return self.registry.get_sample_value(metric, {"siem_platform": self.sink, **labels}) or 0.0


@dataclass
class Bench:
    """A topic of two partitions, a SIEM, dead letters, and forwarders in between."""

    siem: Siem
    broker: FakeBroker = field(default_factory=lambda: FakeBroker(TOPIC, [[], []]))
    letters: Letters = field(default_factory=Letters)

    def put(self, *values: bytes | None, partition: int = 0) -> None:
        """Append records."""
        log = self.broker.logs[partition]
        for value in values:
            offset = log[-1].offset + 1 if log else 0
            log.append(StoredRecord(TOPIC, partition, offset, 1_700_000_000_500, b"k", value))

    @asynccontextmanager
    async def forwarder(
        self, sink: str = "splunk", beginning: Beginning = EARLIEST
    ) -> AsyncIterator[Forwarder]:
        """Run a pipeline until the block ends; then stop it as SIGTERM does."""
        registry, stopping = CollectorRegistry(), asyncio.Event()
        observer = SinkObserver(sink, TOPIC, SinkMetrics(registry), Health())
        async with AsyncExitStack() as stack:
            sender = await stack.enter_async_context(HttpSender())
            source = ForwardSource(self.broker)
            self.broker.members.append(source)
            self.broker.rebalance()
            stack.callback(self.leave, source)
            outside = Outside(
                sink=enabled(self.settings(), "host")[sink],
                source=source,
                sender=sender,
                dead_letters=self.letters,
                observer=observer,
                beginning=beginning,
                rng=Random(1),
            )
            pipeline = Pipeline(outside, stopping)
            task = asyncio.create_task(pipeline.run())
            try:
                yield Forwarder(pipeline, source, observer, registry, stopping, task, sink)
                stopping.set()
                await task
            finally:
                task.cancel()
                await asyncio.wait({task})

    def leave(self, source: ForwardSource) -> None:
        if source in self.broker.members:
            self.broker.members.remove(source)
            self.broker.rebalance()

    def settings(self) -> Settings:
        return Settings(
            splunk={
                "url": self.siem.splunk.url,
                "token": "local-splunk-token",
                "ack": self.siem.splunk_settings.ack,
            },
            datadog={"url": self.siem.datadog.url, "api_key": "local-datadog-key"},
        )

    async def drained(self, seconds: float = 30) -> None:
        """Return once everything is committed."""
        await until(lambda: self.behind == 0, seconds)

    @property
    def behind(self) -> int:
        return sum(
            self.broker.bounds(n).end - self.broker.committed.get(n, 0)
            for n in range(len(self.broker.logs))
        )
