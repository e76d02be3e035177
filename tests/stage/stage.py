"""Topic, migrated database and workers of one test, gone afterwards."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ingest_service.adapters import migrations
from stage.journal import Journal
from stage.waiting import until
from stage.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

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
        connection = await asyncpg.connect(self.dsn)
        try:
            return {
                row["partition"]: row["next_offset"]
                for row in await connection.fetch(HEADS, self.topic)
            }
        finally:
            await connection.close()

    async def drained(self, seconds: float = 60) -> None:
        """Return once everything produced is durable (I6)."""

        async def is_drained() -> bool:
            heads = await self.heads()
            done = all(heads.get(n, 0) >= end for n, end in self.journal.ends().items())
            assert done or any(each.returncode is None for each in self.workers), "no worker runs"
            return done

        try:
            await until(is_drained, seconds=seconds, what="lag is 0")
        except AssertionError as failure:
            logs = "\n".join(worker.tail() for worker in self.workers[-2:])
            raise AssertionError(f"{failure}; {await self.heads()}; {logs}") from None

    async def some_durable(self, at_least: int = 1) -> None:
        """Return once this many records are durable."""

        async def has_some() -> bool:
            return sum((await self.heads()).values()) >= at_least

        await until(has_some, what=f"{at_least} records are durable")


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
