"""Checks one piece: the chain first, then the tables against what the originals decode to.

A batch is compared by the database while the next one is read and decoded here.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from ingest_service.adapters.evidence import Evidence
from ingest_service.compliance.comparison import Comparison
from ingest_service.compliance.findings import Findings
from ingest_service.compliance.judgement import Batch
from ingest_service.compliance.passage import Passage
from ingest_service.compliance.pieces import Outcome, Piece
from ingest_service.compliance.positions import Positions
from ingest_service.compliance.walk import Kept, Stray, walk

BATCH_RECORDS = 10_000
BATCH_BYTES = 16 * 1024 * 1024

Tell: TypeAlias = Callable[[int], None]
"""Told how many more records were compared."""


async def check(evidence: Evidence, piece: Piece, tell: Tell) -> Outcome:
    """Return what a piece shows. Nothing that is wrong with it stops the walk."""
    findings, positions = Findings(), Positions()
    passage = Passage(piece.stream, findings, piece.anchors)
    comparison = Comparison(evidence.tables, findings, positions)
    await _prime(evidence, passage, piece)

    async def compare(batch: Batch) -> None:
        await comparison.compare(batch)
        tell(batch.next_offset - batch.first_offset)

    async with beside() as start:
        async for batch in _batches(evidence, passage, piece):
            await start(compare(batch))
            await evidence.tables.on_its_way()
    passage.leave()
    return Outcome(
        piece=piece,
        report=passage.report,
        findings=findings.tell(),
        covered=passage.covered,
        blind=passage.blind,
        positions=positions.tell(),
        lost=comparison.lost,
        checked_at=time.time(),
    )


async def _prime(evidence: Evidence, passage: Passage, piece: Piece) -> None:
    before = await evidence.entries_before(piece.stream.id, piece.first)
    kept = None
    if before:
        last = before[-1]
        async for _, packed in evidence.originals(piece.stream.id, last.sequence, last.sequence):
            kept = kept or Kept(last, packed, 0)
    passage.prime(before, kept)


async def _batches(evidence: Evidence, passage: Passage, piece: Piece) -> AsyncIterator[Batch]:
    """Yield the records in batches that do not grow with the piece."""
    stream = piece.stream
    entries = evidence.entries(stream.id, piece.first, piece.last)
    originals = evidence.originals(stream.id, piece.first, piece.last)
    batch = Batch(stream, 0)
    async for item in walk(entries, originals):
        if isinstance(item, Stray):
            passage.pass_over(item)
            continue
        readable = passage.take(item)
        if not readable:
            continue
        first = readable[0].record.offset
        if first != batch.next_offset or batch.is_full(BATCH_RECORDS, BATCH_BYTES):
            yield batch
            batch = Batch(stream, first)
        batch.take(item.entry, readable)
    yield batch


@asynccontextmanager
async def beside() -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], Any]]:
    """Yield what runs one piece of work beside the caller; the next one waits for it."""
    task: asyncio.Task[None] | None = None

    async def start(work: Coroutine[Any, Any, None]) -> None:
        nonlocal task
        if task is not None:
            await task
        task = asyncio.create_task(work, name="verify: compare")

    try:
        yield start
        if task is not None:
            await task
    finally:
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
