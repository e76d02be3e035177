"""A topic, a dead-letter topic, both SIEMs and forwarder processes of one test."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ingest_service.forward.dead_letter import DeadLetter, read
from siem import stand_in
from stage.journal import Journal
from stage.waiting import until
from stage.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from siem import Intake, Siem, SplunkSettings

PARTITIONS = 3
SETTINGS = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1114112"}


class ForwardStage:
    """Where one test of the forwarder plays; the SIEMs run in the test's own process."""

    def __init__(self, bootstrap: str, topic: str, siem: Siem, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.topic = topic
        self.dead_letter_topic = f"{topic}.dead"
        self.siem = siem
        self.folder = folder
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self.journal = Journal()
        self.workers: list[Worker] = []
        self.set_secret("INGEST_SPLUNK__TOKEN", "local-splunk-token")
        self.set_secret("INGEST_DATADOG__API_KEY", "local-datadog-key")

    def set_secret(self, name: str, text: str) -> None:
        """Put a secret's file in place, as a rotation does."""
        new = self.secrets / f"new-{name}"
        new.write_text(text)
        new.replace(self.secrets / name)

    def environment(self, **settings: str) -> dict[str, str]:
        """Return what a forwarder needs to find the servers, with these settings over it."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("INGEST_")},
            "INGEST_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap,
            "INGEST_KAFKA__TOPIC": self.topic,
            "INGEST_KAFKA__DEAD_LETTER_TOPIC": self.dead_letter_topic,
            "INGEST_KAFKA__GROUP_PREFIX": self.topic,
            "INGEST_SPLUNK__URL": self.siem.splunk.url,
            "INGEST_SPLUNK__ACK": str(self.siem.splunk_settings.ack),
            "INGEST_DATADOG__URL": self.siem.datadog.url,
            "INGEST_SECRETS_DIR": str(self.secrets),
            "INGEST_HTTP__HOST": "127.0.0.1",
            "INGEST_HTTP__PORT": "0",
            "INGEST_LOG__FORMAT": "json",
            **settings,
        }

    def start(self, *arguments: str, **settings: str) -> Worker:
        """Start a forwarder."""
        name = f"forwarder-{len(self.workers)}"
        environment = self.environment(**settings)
        command = ["forward", *arguments]
        worker = Worker(name, self.folder / f"{name}.log", environment, command)
        self.workers.append(worker)
        return worker

    def intake(self, sink: str) -> Intake:
        """Return one of the SIEMs."""
        return self.siem.splunk if sink == "splunk" else self.siem.datadog

    async def produce(self, values: Iterable[bytes | None], **how: object) -> None:
        """Produce and note in the journal."""
        await self.journal.produce(self.bootstrap, self.topic, values, **how)

    def arrived(self, sink: str) -> set[tuple[int, int]]:
        """Return partition and offset of every record that the sink has."""
        return {
            (number, offset)
            for number in range(PARTITIONS)
            for first, last in self.intake(sink).arrived.offsets(self.topic, number)
            for offset in range(first, last + 1)
        }

    async def committed(self, sink: str) -> dict[int, int]:
        """Return how far a sink's group is."""
        async with AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=f"{self.topic}-forwarder.{sink}",
            enable_auto_commit=False,
        ) as consumer:
            return {
                number: await consumer.committed(TopicPartition(self.topic, number)) or 0
                for number in range(PARTITIONS)
            }

    async def drained(self, sink: str, seconds: float = 60) -> None:
        """Return once everything produced is committed for a sink."""

        async def is_drained() -> bool:
            committed = await self.committed(sink)
            return all(committed[n] >= end for n, end in self.journal.ends().items())

        tail = "\n".join(worker.tail() for worker in self.workers[-2:])
        await until(is_drained, seconds=seconds, what=f"{sink} is drained; {tail}")

    async def dead_letters(self) -> list[DeadLetter]:
        """Return every dead letter."""
        found: list[DeadLetter] = []
        places = [TopicPartition(self.dead_letter_topic, number) for number in range(PARTITIONS)]
        async with AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, max_partition_fetch_bytes=4 << 20
        ) as consumer:
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(each) < ends[each] for each in places]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    letters = [read(record) for record in records]
                    found += [letter for letter in letters if letter is not None]
        return found

    async def assert_nothing_lost(self, sink: str) -> None:
        """Delivered, dead-lettered and not yet committed together are all that was produced."""
        committed = await self.committed(sink)
        dead = {
            (each.record.partition, each.record.offset)
            for each in await self.dead_letters()
            if each.refusal.sink == sink
        }
        settled = self.arrived(sink) | dead
        passed = {
            (number, offset)
            for number, offset in self.journal.records
            if offset < committed[number]
        }
        assert passed <= settled


@asynccontextmanager
async def forward_stage(
    bootstrap: str, topic: str, folder: Path, splunk: SplunkSettings | None = None
) -> AsyncIterator[ForwardStage]:
    """Make the topics and the SIEMs; end every worker and delete the topics afterwards."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        async with stand_in(splunk=splunk) as siem:
            stage = ForwardStage(bootstrap, topic, siem, folder)
            large = {"max.message.bytes": "2097152"}
            await admin.create_topics(
                [
                    NewTopic(topic, PARTITIONS, 1, topic_configs=SETTINGS),
                    NewTopic(stage.dead_letter_topic, PARTITIONS, 1, topic_configs=large),
                ]
            )
            try:
                yield stage
            finally:
                for worker in stage.workers:
                    worker.end()
                await admin.delete_topics([topic, stage.dead_letter_topic])
    finally:
        await admin.close()
