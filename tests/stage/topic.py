"""What an administrator may do to a topic while workers read it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from stage.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stage.stage import Stage

SETTINGS = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1114112"}


@asynccontextmanager
async def administered(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Yield an admin client."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def delete_before(stage: Stage, partition: int, offset: int) -> None:
    """Move a log's start, as retention would."""
    async with administered(stage.bootstrap) as admin:
        await admin.delete_records(
            {TopicPartition(stage.topic, partition): RecordsToDelete(before_offset=offset)}
        )


async def add_partitions(stage: Stage, total: int) -> None:
    """Let the topic have this many partitions."""
    async with administered(stage.bootstrap) as admin:
        await admin.create_partitions({stage.topic: NewPartitions(total_count=total)})


async def set_topic(stage: Stage, **settings: str) -> None:
    """Change settings of the topic, named with underscores; the others fall back."""
    named = {name.replace("_", "."): value for name, value in settings.items()}
    async with administered(stage.bootstrap) as admin:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, stage.topic, configs=SETTINGS | named)]
        )


async def make_again(stage: Stage, partitions: int = 3) -> None:
    """Delete the topic and make it again, empty; a new journal begins."""
    async with administered(stage.bootstrap) as admin:
        await admin.delete_topics([stage.topic])

        async def is_gone() -> bool:
            return stage.topic not in await admin.list_topics()

        async def is_made() -> bool:
            made = await admin.create_topics(
                [NewTopic(stage.topic, partitions, 1, topic_configs=SETTINGS)]
            )
            return not any(code for _, code, *_ in made.topic_errors)

        await until(is_gone, what="the topic is deleted")
        await until(is_made, what="the topic is made again")
    stage.journal.records.clear()
