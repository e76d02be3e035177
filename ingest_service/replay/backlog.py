"""Which dead letters are still to be sent again: pure, from the topic's records in order."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ingest_service.events.record import Record
from ingest_service.forward.dead_letter import DeadLetter, read
from ingest_service.replay.receipt import receipted


class Kind(NamedTuple):
    """What letters are counted by: who refused the record, and why."""

    sink: str
    reason: str


class Choice(NamedTuple):
    """Which letters somebody wants to send again: None is any."""

    sinks: Collection[str] | None = None
    reasons: Collection[str] | None = None

    def takes(self, kind: Kind) -> bool:
        """Say whether a letter of this kind is wanted."""
        return (self.sinks is None or kind.sink in self.sinks) and (
            self.reasons is None or kind.reason in self.reasons
        )


class Backlog:
    """The wanted letters that no receipt names. Takes every record of a partition in order."""

    def __init__(self, choice: Choice) -> None:
        self.found: Counter[Kind] = Counter()
        self.sent_before: Counter[Kind] = Counter()
        self._choice = choice
        self._waiting: dict[int, dict[int, Kind]] = {}

    def take(self, record: Record) -> None:
        """Note a letter, or what a receipt says about letters before it."""
        waiting = self._waiting.setdefault(record.partition, {})
        if (letter := read(record)) is not None:
            kind = kind_of(letter)
            if self._choice.takes(kind):
                self.found[kind] += 1
                waiting[record.offset] = kind
            return
        for offset in receipted(record):
            if (kind_sent := waiting.pop(offset, None)) is not None:
                self.sent_before[kind_sent] += 1

    def waiting(self, sink: str) -> Mapping[int, Sequence[int]]:
        """Return the offsets of this sink's letters that are to be sent, by partition, in order."""
        chosen = {
            partition: [offset for offset, kind in letters.items() if kind.sink == sink]
            for partition, letters in sorted(self._waiting.items())
        }
        return {partition: offsets for partition, offsets in chosen.items() if offsets}

    @property
    def sinks(self) -> list[str]:
        """The sinks that have letters waiting, by name."""
        return sorted(
            {kind.sink for letters in self._waiting.values() for kind in letters.values()}
        )


def kind_of(letter: DeadLetter) -> Kind:
    """Return what a letter is counted by."""
    return Kind(letter.refusal.sink, letter.refusal.reason)
