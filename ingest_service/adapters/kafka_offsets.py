"""What a partition's log holds, and how far a group is: for one command, which joins no group."""

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


async def group_offset(
    kafka: KafkaSettings, group: str, topic: str, partition: int, move_to: int | None = None
) -> int | None:
    """Return the offset that a group has committed, after moving it when that is asked for.

    None: it never committed one. Raises `BrokerUnavailableError`; it can be moved only while the
    group has no member, which `KafkaAdmin.group` says.
    """
    place = TopicPartition(topic, partition)
    options = client_options(kafka) | {"group_id": group, "enable_auto_commit": False}
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            async with AIOKafkaConsumer(**options) as consumer:
                consumer.assign([place])
                if move_to is not None:
                    await consumer.commit({place: move_to})
                found: int | None = await consumer.committed(place)
    except (KafkaError, OSError, TimeoutError) as exc:
        raise BrokerUnavailableError(
            f"the broker did not answer for the group {group} ({type(exc).__name__})"
        ) from exc
    return found


async def sink_offsets(kafka: KafkaSettings) -> dict[tuple[str, int], int]:
    """Return how far each forwarder's group is, by sink and partition of the topic of events.

    A sink is known by its group, whether or not it is on here. Raises `BrokerUnavailableError`, or
    `SetupError` when this user may not ask.
    """
    async with KafkaAdmin(kafka) as admin:
        return await offsets_of_sinks(admin, kafka)


async def offsets_of_sinks(admin: KafkaAdmin, kafka: KafkaSettings) -> dict[tuple[str, int], int]:
    """Ask the same on a connection that is open."""
    prefix = kafka.forwarder_group("")
    return {
        (group.removeprefix(prefix), partition): offset
        for group in await admin.groups(prefix)
        for partition, offset in sorted((await admin.committed(group, kafka.topic)).items())
    }
