"""Checks the ledger, the originals, the rows and the quarantine against each other.

One walk over each stream: the chain first, then the tables against what the originals decode to,
a batch being compared by the database while the next one is read and decoded here. Then a few
questions about whole tables, which show what is there beside. `docs/verify.md` has the reasons.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeAlias

from ingest_service.adapters.evidence import Evidence, open_evidence
from ingest_service.compliance.comparison import Comparison
from ingest_service.compliance.completeness import Completeness
from ingest_service.compliance.findings import Class, Finding, Findings
from ingest_service.compliance.judgement import Batch
from ingest_service.compliance.passage import Passage, StreamReport
from ingest_service.compliance.positions import Positions
from ingest_service.compliance.walk import Stray, walk
from ingest_service.errors import SetupError
from ingest_service.ledger import Stream

BATCH_RECORDS = 10_000
BATCH_BYTES = 16 * 1024 * 1024

Progress: TypeAlias = Callable[[int, int], None]
"""Told (records compared, records in all)."""


class Report(NamedTuple):
    """What was checked and found: all of it in `counts`, the first of each class in `findings`."""

    streams: Sequence[StreamReport]
    counts: dict[Class, int]
    findings: Sequence[Finding]
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong; notices leave it so."""
        return all(kind.is_notice for kind in self.counts)

    @property
    def first_bad(self) -> Finding | None:
        """The first finding by topic, partition, epoch and offset."""
        return next((found for found in self.findings if not found.kind.is_notice), None)


class Selection(NamedTuple):
    """Which streams to check: None stands for any."""

    topic: str | None = None
    partition: int | None = None

    def takes(self, stream: Stream) -> bool:
        """Tell whether a stream is selected, in any epoch."""
        return (self.topic is None or self.topic == stream.topic) and (
            self.partition is None or self.partition == stream.partition
        )


EVERYTHING = Selection()


async def verify(
    dsn: str,
    selection: Selection = EVERYTHING,
    progress: Progress = lambda _done, _total: None,
) -> Report:
    """Check the selected streams in one snapshot, beside whoever is writing.

    Raises `SetupError` when nothing is selected or a right is missing, `DatabaseUnavailableError`
    when the database cannot be asked.
    """
    began = time.monotonic()
    async with open_evidence(dsn) as evidence:
        known = await evidence.streams()
        chosen = [stream for stream in known if selection.takes(stream)]
        if selection != EVERYTHING and not chosen:
            raise SetupError("the ledger knows no such topic or partition")
        run = _Run(evidence, progress)
        await run.walk(chosen)
        await run.close(known, None if selection == EVERYTHING else [each.id for each in chosen])
    reports = [passage.report for passage in run.passages]
    return Report(reports, run.findings.counts(), run.findings.first(), time.monotonic() - began)


class _Run:
    def __init__(self, evidence: Evidence, progress: Progress) -> None:
        self.findings = Findings()
        self.passages: list[Passage] = []
        self._evidence = evidence
        self._positions = Positions()
        self._comparison = Comparison(evidence, self.findings, self._positions)
        self._progress = progress
        self._done = 0
        self._total = 0

    async def walk(self, streams: Sequence[Stream]) -> None:
        """Walk the streams one after another."""
        self._total = await self._evidence.expected_records([stream.id for stream in streams])
        async with _beside() as beside:
            for stream in streams:
                async for batch in self._batches(stream):
                    await beside(self._compare(batch))
                    await self._evidence.on_its_way()
        await self._comparison.settle()

    async def _batches(self, stream: Stream) -> AsyncIterator[Batch]:
        """Yield a stream's records in pieces that do not grow with the stream."""
        passage = Passage(stream, self.findings)
        self.passages.append(passage)
        entries, originals = self._evidence.entries(stream.id), self._evidence.originals(stream.id)
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

    async def _compare(self, batch: Batch) -> None:
        await self._comparison.compare(batch)
        self._done += batch.next_offset - batch.first_offset
        self._progress(self._done, max(self._total, self._done))

    async def close(self, known: Sequence[Stream], selected: Sequence[int] | None) -> None:
        """Ask what is there beside all that was accounted for."""
        by_id = {stream.id: stream for stream in known}
        completeness = Completeness(self._evidence, self.findings, by_id, selected)
        blind = [each for passage in self.passages for each in passage.blind]
        covered = [each for passage in self.passages for each in passage.covered]
        await completeness.rows(self._positions, blind)
        await completeness.blind(blind)
        await completeness.quarantine(covered + [each.range for each in blind])
        await completeness.ids()


@asynccontextmanager
async def _beside() -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], Any]]:
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
