"""The dead letters about one record: found without joining a group, and so beside any replay."""

from collections.abc import Sequence

from ingest_service.adapters.kafka_look import KafkaLook
from ingest_service.compliance.sighting import Letter
from ingest_service.events.record import Record
from ingest_service.forward.dead_letter import DeadLetter, read
from ingest_service.replay.receipt import receipted
from ingest_service.shapes import Bounds

_SEARCH_SECONDS = 3.0


async def letters_about(
    look: KafkaLook, partitions: int, record: Record
) -> tuple[Sequence[Letter], bool]:
    """Return each sink's letters about a record, and whether all that may be there were looked at.

    `partitions` is how many the topic of dead letters has: a record's letters all go to one, and
    are younger than the record.
    """
    partition = record.partition % partitions
    end = (await look.bounds(partition)).end
    first = await look.first_since(partition, record.timestamp)
    if first is None:
        return [], True
    searched = await look.search(
        partition,
        Bounds(first, end),
        lambda each: bool(receipted(each)) or _is_about(read(each), record),
        _SEARCH_SECONDS,
    )
    sent_again = {offset for each in searched.found for offset in receipted(each)}
    found = [(each, letter) for each in searched.found if (letter := read(each)) is not None]
    return [
        Letter(
            letter.refusal.sink,
            letter.refusal.reason,
            letter.refusal.status,
            each.timestamp,
            each.offset in sent_again,
        )
        for each, letter in found
    ], searched.complete


def _is_about(letter: DeadLetter | None, record: Record) -> bool:
    return letter is not None and (
        (letter.record.topic, letter.record.partition, letter.record.offset)
        == (record.topic, record.partition, record.offset)
    )
