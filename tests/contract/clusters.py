"""A topic and its group as the contract suite needs them: members, records, what Kafka was told."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.structs import TopicPartition

from fakes.events import NOW_MS
from fakes.source import FakeBroker
from ingest_service.adapters.kafka_consumer import AuditConsumer
from ingest_service.events.record import StoredRecord
from ingest_service.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from ingest_service.persist.ports import Source


class Cluster(Protocol):
    topic: str

    async def create(self, partitions: int, *, log_append_time: bool = True) -> None:
        """Make the topic."""
        ...

    async def produce(self, partition: int, values: Sequence[bytes | None]) -> None:
        """Append records with these values."""
        ...

    async def delete_before(self, partition: int, offset: int) -> None:
        """Move the log's start."""
        ...

    async def committed(self, partition: int) -> int | None:
        """Return what Kafka was told."""
        ...

    def member(self) -> AbstractAsyncContextManager[Source]:
        """Join the group."""
        ...


class FakeCluster:
    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._broker = FakeBroker(topic, [])

    async def create(self, partitions: int, *, log_append_time: bool = True) -> None:
        self._broker.logs = [[] for _ in range(partitions)]
        self._broker.log_append_time = log_append_time

    async def produce(self, partition: int, values: Sequence[bytes | None]) -> None:
        end = self._broker.bounds(partition).end
        self._broker.logs[partition] += [
            StoredRecord(self.topic, partition, end + n, NOW_MS, b"key", value)
            for n, value in enumerate(values)
        ]

    async def delete_before(self, partition: int, offset: int) -> None:
        self._broker.starts[partition] = offset

    async def committed(self, partition: int) -> int | None:
        return self._broker.committed.get(partition)

    def member(self) -> AbstractAsyncContextManager[Source]:
        return self._broker.member()


class KafkaCluster:
    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic = topic
        self._bootstrap = bootstrap
        self._group = f"test-{uuid4().hex}"

    async def create(self, partitions: int, *, log_append_time: bool = True) -> None:
        timestamps = "LogAppendTime" if log_append_time else "CreateTime"
        async with self._admin() as admin:
            topic = NewTopic(
                self.topic, partitions, 1, topic_configs={"message.timestamp.type": timestamps}
            )
            await admin.create_topics([topic])

    async def produce(self, partition: int, values: Sequence[bytes | None]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self._bootstrap) as producer:
            for value in values:
                await producer.send_and_wait(self.topic, value, b"key", partition=partition)

    async def delete_before(self, partition: int, offset: int) -> None:
        async with self._admin() as admin:
            where = TopicPartition(self.topic, partition)
            await admin.delete_records({where: RecordsToDelete(before_offset=offset)})

    async def committed(self, partition: int) -> int | None:
        async with self._admin() as admin:
            offsets = await admin.list_consumer_group_offsets(self._group)
        found = offsets.get(TopicPartition(self.topic, partition))
        return None if found is None else found.offset

    def member(self) -> AbstractAsyncContextManager[Source]:
        kafka = KafkaSettings(bootstrap_servers=self._bootstrap, topic=self.topic)
        return AuditConsumer(kafka, self._group)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()
