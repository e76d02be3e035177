"""Looks for the rows that are not under their key by their place, once, when all were compared.

Their id or their time may be what was changed. Only their places were noted, so the originals are
read once more: of a bounded number of rows, a bounded number of bytes at a time.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from ingest_service.adapters.evidence import Evidence
from ingest_service.compliance.comparison import told
from ingest_service.compliance.findings import Findings
from ingest_service.compliance.judgement import Batch
from ingest_service.compliance.pieces import Lost
from ingest_service.compliance.positions import Positions
from ingest_service.compliance.walk import Kept, read
from ingest_service.shapes import Claim

_MOST_BYTES = 16 * 1024 * 1024


async def settle(
    evidence: Evidence, lost: Sequence[Lost], positions: Positions, findings: Findings
) -> None:
    """Tell of each lost row whether it stands at its place, and what it says differently."""
    waiting: list[tuple[Lost, Claim]] = []
    size = 0
    async for each, claim in _claims(evidence, lost):
        waiting.append((each, claim))
        size += len(claim.row.metadata) + len(claim.row.reason)
        if size > _MOST_BYTES:
            await _look(evidence, waiting, positions, findings)
            waiting, size = [], 0
    if waiting:
        await _look(evidence, waiting, positions, findings)


async def _look(
    evidence: Evidence,
    waiting: Sequence[tuple[Lost, Claim]],
    positions: Positions,
    findings: Findings,
) -> None:
    standing = dict(await evidence.tables.by_place([claim for _, claim in waiting]))
    for index, (lost, claim) in enumerate(waiting):
        columns = standing.get(index)
        if columns is not None:
            positions.add(claim.stream_id, claim.offset)
        findings.add(told(lost, lost.elsewhere if columns is None else columns))


async def _claims(evidence: Evidence, lost: Sequence[Lost]) -> AsyncIterator[tuple[Lost, Claim]]:
    """Yield each lost row with what its original says, decoded again."""
    by_entry: dict[tuple[int, int], list[Lost]] = defaultdict(list)
    for each in lost:
        by_entry[each.stream.id, each.sequence].append(each)
    for (stream_id, sequence), missed in by_entry.items():
        stream, wanted = missed[0].stream, {each.offset: each for each in missed}
        async for entry in evidence.entries(stream_id, sequence, sequence):
            packed = [kept async for _, kept in evidence.originals(stream_id, sequence, sequence)]
            originals, _ = read(stream, Kept(entry, packed[0], 0))
            if originals:
                batch = Batch(stream, originals[0].record.offset)
                batch.take(entry, originals)
                for claim, offset in zip(batch.claims, batch.said_at, strict=True):
                    if claim.offset == offset and claim.stream_id == stream_id and offset in wanted:
                        yield wanted[offset], claim
