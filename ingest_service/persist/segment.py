"""The next records of one stream, decoded and chained, ready to be written."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from ingest_service import ledger, originals
from ingest_service.events.decode import Decode
from ingest_service.events.record import Record, Row
from ingest_service.events.rejection import Reason, Rejection
from ingest_service.ledger import Entry, Head, Rules, Stream, Verdict


class Quarantined(NamedTuple):
    """A record that is kept aside, with the reason that its publisher is told."""

    record: Record
    reason: Reason
    message: str


class Finding(NamedTuple):
    """What only the database could know about a row: its verdict is no longer `row`."""

    verdict: Verdict
    message: str = ""


class Segment:
    """Records of one stream from `first_offset` on, in order and without a hole.

    It is filled while the batch before it is being written (`extend`), so it cannot know the head
    that it will follow: only at which offset and digest. Once it is handed to the database one
    thing changes: what shows only there replaces a verdict (`overrule`).
    """

    def __init__(self, stream: Stream, first_offset: int, digest: bytes, rules: Rules) -> None:
        self.stream = stream
        self.first_offset = first_offset
        self.first_digest = digest
        self.digest = digest
        self.rules = rules
        self.size_bytes = 0
        self.kafka_times: list[int] = []
        self._frames: list[bytes] = []
        self._rows: list[Row] = []
        self._quarantined: list[Quarantined] = []
        self._verdicts: list[Verdict] = []
        self._findings: dict[int, Finding] = {}

    def __len__(self) -> int:
        return len(self._verdicts)

    @property
    def next_offset(self) -> int:
        """The offset that follows the last record here."""
        return self.first_offset + len(self._verdicts)

    @property
    def last_frame(self) -> bytes | None:
        """The last record here, as it is kept."""
        return self._frames[-1] if self._frames else None

    def continues(self, head: Head | None) -> bool:
        """Say whether these records come right after this head, of the same history."""
        return (
            head is not None
            and head.next_offset == self.first_offset
            and head.digest == self.first_digest
        )

    def extend(self, records: Sequence[Record], decode: Decode) -> int:
        """Take records up to the first hole; return how many were taken."""
        taken = records[: _without_hole(records, self.next_offset)]
        frames = [ledger.frame(record) for record in taken]
        self.digest = ledger.extend_digest(self.digest, frames)
        self._frames += frames
        self.size_bytes += sum(map(len, frames))
        self.kafka_times += [record.timestamp for record in taken]
        rulings = [decode(record) for record in taken]
        if Rejection in map(type, rulings):
            self._sort_out(taken, rulings)
        else:  # nearly always
            self._rows += cast("list[Row]", rulings)
            self._verdicts += [None] * len(taken)
        return len(taken)

    def _sort_out(self, records: Sequence[Record], rulings: Sequence[Row | Rejection]) -> None:
        for record, ruling in zip(records, rulings, strict=True):
            if isinstance(ruling, Rejection):
                self._verdicts.append(ruling.reason.value)
                self._quarantined.append(Quarantined(record, *ruling))
            else:
                self._verdicts.append(None)
                self._rows.append(ruling)

    def overrule(self, findings: Mapping[int, Finding]) -> None:
        """Replace the verdict `row` of these offsets by what the database found out."""
        self._findings.update(findings)

    def forget_conflicts(self) -> None:
        """Take back what an attempt found that came to nothing: the next one looks again.

        After a failover the row that a duplicate stood for may be gone.
        """
        self._findings = {
            offset: finding
            for offset, finding in self._findings.items()
            if finding.verdict == Reason.REFUSED_BY_DATABASE
        }

    @property
    def rows(self) -> list[Row]:
        """The rows to write, in offset order."""
        if not self._findings:
            return self._rows
        return [row for row in self._rows if row.kafka_offset not in self._findings]

    @property
    def verdicts(self) -> list[Verdict]:
        """What became of each record, in offset order."""
        if not self._findings:
            return self._verdicts
        verdicts = list(self._verdicts)
        for offset, finding in self._findings.items():
            verdicts[offset - self.first_offset] = finding.verdict
        return verdicts

    @property
    def quarantined(self) -> list[Quarantined]:
        """The records to keep aside."""
        return self._quarantined + [
            Quarantined(self._record(offset), Reason(finding.verdict), finding.message)
            for offset, finding in self._findings.items()
            if isinstance(finding.verdict, str)
        ]

    def _record(self, offset: int) -> Record:
        frame = self._frames[offset - self.first_offset]
        return originals.record_of(frame, self.stream.topic, self.stream.partition)

    def entry(self, head: Head) -> Entry:
        """Return the sealed ledger entry that continues `head` with these records and verdicts."""
        return ledger.records_entry(self.stream.id, head, self.digest, self.verdicts, self.rules)

    def pack(self) -> bytes:
        """Return the records as they arrived, with their verdicts, as the originals keep them."""
        return originals.pack_originals(self._frames, self.verdicts)


def _without_hole(records: Sequence[Record], first_offset: int) -> int:
    """Return how many of these records follow one another from `first_offset` on."""
    pairs = zip((record.offset for record in records), itertools.count(first_offset), strict=False)
    return next((n for n, (found, due) in enumerate(pairs) if found != due), len(records))


def rejected_in_a_row(verdicts: Sequence[Verdict], before: int) -> int:
    """Return how many records were rejected in a row up to the end, `before` preceding these."""
    for count, verdict in enumerate(reversed(verdicts)):
        if not isinstance(verdict, str):
            return count
    return before + len(verdicts)
