"""Dead letters: acknowledged by all replicas before the record's offset may pass."""

import asyncio
from collections.abc import Sequence
from typing import Self

from ingest_service.adapters.kafka_producer import KafkaEventProducer, Settled
from ingest_service.errors import BrokerUnavailableError, IngestError, RecordRefusedError
from ingest_service.settings import KafkaSettings

MAX_LETTER_BYTES = 2 << 20
"""A record at the limit, its own headers, and ours; `topics create` makes the topic fit."""

_SEND_SECONDS = 20.0
_CLOSE_SECONDS = 2.0


class DeadLetterProducer:
    """Implements `forward.ports.DeadLetters` for the length of an `async with` block.

    It connects with the first letter, so that a sink without one needs no such topic.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka.model_copy(update={"topic": kafka.dead_letter_topic})
        self._producer: KafkaEventProducer | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._producer is not None:
            await self._producer.close(_CLOSE_SECONDS)

    async def send(
        self,
        source_partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> None:
        """Return once all in-sync replicas have it; else raise: nobody may go on without it.

        After a failure the letter may be there all the same, and twice after the next try.
        """
        producer = await self._opened()
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                partition = producer.partitions[source_partition % len(producer.partitions)]
                if key is None and value is None:
                    value = b""  # aiokafka sends no record without either
                await producer.send(partition, key, value, _settling(acknowledged), headers)
                await acknowledged
        except TimeoutError as exc:
            await self._give_up(producer)
            raise BrokerUnavailableError(
                f"a dead letter was not acknowledged within {_SEND_SECONDS:g} s"
            ) from exc
        except RecordRefusedError as exc:
            await self._give_up(producer)
            raise RecordRefusedError(
                f"the topic {self._kafka.topic} refuses a dead letter: its max.message.bytes must "
                f"be at least {MAX_LETTER_BYTES} (`ingest-service topics create`)"
            ) from exc
        except IngestError:
            await self._give_up(producer)
            raise

    async def _opened(self) -> KafkaEventProducer:
        async with self._opening:
            if self._producer is None:
                self._producer = await KafkaEventProducer.open(
                    self._kafka,
                    linger_ms=0,
                    compression=None,
                    max_request_bytes=MAX_LETTER_BYTES,
                )
            return self._producer

    async def _give_up(self, producer: KafkaEventProducer) -> None:
        """Open another one next time: after a failure this one is spent."""
        if self._producer is producer:
            self._producer = None
            await producer.close(_CLOSE_SECONDS)


def _settling(acknowledged: "asyncio.Future[None]") -> Settled:
    def settled(failure: Exception | None) -> None:
        if acknowledged.done():
            return
        if failure is None:
            acknowledged.set_result(None)
        else:
            acknowledged.set_exception(failure)

    return settled
