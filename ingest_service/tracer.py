"""The composition root of `trace`: first the database, then Kafka, which may be away."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.adapters.kafka_look import KafkaLook, open_look
from ingest_service.adapters.kafka_offsets import offsets_of_sinks
from ingest_service.adapters.trace_reader import TraceReader, open_traces
from ingest_service.compliance.question import Question
from ingest_service.compliance.sighting import Letter, Report, Sighting, Standing
from ingest_service.compliance.trace import MOST, places, sighting
from ingest_service.compliance.trace_kafka import at_sinks, in_kafka, waiting
from ingest_service.errors import IngestError, SetupError
from ingest_service.ledger import Stream
from ingest_service.replay.letters_about import letters_about
from ingest_service.settings import Settings

Present = dict[int, tuple[Stream, int]]
"""The topic's partitions as of now: each one's stream, and up to where it is durable."""


async def trace(settings: Settings, question: Question, topic: str) -> Report:
    """Answer from the database, and from Kafka as far as it can be asked.

    Raises `SetupError` or `DatabaseUnavailableError` when the database cannot be asked.
    """
    async with open_traces(settings.require_dsn()) as reader:
        found = await places(reader, question, topic)
        chosen = list(found.places.items())[:MOST]
        seen = [await sighting(reader, place, row) for place, row in chosen]
        present = await _present(reader, topic)
    unasked = found.unasked
    try:
        async with _open_kafka(settings, topic) as kafka:
            present = kafka.with_unknown(topic, present)
            if not seen:
                seen = await kafka.only_there(question, present, unasked)
            seen = [await kafka.stations(each, present, unasked) for each in seen]
    except IngestError as exc:
        unasked.append(f"Kafka: {exc}")
    return Report(question.text, seen, len(found.places) > MOST, list(dict.fromkeys(unasked)))


async def _present(reader: TraceReader, topic: str) -> Present:
    present: Present = {}
    for stream in await reader.partitions(topic):
        reach = await reader.reach(stream)
        present[stream.partition] = stream, 0 if reach is None else reach.next_offset
    return present


class _Kafka(NamedTuple):
    """Kafka's side of a trace, opened."""

    events: KafkaLook
    partitions: int
    letters: KafkaLook | None
    letter_partitions: int
    offsets: Mapping[tuple[str, int], int]
    sinks: Sequence[str]

    def with_unknown(self, topic: str, present: Present) -> Present:
        """Add the partitions that no persister has met yet: nothing of them is durable."""
        unknown = {n: (Stream(0, topic, n, 1), 0) for n in range(self.partitions)}
        return unknown | present

    async def only_there(
        self, question: Question, present: Present, unasked: list[str]
    ) -> list[Sighting]:
        """Look among the records that are not durable yet for what the database does not know."""
        if question.place is not None and question.place[0] in present:
            stream, _ = present[question.place[0]]
            return [Sighting(stream, question.place[1], Standing.WAITING)]
        found, complete = await waiting(self.events, present, question.text, MOST)
        if not complete:
            unasked.append("what Kafka has and is not durable yet is too much to be searched")
        return found

    async def stations(self, seen: Sighting, present: Present, unasked: list[str]) -> Sighting:
        """Add what Kafka knows of a place, unless it belongs to another topic or life of one."""
        if seen.stream is None or present.get(seen.stream.partition, (None,))[0] != seen.stream:
            return seen
        seen = await in_kafka(self.events, seen)
        if seen.standing is Standing.NOT_THERE_YET:
            return seen
        letters = await self._letters(seen, unasked)
        return seen._replace(sinks=at_sinks(seen, self.sinks, self.offsets, letters))

    async def _letters(self, seen: Sighting, unasked: list[str]) -> Sequence[Letter]:
        if self.letters is None or seen.record is None:
            return ()
        found, complete = await letters_about(self.letters, self.letter_partitions, seen.record)
        if not complete:
            unasked.append("the dead letters are too many to be searched")
        return found


@asynccontextmanager
async def _open_kafka(settings: Settings, topic: str) -> AsyncIterator[_Kafka]:
    kafka = settings.kafka.model_copy(update={"topic": topic})
    dead = kafka.dead_letter_topic
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(KafkaAdmin(kafka))
        states = await admin.describe([topic, dead])
        if topic not in states:
            raise SetupError(f"the broker has no topic {topic}")
        partitions = {name: state.partitions for name, state in states.items()}
        looks = {
            name: await stack.enter_async_context(open_look(kafka, name, count))
            for name, count in partitions.items()
        }
        yield _Kafka(
            events=looks[topic],
            partitions=partitions[topic],
            letters=looks.get(dead),
            letter_partitions=partitions.get(dead, 0),
            offsets=await offsets_of_sinks(admin, kafka),
            sinks=_turned_on(settings),
        )


def _turned_on(settings: Settings) -> Sequence[str]:
    on = {"splunk": settings.splunk.url, "datadog": settings.datadog.api_key}
    return [name for name, setting in on.items() if setting is not None]
