"""A batch against an evidence that answers from memory: refused claims are told apart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from honest import RULES, STREAM, original, records_link

from ingest_service import ledger
from ingest_service.adapters.evidence_tables import ClaimRefusedError, Tables
from ingest_service.compliance.checking import beside
from ingest_service.compliance.comparison import Comparison
from ingest_service.compliance.findings import Class, Findings
from ingest_service.compliance.judgement import Batch
from ingest_service.compliance.positions import Positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest_service.shapes import Claim


class Unreadable:
    """A database in which every row stands, and which cannot read what these offsets say."""

    def __init__(self, offsets: set[int]) -> None:
        self._offsets = offsets

    async def unconfirmed(self, claims: Sequence[Claim]) -> list[int]:
        if any(claim.offset in self._offsets for claim in claims):
            raise ClaimRefusedError
        return []

    async def quarantine_differences(self, *_: Any) -> list[Any]:
        return []


@pytest.mark.parametrize("refused", [set(), {0}, {3, 4}, set(range(9))])
async def test_unreadable_claims_are_told_apart_from_their_neighbours(refused: set[int]):
    """Each that cannot be read is a finding; the others are confirmed all the same."""
    start = ledger.start_entry(STREAM, 0, RULES)
    batch = Batch(STREAM, 0)
    batch.take(*records_link(start, [original(n) for n in range(9)]))
    findings, positions = Findings(), Positions()
    evidence = cast("Tables", Unreadable(refused))
    await Comparison(evidence, findings, positions).compare(batch)
    assert {finding.offset for finding in findings.first()} == refused
    assert set(findings.counts()) <= {Class.WRONG_VERDICT}
    assert all((STREAM.id, n) in positions for n in range(9))


async def test_work_beside_ends_with_its_caller():
    """When the walk fails, the comparison under way does not outlive it."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def fail() -> None:
        async with beside() as start:
            await start(work())
            await asyncio.sleep(0)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert ended == ["cancelled"]
