"""Asking the broker what a partition's log holds, for one command of a person: no group joined."""

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.adapters.kafka_options import client_options
from ingest_service.errors import BrokerUnavailableError, SetupError
from ingest_service.settings import KafkaSettings
from ingest_service.shapes import Bounds

_ASK_SECONDS = 15


async def log_bounds(kafka: KafkaSettings, topic: str, partition: int) -> Bounds:
    """Return where a partition's log starts and ends.

    Raises `BrokerUnavailableError`, or `SetupError` when there is no such partition.
    """
    # Asked first: the offsets of what does not exist are waited for in vain.
    async with KafkaAdmin(kafka) as admin:
        state = (await admin.describe([topic])).get(topic)
    if state is None or partition >= state.partitions:
        raise SetupError(f"the broker has no {topic}/{partition}")
    place = TopicPartition(topic, partition)
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            async with AIOKafkaConsumer(**client_options(kafka)) as consumer:
                starts = await consumer.beginning_offsets([place])
                ends = await consumer.end_offsets([place])
    except (KafkaError, OSError, TimeoutError) as exc:
        raise BrokerUnavailableError(
            f"the broker did not say what {topic}/{partition} holds ({type(exc).__name__})"
        ) from exc
    return Bounds(starts[place], ends[place])
