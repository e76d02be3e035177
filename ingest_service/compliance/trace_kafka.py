"""The stations of a trace that only Kafka knows: is it there, who has passed it, who refused it."""

import time
from collections.abc import Mapping, Sequence

from ingest_service import ledger
from ingest_service.adapters.kafka_look import KafkaLook
from ingest_service.compliance.sighting import (
    AtSink,
    InKafka,
    Letter,
    Sighting,
    SinkState,
    Standing,
)
from ingest_service.events.record import Record
from ingest_service.ledger import Stream
from ingest_service.shapes import Bounds

_SEARCH_SECONDS = 5.0


async def in_kafka(look: KafkaLook, seen: Sighting) -> Sighting:
    """Add what Kafka's log has at this place now, and what follows for a record not yet durable."""
    assert seen.stream is not None
    bounds = await look.bounds(seen.stream.partition)
    if seen.offset >= bounds.end:
        return _beyond_the_log(seen)
    if seen.offset < bounds.start and seen.standing is Standing.WAITING:
        return _gone(seen, "it left Kafka before it was persisted: `ledger accept-gap` says more")
    record = None
    if seen.offset >= bounds.start:
        record = await look.record(seen.stream.partition, seen.offset)
    if record is None:
        return seen._replace(kafka=InKafka(is_there=False))
    same = None if seen.record is None else ledger.frame(record) == ledger.frame(seen.record)
    kafka = InKafka(is_there=True, time_ms=record.timestamp, same=same)
    seen = seen._replace(kafka=kafka, record=seen.record or record)
    if same is False:
        another = "Kafka has another record here: was the topic made again?"
        return seen._replace(wrong=(*seen.wrong, another))
    return seen


def _beyond_the_log(seen: Sighting) -> Sighting:
    if seen.standing is Standing.WAITING:
        return seen._replace(kafka=InKafka(is_there=False), standing=Standing.NOT_THERE_YET)
    return _gone(seen, "Kafka's log ends before it: it was truncated, or the topic made again")


def _gone(seen: Sighting, wrong: str) -> Sighting:
    return seen._replace(kafka=InKafka(is_there=False), wrong=(*seen.wrong, wrong))


async def waiting(
    look: KafkaLook, streams: Mapping[int, tuple[Stream, int]], text: str, most: int
) -> tuple[list[Sighting], bool]:
    """Look for a text in what is not durable yet: as a record's key, or in its value.

    `streams` has each partition's stream and durable offset. Also says whether all was searched.
    """
    wanted, found, complete = text.encode(), list[Sighting](), True
    deadline = time.monotonic() + _SEARCH_SECONDS
    for partition, (stream, durable) in streams.items():
        bounds = await look.bounds(partition)
        within = Bounds(max(durable, bounds.start), bounds.end)
        searched = await look.search(
            partition, within, lambda each: _names(each, wanted), deadline - time.monotonic()
        )
        complete = complete and searched.complete
        found += [
            Sighting(stream, record.offset, Standing.WAITING)
            for record in searched.found[: most - len(found)]
        ]
    return found, complete


def _names(record: Record, text: bytes) -> bool:
    return record.key == text or (record.value is not None and text in record.value)


def at_sinks(
    seen: Sighting,
    names: Sequence[str],
    offsets: Mapping[tuple[str, int], int],
    letters: Sequence[Letter],
) -> list[AtSink]:
    """Say where each sink is with a record of the present life of its topic. Pure.

    `names` are the sinks that are on; one that has an offset counts as well.
    """
    assert seen.stream is not None
    partition = seen.stream.partition
    known = {name for name, number in offsets if number == partition} | set(names)
    return [
        _at_sink(
            name,
            seen.offset,
            offsets.get((name, partition)),
            [each for each in letters if each.sink == name],
        )
        for name in sorted(known)
    ]


def _at_sink(
    name: str, offset: int, passed_before: int | None, letters: Sequence[Letter]
) -> AtSink:
    if letters:
        last = letters[-1]
        state = SinkState.SENT_AGAIN if last.sent_again else SinkState.DEAD_LETTERED
        return AtSink(name, state, passed_before, last)
    if passed_before is None:
        return AtSink(name, SinkState.NOT_BEGUN, None)
    state = SinkState.PASSED if passed_before > offset else SinkState.WAITING
    return AtSink(name, state, passed_before)
