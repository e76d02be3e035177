"""The consumer of one sink's group: there Kafka's committed offset is how far the sink is."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.structs import TopicPartition

from ingest_service.adapters.kafka_consumer import AuditConsumer
from ingest_service.errors import BrokerUnavailableError

_ASK_SECONDS = 15


class ForwardConsumer(AuditConsumer):
    """Implements `forward.ports.Source` for the length of an `async with` block."""

    async def committed(self, partitions: Sequence[int]) -> dict[int, int | None]:
        """Ask the broker how far the group is; None where it never was."""
        positions = self._positions(partitions)
        answers = await self._ask(
            asyncio.gather(*(self._consumer.committed(each) for each in positions))
        )
        return dict(zip(partitions, answers, strict=True))

    async def offsets_at(self, partitions: Sequence[int], kafka_ms: int) -> dict[int, int | None]:
        """Ask for the first record that is not older than this; None where there is none."""
        positions = self._positions(partitions)
        answers: Mapping[TopicPartition, Any] = await self._ask(
            self._consumer.offsets_for_times(dict.fromkeys(positions, kafka_ms))
        )
        return {
            each.partition: found.offset if (found := answers[each]) is not None else None
            for each in positions
        }

    def _positions(self, partitions: Sequence[int]) -> list[TopicPartition]:
        return [TopicPartition(self.topic, partition) for partition in partitions]

    async def _ask(self, question: Any) -> Any:
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                return await question
        except (kafka_errors.KafkaError, OSError, TimeoutError) as exc:
            raise BrokerUnavailableError(
                f"asking for offsets failed ({type(exc).__name__})"
            ) from exc

    def _of_the_brokers_clock(self, _: TopicPartition, records: Sequence[Any]) -> Sequence[Any]:
        """Take records on any clock: what a sink is sent is the event, whatever its row may be."""
        return records

    def _way_past(self, partition: int, end: int | None) -> str:
        """Name the command that moves a sink: the ledger's gap is the persister's alone."""
        return (
            "stop this forwarder, then `ingest-service replay sink NAME --partition "
            f"{partition} --from {self._next[partition]} --to {end or 'N'}` sends what the "
            "originals have of it and moves the sink"
        )
