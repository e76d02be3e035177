"""A few records to a topic, all of them acknowledged or an exception: not for a stream of them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from ingest_service.adapters.kafka_producer import KafkaEventProducer
from ingest_service.errors import BrokerUnavailableError
from ingest_service.settings import KafkaSettings

_SECONDS = 30
_CLOSE_SECONDS = 2


async def announce(
    kafka: KafkaSettings, topic: str, records: Sequence[tuple[bytes, bytes]]
) -> None:
    """Send (key, value) records to a topic, and return when all in-sync replicas have them.

    Raises `BrokerUnavailableError`, `SetupError` or `RecordRefusedError`; some may have been sent.
    """
    there = kafka.model_copy(update={"topic": topic})
    producer = await KafkaEventProducer.open(there, linger_ms=0, compression=None)
    try:
        async with asyncio.timeout(_SECONDS):
            await asyncio.gather(*[_send(producer, key, value) for key, value in records])
    except TimeoutError as exc:
        raise BrokerUnavailableError(f"the broker did not acknowledge within {_SECONDS} s") from exc
    finally:
        await producer.close(_CLOSE_SECONDS)


async def _send(producer: KafkaEventProducer, key: bytes, value: bytes) -> None:
    settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(failure: Exception | None) -> None:
        with suppress(asyncio.InvalidStateError):  # nobody waits any more
            if failure is None:
                settled.set_result(None)
            else:
                settled.set_exception(failure)

    await producer.send(producer.partition_of(key), key, value, settle)
    await settled
