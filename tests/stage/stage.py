"""Topic, migrated database and workers of one test, gone afterwards."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ingest_service.adapters import migrations
from stage.databases import session
from stage.journal import Journal, events
from stage.waiting import until
from stage.worker import Worker

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    import asyncpg

HEADS = """
select distinct on (s.partition) s.partition, coalesce(l.next_offset, 0) as next_offset
from gateway_audit_streams s left join gateway_audit_ledger l on l.stream_id = s.id
where s.topic = $1 order by s.partition, s.epoch desc, l.sequence desc
"""


class Stage:
    """Where one test plays."""

    def __init__(self, bootstrap: str, topic: str, dsn: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.topic = topic
        self.dsn = dsn
        self.folder = folder
        self.journal = Journal()
        self.workers: list[Worker] = []

    def environment(self, **settings: str) -> dict[str, str]:
        """Return what a command needs to find the servers, with these settings over it."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("INGEST_")},
            "INGEST_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap,
            "INGEST_KAFKA__TOPIC": self.topic,
            "INGEST_KAFKA__GROUP_PREFIX": self.topic,
            "INGEST_DATABASE__DSN": self.dsn,
            "INGEST_DATABASE__LINGER_MS": "50",
            "INGEST_HTTP__HOST": "127.0.0.1",
            "INGEST_HTTP__PORT": "0",
            "INGEST_LOG__FORMAT": "json",
            **settings,
        }

    def start_worker(self, **settings: str) -> Worker:
        """Start a persister."""
        name = f"worker-{len(self.workers)}"
        worker = Worker(name, self.folder / f"{name}.log", self.environment(**settings))
        self.workers.append(worker)
        return worker

    def start_heir(self, **settings: str) -> Worker:
        """Start a persister in a group of its own: it need not wait until the dead one is missed.

        What it may write is the ledger's to say, not the group's.
        """
        group = f"{self.topic}.{len(self.workers)}"
        return self.start_worker(INGEST_KAFKA__GROUP_PREFIX=group, **settings)

    async def produce(self, values: Iterable[bytes | None], **how: object) -> None:
        """Produce and note in the journal."""
        await self.journal.produce(self.bootstrap, self.topic, values, **how)

    async def heads(self) -> dict[int, int]:
        """Return the durable offset of each partition that has one."""
        async with session(self.dsn) as watcher:
            return await self._heads(watcher)

    async def _heads(self, watcher: asyncpg.Connection) -> dict[int, int]:
        found = await watcher.fetch(HEADS, self.topic)
        return {row["partition"]: row["next_offset"] for row in found}

    async def drained(self, seconds: float = 60) -> None:
        """Return once everything produced is durable (I6)."""
        async with session(self.dsn) as watcher:

            async def is_drained() -> bool:
                done = self._is_all_in(await self._heads(watcher))
                running = any(each.returncode is None for each in self.workers)
                assert done or running, "no worker runs"
                return done

            try:
                await until(is_drained, seconds=seconds, what="lag is 0")
            except AssertionError as failure:
                logs = "\n".join(worker.tail() for worker in self.workers[-2:])
                raise AssertionError(f"{failure}; {await self.heads()}; {logs}") from None

    async def some_durable(self, at_least: int = 1) -> None:
        """Return once this many records are durable."""
        async with session(self.dsn) as watcher:

            async def has_some() -> bool:
                return sum((await self._heads(watcher)).values()) >= at_least

            await until(has_some, what=f"{at_least} records are durable")

    async def committed(self) -> dict[int, int]:
        """Return what Kafka was told of each partition, 0 where nothing."""
        async with AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=f"{self.topic}-persister",
            enable_auto_commit=False,
        ) as consumer:
            return {
                partition: await consumer.committed(TopicPartition(self.topic, partition)) or 0
                for partition in await self.heads()
            }

    async def told(self) -> None:
        """Return once Kafka was told all that is durable."""

        async def is_told() -> bool:
            return await self.committed() == await self.heads()

        await until(is_told, what="Kafka is told what is durable")

    async def fed_to_death(self, victim: Worker, rng: random.Random, count: int) -> None:
        """Produce batch after batch, each once the one before is durable, until the worker ends.

        It may pass its failpoint but once a batch.
        """
        async with session(self.dsn) as watcher:

            async def wants_more() -> bool:
                return victim.returncode is not None or self._is_all_in(await self._heads(watcher))

            while victim.returncode is None:
                await self.produce(events(rng, count))
                await until(wants_more, what=f"{victim.name} writes or ends; {victim.tail()}")

    def _is_all_in(self, heads: dict[int, int]) -> bool:
        return all(heads.get(n, 0) >= end for n, end in self.journal.ends().items())


@asynccontextmanager
async def on_stage(
    bootstrap: str, topic: str, dsn: str, folder: Path, *, partitions: int = 3, **config: str
) -> AsyncIterator[Stage]:
    """Make the topic and the schema; end every worker and delete the topic afterwards."""
    await migrations.migrate(dsn, migrations.Step("head"), lambda _: None)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    settings = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1114112"} | config
    stage = Stage(bootstrap, topic, dsn, folder)
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=settings)])
        yield stage
    finally:
        for worker in stage.workers:
            worker.end()
        await admin.delete_topics([topic])
        await admin.close()
