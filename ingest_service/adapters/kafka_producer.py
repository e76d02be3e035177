"""The only owner of aiokafka's producer: idempotent, all replicas, and an end that always comes."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.partitioner import DefaultPartitioner

from ingest_service.adapters.kafka_options import client_options
from ingest_service.adapters.kafka_reach import why_unreachable
from ingest_service.errors import BrokerUnavailableError, RecordRefusedError, SetupError
from ingest_service.settings import KafkaSettings

MAX_REQUEST_BYTES = (1 << 20) + (64 << 10)
"""One event at the contract's limit with its key, its headers and Kafka's framing."""

_MAX_BATCH_BYTES = 128 << 10
_REQUEST_TIMEOUT_MS = 10_000
_OPEN_SECONDS = 30
_CANCELLATIONS = 2
_ABANDON_SECONDS = 0.5
_REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError)

Settled = Callable[[Exception | None], None]


class KafkaEventProducer:
    """Sends records to one topic; each is acknowledged by all in-sync replicas, or fails.

    aiokafka retries by itself, for ever, whatever may pass. After any failure that it reports
    this producer is spent: the refused batch leaves a hole in the partition's sequence numbers,
    and the broker refuses all that follow (seen: OutOfOrderSequenceNumber without end). Open
    another, and send again what was not acknowledged.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str, partitions: Collection[int]) -> None:
        self._producer = producer
        self._topic = topic
        self._partitioner = DefaultPartitioner()
        self.partitions = sorted(partitions)

    @classmethod
    async def open(
        cls,
        kafka: KafkaSettings,
        *,
        linger_ms: int,
        compression: str | None,
        max_request_bytes: int = MAX_REQUEST_BYTES,
    ) -> "KafkaEventProducer":
        """Connect and learn the topic's partitions.

        Raises `BrokerUnavailableError` or `SetupError`, which say per server what is wrong.
        """
        options = client_options(kafka)
        producer = AIOKafkaProducer(
            **options,
            acks="all",
            enable_idempotence=True,
            compression_type=compression,
            linger_ms=linger_ms,
            max_batch_size=_MAX_BATCH_BYTES,
            max_request_size=max_request_bytes,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        try:
            partitions = await _started(producer, kafka.topic, options)
        except BaseException:
            await _end(producer, 1)
            raise
        return cls(producer, kafka.topic, partitions)

    def partition_of(self, key: bytes) -> int:
        """Return the partition that every Kafka client gives this key (murmur2)."""
        return int(self._partitioner(key, self.partitions, self.partitions))

    async def send(
        self,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        settled: Settled,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        """Hand one record over; `settled` is called once, with None when it is acknowledged.

        Waits while the partition's batch is full. Cancelled, or with an exception, it has handed
        nothing over. `RecordRefusedError` is for good; any other failure may be tried again on
        another producer.
        """
        try:
            sent = await self._producer.send(
                self._topic, value, key, partition, headers=list(headers)
            )
        except (KafkaError, AssertionError) as exc:
            raise _translated(exc) from exc
        sent.add_done_callback(lambda future: settled(_failure(future)))

    async def close(self, seconds: float) -> None:
        """Flush and disconnect, within the time given even when the broker is dead."""
        await _end(self._producer, seconds)


async def _started(
    producer: AIOKafkaProducer, topic: str, options: Mapping[str, Any]
) -> Collection[int]:
    try:
        async with asyncio.timeout(_OPEN_SECONDS):  # start() asks for a producer id for ever
            await producer.start()
            partitions: Collection[int] = await producer.partitions_for(topic)
    except UnknownTopicOrPartitionError as exc:
        raise SetupError(
            f"the topic {topic} does not exist: run `ingest-service topics create`"
        ) from exc
    except TopicAuthorizationFailedError as exc:
        raise SetupError(f"the broker does not let this user see the topic {topic}") from exc
    except (KafkaError, OSError) as exc:
        raise await why_unreachable(options) from exc
    return partitions


def _failure(sent: "asyncio.Future[Any]") -> Exception | None:
    if sent.cancelled():
        return BrokerUnavailableError("the producer was closed")
    exc = sent.exception()
    return None if exc is None else _translated(exc)


def _translated(exc: BaseException) -> Exception:
    if isinstance(exc, _REFUSALS):
        return RecordRefusedError(
            f"the broker refuses it ({type(exc).__name__}): "
            f"the topic's max.message.bytes must be at least {MAX_REQUEST_BYTES}"
        )
    return BrokerUnavailableError(f"the broker did not take it ({type(exc).__name__})")


async def _end(producer: AIOKafkaProducer, seconds: float) -> None:
    stop = asyncio.create_task(producer.stop(), name="audit-producer-stop")
    try:
        await asyncio.wait({stop}, timeout=seconds)
    finally:
        if not stop.done():
            await _abandon(producer, stop)
    if not stop.cancelled():
        stop.exception()  # a broker that is gone makes stop() fail; there is nothing left to do


async def _abandon(producer: AIOKafkaProducer, stop: "asyncio.Task[None]") -> None:
    """End a producer whose broker is gone.

    aiokafka 0.14 has no way to: stop() waits for ever, and when it is cancelled, its sender and
    its flush go on trying until the process ends (seen). A cancelled sender first waits for its
    requests, so it takes a second cancellation to end those.
    """
    accumulator = producer._message_accumulator  # noqa: SLF001 - see above
    waiting = chain.from_iterable(accumulator._batches.values())  # noqa: SLF001 - see above
    for batch in [*accumulator._pending_batches, *waiting]:  # noqa: SLF001 - see above
        batch.future.cancel()
    sender = producer._sender.sender_task  # noqa: SLF001 - see above
    for _ in range(_CANCELLATIONS):
        for task in (sender, stop):
            if task is not None:
                task.cancel()
        await asyncio.wait({stop}, timeout=_ABANDON_SECONDS)
    # A sender that ends by cancellation ends stop() before it comes to this.
    with suppress(TimeoutError):
        async with asyncio.timeout(_ABANDON_SECONDS):
            await producer.client.close()
