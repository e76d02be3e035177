"""Checks the ledger, the originals, the rows and the quarantine against each other.

One walk over each stream, in pieces that processes share; then a few questions about whole
tables, which show what is there beside. `docs/verify.md` has the reasons.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

from ingest_service.adapters.evidence import Evidence, open_evidence
from ingest_service.compliance.checking import check
from ingest_service.compliance.completeness import Completeness
from ingest_service.compliance.crew import Order, check_together
from ingest_service.compliance.findings import Class, Finding, Findings
from ingest_service.compliance.passage import StreamReport
from ingest_service.compliance.pieces import Lost, Outcome
from ingest_service.compliance.plan import Plan, make_plan
from ingest_service.compliance.positions import Positions
from ingest_service.compliance.resumption import Notes, open_notes
from ingest_service.compliance.selection import EVERYTHING, Selection
from ingest_service.compliance.settlement import settle
from ingest_service.compliance.witness import Witness

Progress: TypeAlias = Callable[[int, int], None]
"""Told (records compared, records in all)."""


class Report(NamedTuple):
    """What was checked and found: all of it in `counts`, the first of each class in `findings`."""

    streams: Sequence[StreamReport]
    counts: dict[Class, int]
    findings: Sequence[Finding]
    seconds: float
    selection: Selection = EVERYTHING
    began_at: datetime = datetime.fromtimestamp(0, UTC)
    """When the oldest part of it was checked: before this run, where an earlier one was resumed."""
    anchors: int = 0
    """How many valid anchors it was compared with."""

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong; notices leave it so."""
        return all(kind.is_notice for kind in self.counts)

    @property
    def first_bad(self) -> Finding | None:
        """The first finding by topic, partition, epoch and offset."""
        return next((found for found in self.findings if not found.kind.is_notice), None)


class Manner(NamedTuple):
    """How to go about it: in how many processes, with notes in which file."""

    jobs: int = 1
    notes: Path | None = None


PLAINLY = Manner()


async def verify(
    dsn: str,
    selection: Selection = EVERYTHING,
    progress: Progress = lambda _done, _total: None,
    witness: Witness | None = None,
    manner: Manner = PLAINLY,
) -> Report:
    """Check what is selected in one snapshot, beside whoever is writing.

    Raises `SetupError` when nothing is selected or a right is missing, `DatabaseUnavailableError`
    when the database cannot be asked.
    """
    began, now = time.monotonic(), time.time()
    with ExitStack() as stack:
        notes = None if manner.notes is None else stack.enter_context(open_notes(manner.notes))
        async with open_evidence(dsn) as evidence:
            plan = await make_plan(evidence, selection, {} if witness is None else witness.anchors)
            run = _Run(evidence, plan, progress, notes)
            await run.check(dsn, manner.jobs)
            await run.close()
    if witness is not None:
        run.compare_signing(witness)
    return Report(
        streams=list(run.reports.values()),
        counts=run.findings.counts(),
        findings=run.findings.first(),
        seconds=time.monotonic() - began,
        selection=selection,
        began_at=datetime.fromtimestamp(min([now, *run.times]), UTC),
        anchors=0 if witness is None else witness.anchor_count,
    )


class _Run:
    """Puts the pieces together."""

    def __init__(
        self, evidence: Evidence, plan: Plan, progress: Progress, notes: Notes | None
    ) -> None:
        self.findings = Findings()
        self.reports = {stream.id: StreamReport(stream) for stream in plan.chosen}
        self.times: list[float] = []
        self._evidence = evidence
        self._plan = plan
        self._progress = progress
        self._notes = notes
        self._outcomes: dict[int, Outcome] = {}
        self._done = 0
        self._total = sum(piece.records for piece in plan.pieces)

    async def check(self, dsn: str, jobs: int) -> None:
        """Check every piece that the notes do not have."""
        due = []
        for number, piece in enumerate(self._plan.pieces):
            known = self._notes.of(piece) if self._notes is not None else None
            if known is None:
                due.append((number, piece))
            else:
                self._outcomes[number] = known
                self._tell(piece.records)
        numbers = {piece: number for number, piece in due}

        def take(outcome: Outcome) -> None:
            self._outcomes[numbers[outcome.piece]] = outcome
            if self._notes is not None:
                self._notes.add(outcome)

        if min(jobs, len(due)) > 1:
            order = Order(dsn, self._evidence.snapshot)
            await check_together(order, jobs, [piece for _, piece in due], self._tell, take)
        else:
            for _, piece in due:
                take(await check(self._evidence, piece, self._tell))

    def _tell(self, records: int) -> None:
        self._done += records
        self._progress(self._done, max(self._total, self._done))

    async def close(self) -> None:
        """Ask what is there beside all that was accounted for."""
        positions, lost = Positions(), list[Lost]()
        outcomes = [self._outcomes[number] for number in sorted(self._outcomes)]
        for outcome in outcomes:
            self.reports[outcome.piece.stream.id].join(outcome.report)
            self.findings.merge(outcome.findings)
            self.times.append(outcome.checked_at)
            positions.merge(outcome.positions)
            lost += outcome.lost
        for finding in self._plan.findings:
            self.findings.add(finding)
        await settle(self._evidence, lost, positions, self.findings)
        blind = [each for outcome in outcomes for each in outcome.blind]
        covered = [each for outcome in outcomes for each in outcome.covered]
        covered += [each.range for each in blind]
        scope = self._plan.scope._replace(ranges=covered)
        by_id = {stream.id: stream for stream in self._plan.streams}
        completeness = Completeness(self._evidence.tables, self.findings, by_id, scope)
        await completeness.rows(positions, blind)
        await completeness.blind(blind)
        await completeness.quarantine(covered)
        await completeness.ids()

    def compare_signing(self, witness: Witness) -> None:
        """Say what is wrong with the anchors themselves, and which streams have none that holds."""
        for finding in witness.findings:
            self.findings.add(finding)
        for report in self.reports.values():
            if report.anchored is None and report.records:
                detail = "no anchor says what this stream was"
                self.findings.add(
                    Finding(Class.NOT_ANCHORED, report.stream, report.first_offset, detail)
                )
