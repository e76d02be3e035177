"""What the originals say must be in the tables: each decoded again by its entry's own rules. Pure.

Two verdicts are not the decoder's: `id_reused` and `refused_by_database` are found out while
writing, of records that decode to a row.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from ingest_service import ledger
from ingest_service.compliance.findings import Class, Finding
from ingest_service.events.decode import Decode, UnknownContractError, decoder
from ingest_service.events.record import Limits, Row
from ingest_service.events.rejection import Reason, Rejection
from ingest_service.ledger import Entry, Stream, Verdict
from ingest_service.originals import Original
from ingest_service.shapes import Claim, QuarantineClaim

_WHILE_WRITING = {Reason.ID_REUSED.value, Reason.REFUSED_BY_DATABASE.value}
_CODES = {reason.value for reason in Reason}
_INT64 = range(-(2**63), 2**63)
_STREAM_IDS = range(1, 2**15)
_ROW_BYTES = 300  # about what a row takes beside its metadata


class Batch:
    """Consecutive records of one stream, judged, to be compared with the tables at once."""

    def __init__(self, stream: Stream, first_offset: int) -> None:
        self.stream = stream
        self.first_offset = first_offset
        self.next_offset = first_offset
        self.size_bytes = 0
        self.claims: list[Claim] = []
        """Each row that must stand, and each row of which a record is a duplicate."""
        self.said_at: list[int] = []
        """The offset of the record that makes the claim of the same index."""
        self.reused: list[Claim] = []
        """Records whose key must be taken by a row that says something else."""
        self.quarantined: list[QuarantineClaim] = []
        self.assumed: list[int] = []
        """Offsets whose verdict is `row`, but whose row cannot be told by this version."""
        self.findings: list[Finding] = []
        self._sequences: list[tuple[int, int]] = []

    def sequence_at(self, offset: int) -> int:
        """Return the sequence of the entry that an offset of this batch belongs to."""
        return next(sequence for first, sequence in reversed(self._sequences) if first <= offset)

    def is_full(self, records: int, size_bytes: int) -> bool:
        """Tell whether it holds so many records, or bytes."""
        return self.next_offset - self.first_offset >= records or self.size_bytes >= size_bytes

    def take(self, entry: Entry, originals: Sequence[Original]) -> None:
        """Judge the records of the next entry; they continue this batch."""
        self._sequences.append((self.next_offset, entry.sequence))
        self.next_offset += len(originals)
        decode = _decoder(entry.contract, entry.limits)
        if decode is None:
            self._find(
                Class.UNDECODABLE,
                entry,
                entry.first_offset,
                f"contract {entry.contract}, or its limits, are unknown here",
            )
        for original in originals:
            if decode is not None:
                self._ruled(entry, original, decode(original.record))
            elif original.verdict is None:
                self.assumed.append(original.record.offset)
            if isinstance(original.verdict, str):
                self._quarantined(original, original.verdict)

    def _ruled(self, entry: Entry, original: Original, ruling: Row | Rejection) -> None:
        verdict, offset = original.verdict, original.record.offset
        if verdict is None and isinstance(ruling, Row):  # nearly every record
            self._claim(offset, Claim(self.stream.id, offset, ruling))
            return
        wrong = _wrong(verdict, ruling)
        if wrong is not None:
            self._find(Class.WRONG_VERDICT, entry, offset, wrong)
            if verdict is None:
                self.assumed.append(offset)
        elif isinstance(ruling, Row) and isinstance(verdict, tuple):
            self._claim(offset, Claim(*verdict, ruling))
        elif isinstance(ruling, Row) and verdict == Reason.ID_REUSED:
            self.reused.append(Claim(self.stream.id, offset, ruling))

    def _claim(self, offset: int, claim: Claim) -> None:
        self.claims.append(claim)
        self.said_at.append(offset)
        self.size_bytes += len(claim.row.metadata) + len(claim.row.reason) + _ROW_BYTES

    def _quarantined(self, original: Original, reason: str) -> None:
        record = original.record
        headers = ledger.encode_headers(record.headers)
        self.size_bytes += len(record.value or b"") + len(record.key or b"") + len(headers)
        self.quarantined.append(
            QuarantineClaim(
                record.offset,
                record.timestamp,
                record.key,
                headers,
                record.value,
                reason.replace("\0", ""),  # only a forged one has it, and SQL cannot take it
            )
        )

    def _find(self, kind: Class, entry: Entry, offset: int, detail: str) -> None:
        self.findings.append(Finding(kind, self.stream, offset, detail, entry.sequence))


def _wrong(verdict: Verdict, ruling: Row | Rejection) -> str | None:
    """Say how a verdict is not what the decoder's ruling allows, or None."""
    decoded = ruling.reason.value if isinstance(ruling, Rejection) else "row"
    if isinstance(verdict, tuple):
        said = "duplicate"
        right = decoded == "row" and verdict[0] in _STREAM_IDS and verdict[1] in _INT64
    elif verdict in _WHILE_WRITING:
        said, right = str(verdict), decoded == "row"
    else:
        said = "row" if verdict is None else verdict
        right = said == decoded
    # A verdict that is no code of ours was put there by somebody: it is not repeated.
    known = said if said in _CODES | {"row", "duplicate"} else "an unknown code"
    return None if right else f"the verdict is {known}, the record decodes to {decoded}"


@lru_cache(maxsize=64)
def _decoder(contract: int, limits: str) -> Decode | None:
    """Return what judged an entry's records; None when this version does not know its rules."""
    rules = msgspec.json.decode(limits)
    if not isinstance(rules, dict) or not rules.keys() <= set(Limits._fields):
        return None
    if not all(type(limit) is int for limit in rules.values()):
        return None
    try:
        return decoder(contract, Limits(**rules))
    except UnknownContractError:
        return None
