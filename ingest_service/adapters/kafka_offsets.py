"""Asking the broker what a partition's log holds, for one command of a person: no group joined."""

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from ingest_service.adapters.kafka_options import client_options
from ingest_service.adapters.kafka_reach import why_unreachable
from ingest_service.errors import BrokerUnavailableError, SetupError
from ingest_service.settings import KafkaSettings
from ingest_service.shapes import Bounds

_ASK_SECONDS = 15


async def log_bounds(kafka: KafkaSettings, topic: str, partition: int) -> Bounds:
    """Return where a partition's log starts and ends.

    Raises `BrokerUnavailableError`, or `SetupError` when there is no such partition.
    """
    options = client_options(kafka)
    consumer = AIOKafkaConsumer(**options, enable_auto_commit=False)
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            try:
                await consumer.start()
            except (KafkaError, OSError) as exc:
                raise await why_unreachable(options) from exc
            # Asked for before the offsets: those of what does not exist are waited for in vain.
            if topic not in await consumer.topics():
                raise SetupError(f"the broker has no topic {topic}")
            if partition not in (consumer.partitions_for_topic(topic) or ()):
                raise SetupError(f"the topic {topic} has no partition {partition}")
            place = TopicPartition(topic, partition)
            starts = await consumer.beginning_offsets([place])
            ends = await consumer.end_offsets([place])
            return Bounds(starts[place], ends[place])
    except (KafkaError, OSError, TimeoutError) as exc:
        raise BrokerUnavailableError(
            f"the broker did not say what {topic}/{partition} holds ({type(exc).__name__})"
        ) from exc
    finally:
        await consumer.stop()
