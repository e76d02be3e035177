"""The dead-letter topic as one command reads it: as far as it reaches now, and nobody else does."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.adapters.kafka_forwarder import ForwardConsumer
from ingest_service.errors import BrokerUnavailableError, PartitionFault, SetupError
from ingest_service.events.record import Record
from ingest_service.settings import KafkaSettings
from ingest_service.shapes import Bounds

_JOIN_SECONDS = 40.0
_LOOK_SECONDS = 0.1
_FETCH_RECORDS = 500
_FETCH_SECONDS = 1.0
_SILENT_FETCHES = 30


class DeadLetterReader:
    """Reads partitions one by one, up to where each ended when it was opened."""

    def __init__(self, source: ForwardConsumer, bounds: Mapping[int, Bounds]) -> None:
        self._source = source
        self._bounds = bounds
        self._epoch = source.epoch

    async def records(self, partition: int | None = None, first: int = 0) -> AsyncIterator[Record]:
        """Yield the records of one partition from an offset on, or of every one, in order."""
        for each in self._bounds if partition is None else [partition]:
            async for record in self._of(each, max(first, self._bounds[each].start)):
                yield record

    async def _of(self, partition: int, first: int) -> AsyncIterator[Record]:
        end, silent = self._bounds[partition].end, 0
        self._source.pause(self._source.assigned)
        self._source.seek(partition, first)
        self._source.resume([partition])
        while first < end:
            records = await self._fetched(partition)
            silent = 0 if records else silent + 1
            if silent >= _SILENT_FETCHES:
                raise BrokerUnavailableError("the broker sends no dead letters")
            for record in records:
                if record.offset < end:
                    yield record
                first = record.offset + 1

    async def _fetched(self, partition: int) -> Sequence[Record]:
        if self._source.epoch != self._epoch:
            raise BrokerUnavailableError(_ANOTHER)
        try:
            fetched = await self._source.fetch([partition], _FETCH_RECORDS, _FETCH_SECONDS)
        except PartitionFault as fault:
            raise SetupError(f"{fault.topic}/{fault.partition}: {fault}") from fault
        return fetched.get(partition, ())


_ANOTHER = "another replay of dead letters has begun: what this one sent is not sent again by it"


@asynccontextmanager
async def open_letters(kafka: KafkaSettings, group: str) -> AsyncIterator[DeadLetterReader]:
    """Yield the dead-letter topic; who else opens it meanwhile is refused.

    Two replays at once would send each letter twice. Membership of a group is the lock: it goes
    when its holder dies.
    """
    topic = kafka.dead_letter_topic
    async with KafkaAdmin(kafka) as admin:
        state = (await admin.describe([topic])).get(topic)
        if state is None:
            raise SetupError(f"the topic {topic} does not exist: `ingest-service topics create`")
        _, members = await admin.group(group)
    if members:
        raise BrokerUnavailableError(
            "another replay of dead letters runs, or was killed less than 10 s ago: try again"
        )
    async with ForwardConsumer(kafka.model_copy(update={"topic": topic}), group) as source:
        await wait_for_all(source, state.partitions)
        yield DeadLetterReader(source, await source.bounds(range(state.partitions)))


async def wait_for_all(source: ForwardConsumer, partitions: int) -> None:
    """Return once the group has answered; raise `BrokerUnavailableError` if another has a share."""
    try:
        async with asyncio.timeout(_JOIN_SECONDS):
            while not source.joined:  # noqa: ASYNC110 - the listener only counts
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError as exc:
        raise BrokerUnavailableError("the broker's consumer group did not answer") from exc
    if len(source.assigned) != partitions:
        raise BrokerUnavailableError(_ANOTHER)
