"""Compares judged records with the rows and the quarantine; says what differs, never the values."""

from collections import defaultdict
from collections.abc import Sequence

from ingest_service.adapters.evidence_tables import ClaimRefusedError, Tables
from ingest_service.compliance.findings import Class, Finding, Findings
from ingest_service.compliance.judgement import Batch
from ingest_service.compliance.pieces import Lost
from ingest_service.compliance.positions import Positions
from ingest_service.shapes import Claim

MOST_PENDING = 1000
"""How many rows that are not under their key are looked for by their place, at the end."""

_PLACE = {"stream_id", "kafka_offset"}


class Comparison:
    """Takes batches one after another; `lost` is what only the whole table can tell."""

    def __init__(self, tables: Tables, findings: Findings, positions: Positions) -> None:
        self.lost: list[Lost] = []
        self._tables = tables
        self._findings = findings
        self._positions = positions

    async def compare(self, batch: Batch) -> None:
        """Compare a batch with the tables, both ways for the quarantine."""
        for finding in batch.findings:
            self._findings.add(finding)
        for offset in batch.assumed:
            self._positions.add(batch.stream.id, offset)
        if batch.claims:
            await self._rows(batch)
        if batch.reused:
            await self._reused(batch)
        await self._quarantine(batch)

    # --- rows ------------------------------------------------------------------------------------

    async def _rows(self, batch: Batch) -> None:
        unconfirmed, refused = await self._unconfirmed(batch.claims)
        for index in refused:
            detail = "the database cannot hold what the record decodes to"
            self._find(Class.WRONG_VERDICT, batch, batch.said_at[index], detail)
        # A refused claim counts as standing, so that its row, if there is one, is not "added".
        own, missed = batch.stream.id, set(unconfirmed)
        for index, (claim, offset) in enumerate(zip(batch.claims, batch.said_at, strict=True)):
            if index not in missed and claim.offset == offset and claim.stream_id == own:
                self._positions.add(own, offset)
        if unconfirmed:
            await self._differences(batch, unconfirmed)

    async def _unconfirmed(
        self, claims: Sequence[Claim], first: int = 0
    ) -> tuple[list[int], list[int]]:
        """Return the claims without their row, and those that the database cannot even read."""
        try:
            return [first + index for index in await self._tables.unconfirmed(claims)], []
        except ClaimRefusedError:
            if len(claims) == 1:
                return [], [first]
        half = len(claims) // 2
        left = await self._unconfirmed(claims[:half], first)
        right = await self._unconfirmed(claims[half:], first + half)
        return left[0] + right[0], left[1] + right[1]

    async def _differences(self, batch: Batch, unconfirmed: Sequence[int]) -> None:
        claims = [batch.claims[index] for index in unconfirmed]
        under_key = await self._under_key(claims)
        for n, index in enumerate(unconfirmed):
            candidates = under_key.get(n, [])
            here = [columns for columns in candidates if _PLACE.isdisjoint(columns)]
            is_own = (claims[n].stream_id, claims[n].offset) == (
                batch.stream.id,
                batch.said_at[index],
            )
            if here and is_own:
                self._positions.add(batch.stream.id, batch.said_at[index])
            if here:
                self._differs(batch, batch.said_at[index], here[0], is_own=is_own)
            elif is_own:
                self._lose(batch, claims[n], candidates[0] if candidates else None)
            else:
                detail = "the row of which this record is a duplicate is not there"
                self._find(Class.ROW_MISSING, batch, batch.said_at[index], detail)

    def _differs(self, batch: Batch, offset: int, columns: list[str], *, is_own: bool) -> None:
        detail = "" if is_own else "the row of which this record is a duplicate"
        self._find(Class.ROW_DIFFERS, batch, offset, detail, tuple(columns))

    def _lose(self, batch: Batch, claim: Claim, elsewhere: list[str] | None) -> None:
        columns = None if elsewhere is None else tuple(elsewhere)
        lost = Lost(batch.stream, batch.sequence_at(claim.offset), claim.offset, columns)
        if len(self.lost) < MOST_PENDING:
            self.lost.append(lost)
        else:
            self._findings.add(told(lost, columns))

    async def _under_key(self, claims: Sequence[Claim]) -> dict[int, list[list[str]]]:
        under_key = defaultdict(list)
        for n, columns in await self._tables.by_key(claims):
            under_key[n].append(columns)
        return under_key

    async def _reused(self, batch: Batch) -> None:
        """Require of a reused id that a row has its key, and says something else."""
        unconfirmed, refused = await self._unconfirmed(batch.reused)
        readable = [batch.reused[index] for index in unconfirmed if index not in refused]
        under_key = await self._under_key(readable) if readable else {}
        for n, claim in enumerate(readable):
            candidates = under_key.get(n, [])
            if not candidates:
                detail = "the row that has this record's id and time is not there"
                self._find(Class.ROW_MISSING, batch, claim.offset, detail)
            elif any(_PLACE.issuperset(columns) for columns in candidates):
                detail = "id_reused, but the row with this id and time says the same"
                self._find(Class.WRONG_VERDICT, batch, claim.offset, detail)

    # --- quarantine ------------------------------------------------------------------------------

    async def _quarantine(self, batch: Batch) -> None:
        where = batch.stream.id, batch.first_offset, batch.next_offset
        for found in await self._tables.quarantine_differences(where, batch.quarantined):
            if not found.is_there:
                self._find(Class.QUARANTINE_MISSING, batch, found.offset, "")
            elif not found.is_said:
                detail = "the record's verdict is another"
                self._find(Class.QUARANTINE_ADDED, batch, found.offset, detail)
            else:
                columns = tuple(found.columns)
                self._find(Class.QUARANTINE_DIFFERS, batch, found.offset, "", columns)

    def _find(
        self, kind: Class, batch: Batch, offset: int, detail: str, columns: tuple[str, ...] = ()
    ) -> None:
        sequence = batch.sequence_at(offset)
        self._findings.add(Finding(kind, batch.stream, offset, detail, sequence, columns))


def told(lost: Lost, columns: Sequence[str] | None) -> Finding:
    """Return the finding for a lost row: it differs in these columns, or (None) is nowhere."""
    kind = Class.ROW_MISSING if columns is None else Class.ROW_DIFFERS
    return Finding(kind, lost.stream, lost.offset, "", lost.sequence, tuple(columns or ()))
