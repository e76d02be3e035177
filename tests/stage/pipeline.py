"""All of it at once: a topic, a database, both SIEMs, with workers at addresses that stay."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from siem import SplunkSettings, stand_in
from stack.state import LOOPBACK, free_port
from stage.forwarding import PARTITIONS, ForwardStage
from stage.stage import on_stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from stage.stage import Stage
    from stage.worker import Worker

HURRIED = json.dumps(
    {
        "ingest_service.telemetry.watch._END_OFFSETS_EVERY_SECONDS": 0.5,
        "ingest_service.forward.pipeline._ACK_SECONDS": 5,
    }
)


@dataclass
class Pipeline:
    """Where a test of the whole plays; Prometheus finds a worker that was restarted."""

    stage: Stage
    sinks: ForwardStage
    persister_port: int
    forwarder_port: int

    @property
    def targets(self) -> dict[str, list[str]]:
        """What there is to scrape, by job."""
        return {
            "ingest-persister": [f"{LOOPBACK}:{self.persister_port}"],
            "ingest-forwarder": [f"{LOOPBACK}:{self.forwarder_port}"],
        }

    def persist(self, **settings: str) -> Worker:
        """Start the persister."""
        port = {"INGEST_HTTP__PORT": str(self.persister_port)}
        return self.stage.start_worker(**port, **settings)

    def forward(self, **settings: str) -> Worker:
        """Start the forwarder, for both sinks."""
        port = {"INGEST_HTTP__PORT": str(self.forwarder_port)}
        return self.sinks.start(**port, **settings)

    @asynccontextmanager
    async def traffic(
        self, make: Callable[[int], bytes], rate: int, partitions: Sequence[int] = range(PARTITIONS)
    ) -> AsyncIterator[None]:
        """Publish so many events a second, by their number, until the block ends."""
        async with AIOKafkaProducer(bootstrap_servers=self.stage.bootstrap) as producer:

            async def publish() -> None:
                began, published = time.monotonic(), 0
                while True:
                    while published < (time.monotonic() - began) * rate:
                        partition = partitions[published % len(partitions)]
                        await producer.send(self.stage.topic, make(published), partition=partition)
                        published += 1
                    await asyncio.sleep(0.05)

            publishing = asyncio.create_task(publish(), name="traffic")
            try:
                yield
            finally:
                publishing.cancel()
                with suppress(asyncio.CancelledError):
                    await publishing


@asynccontextmanager
async def pipeline(
    bootstrap: str, topic: str, dsn: str, folder: Path, **config: str
) -> AsyncIterator[Pipeline]:
    """Make topics, schema and SIEMs (Splunk acknowledges); end every worker afterwards."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        async with (
            on_stage(bootstrap, topic, dsn, folder, partitions=PARTITIONS, **config) as stage,
            stand_in(splunk=SplunkSettings(ack=True)) as siem,
        ):
            sinks = ForwardStage(bootstrap, topic, siem, folder)
            await admin.create_topics([NewTopic(sinks.dead_letter_topic, PARTITIONS, 1)])
            try:
                yield Pipeline(stage, sinks, free_port(), free_port())
            finally:
                for worker in sinks.workers:
                    worker.end()
                await admin.delete_topics([sinks.dead_letter_topic])
    finally:
        await admin.close()
