"""Hands records to one sink once more, through the forwarder's own delivery."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from random import Random
from typing import NamedTuple

from ingest_service.errors import SinkUnavailableError
from ingest_service.events.record import Record, StoredRecord
from ingest_service.forward.answers import Answer, Ours, Retry
from ingest_service.forward.batch import Batch
from ingest_service.forward.dead_letter import DeadLetter, read
from ingest_service.forward.delivery import Delivery
from ingest_service.forward.environment import DeadLetters, Sender
from ingest_service.forward.gate import Gate
from ingest_service.forward.ports import Acks, Sink
from ingest_service.replay.onlooker import Onlooker

_AT_ONCE = 4
_ACK_SECONDS = 300.0
_ACK_POLL_SECONDS = 1.0


class Delivered(NamedTuple):
    """What became of records: at the sink, left out by the settings, refused by the sink."""

    accepted: int
    left_out: int
    refused: Sequence[DeadLetter]


class Refusals:
    """Implements `DeadLetters`: notes what is refused, and passes it on if there is somebody."""

    def __init__(self, onward: DeadLetters | None = None) -> None:
        self.noted: list[DeadLetter] = []
        self._onward = onward

    async def send(
        self,
        source_partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> None:
        """Return once it is noted, and kept by whoever it was passed on to."""
        if self._onward is not None:
            await self._onward.send(source_partition, key, value, headers)
        letter = read(StoredRecord("", source_partition, 0, 0, key, value, headers))
        assert letter is not None
        self.noted.append(letter)


class Courier:
    """Delivers to one sink. Without `dead_letters` a refused record is only told of."""

    def __init__(self, sink: Sink, sender: Sender, dead_letters: DeadLetters | None) -> None:
        self.sink = sink
        self._sender = sender
        self._refusals = Refusals(dead_letters)
        self._rng = Random()  # noqa: S311 - jitter
        onlooker = Onlooker(sink.name)
        self._delivery = Delivery(
            sink, sender, self._refusals, Gate(onlooker), observer=onlooker, rng=self._rng
        )

    async def deliver(self, records: Sequence[Record]) -> Delivered:
        """Return once each record is durable at the sink, left out, or refused.

        Raises `SinkUnavailableError` when the sink takes nothing; some may have arrived then.
        """
        batches = list(self._batches(records))
        self._refusals.noted.clear()
        slots = asyncio.Semaphore(_AT_ONCE)

        async def fly(batch: Batch) -> list[int]:
            async with slots:
                return await self._delivery.deliver(batch)

        # No TaskGroup: in Python 3.11 one that fails while it is left stays marked as cancelled,
        # and the command would take the failure for Ctrl-C.
        flights = [asyncio.create_task(fly(batch)) for batch in batches]
        try:
            ack_ids = set(chain.from_iterable(await asyncio.gather(*flights)))
        finally:
            for flight in flights:
                flight.cancel()
        if ack_ids and self.sink.acks is not None:
            await self._acknowledged(self.sink.acks, ack_ids)
        left_out = sum(batch.filtered.total() for batch in batches)
        refused = list(self._refusals.noted)
        return Delivered(len(records) - left_out - len(refused), left_out, refused)

    def _batches(self, records: Sequence[Record]) -> Iterator[Batch]:
        encoded = [
            each
            for _, alike in groupby(records, _partition_of)
            for each in self.sink.encode(list(alike))
        ]
        while records:
            batch = Batch(0.0)
            taken = batch.take(records, encoded, self.sink.limits)
            records, encoded = records[taken:], encoded[taken:]
            yield batch

    async def _acknowledged(self, acks: Acks, waiting: set[int]) -> None:
        deadline = time.monotonic() + _ACK_SECONDS
        while waiting:
            request = acks.request(sorted(waiting))
            came = await self._sender.post(request.url, request.headers, request.body, packed=False)
            outcome = acks.judge(Answer(came.status, came.headers, came.body, time.time()))
            if isinstance(outcome, frozenset):
                waiting -= outcome
            elif isinstance(outcome, Ours | Retry):
                raise SinkUnavailableError(f"{self.sink.name} does not acknowledge: {outcome.why}")
            if waiting and time.monotonic() > deadline:
                raise SinkUnavailableError(f"{self.sink.name} did not acknowledge in time")
            if waiting:
                await asyncio.sleep(_ACK_POLL_SECONDS)


def _partition_of(record: Record) -> tuple[str, int]:
    return record.topic, record.partition
