"""Is there anything beside what the ledger accounts for? Passes over whole tables, at the end.

Every row that must stand was found by its key, and its offset has a bit. So where a block of
offsets holds as many rows as bits, none is extra: only the other blocks are looked at closely.
"""

from collections.abc import Mapping, Sequence

from ingest_service.adapters.evidence_tables import Tables
from ingest_service.compliance.findings import Class, Finding, Findings
from ingest_service.compliance.passage import Blind
from ingest_service.compliance.positions import BLOCK_BITS, Positions
from ingest_service.ledger import Stream
from ingest_service.shapes import Place, Range, Scope

MOST_BLOCKS = 64
"""How many blocks are looked at offset by offset; beyond, a block's extra rows are only counted."""


class Completeness:
    """The closing questions about what was selected."""

    def __init__(
        self,
        tables: Tables,
        findings: Findings,
        streams: Mapping[int, Stream],
        scope: Scope,
    ) -> None:
        self._tables = tables
        self._findings = findings
        self._streams = streams
        self._scope = scope

    async def rows(self, positions: Positions, blind: Sequence[Blind]) -> None:
        """Find rows that no verdict accounts for, and assumed ones that are not there."""
        for each in blind:
            positions.remove(each.range)
        ranges = [each.range for each in blind]
        counts = {
            block: count
            async for block, count in self._tables.rows_per_block(self._scope, BLOCK_BITS, ranges)
        }
        odd = positions.odd_blocks(counts)
        if odd:
            await self._closely(odd[:MOST_BLOCKS], positions, ranges)
        for block in odd[MOST_BLOCKS:]:
            self._roughly(block, counts.get(block, 0) - positions.count(block))

    async def _closely(
        self, blocks: Sequence[Place], positions: Positions, blind: Sequence[Range]
    ) -> None:
        there = Positions()
        async for place, count in self._tables.places_in_blocks(self._scope, BLOCK_BITS, blocks):
            there.add(*place)
            if any(place[0] == of and first <= place[1] < end for of, first, end in blind):
                continue
            if place not in positions:
                self._find(Class.ROW_ADDED, place, "nothing in the ledger accounts for it", count)
            elif count > 1:
                self._find(Class.ROW_ADDED, place, f"{count} rows stand here", count - 1)
        for block in blocks:
            for place in positions.in_block(block):
                if place not in there:
                    self._find(Class.ROW_MISSING, place, "")

    def _roughly(self, block: Place, surplus: int) -> None:
        kind = Class.ROW_ADDED if surplus > 0 else Class.ROW_MISSING
        detail = f"within {1 << BLOCK_BITS} offsets from here"
        self._find(kind, (block[0], block[1] << BLOCK_BITS), detail, abs(surplus))

    async def blind(self, blind: Sequence[Blind]) -> None:
        """Compare what is counted where the originals cannot say more."""
        if not blind:
            return
        counts = await self._tables.counts_in_ranges([each.range for each in blind])
        for each, (rows, quarantined) in zip(blind, counts, strict=True):
            place = each.stream.id, each.first_offset
            where = f"between here and {each.next_offset}"
            self._surplus(rows - each.rows, (Class.ROW_ADDED, Class.ROW_MISSING), place, where)
            kinds = Class.QUARANTINE_ADDED, Class.QUARANTINE_MISSING
            self._surplus(quarantined - each.quarantined, kinds, place, where)

    def _surplus(self, surplus: int, kinds: tuple[Class, Class], place: Place, detail: str) -> None:
        if surplus:
            self._find(kinds[0] if surplus > 0 else kinds[1], place, detail, abs(surplus))

    async def quarantine(self, covered: Sequence[Range], limit: int = 100) -> None:
        """Find quarantine outside everything that the ledger's records cover."""
        total, places = await self._tables.quarantine_outside(self._scope, covered, limit)
        for n, place in enumerate(places):
            rest = total - len(places) if n + 1 == len(places) else 0
            detail = "nothing in the ledger accounts for it"
            self._find(Class.QUARANTINE_ADDED, place, detail, 1 + rest)

    async def ids(self, limit: int = 100) -> None:
        """Report ids that stand at several times, and keys that stand twice."""
        found = await self._tables.repeated_ids(self._scope, limit)
        kinds = {Class.ID_AT_TWO_TIMES: "ids_at_two_times", Class.KEY_TWICE: "keys_twice"}
        for kind, total in kinds.items():
            of_kind = [
                each
                for each in found
                if (each.times if kind is Class.ID_AT_TWO_TIMES else each.copies) > 1
            ]
            for n, each in enumerate(of_kind):
                rest = getattr(each, total) - len(of_kind) if n + 1 == len(of_kind) else 0
                self._find(kind, (each.stream_id, each.offset), "", 1 + rest)

    def _find(self, kind: Class, place: Place, detail: str, count: int = 1) -> None:
        stream = self._streams.get(place[0])
        if stream is None:
            stream = Stream(place[0], "", -1, 0)
            detail = f"its stream {place[0]} does not exist"
        self._findings.add(Finding(kind, stream, place[1], detail, times=count))
