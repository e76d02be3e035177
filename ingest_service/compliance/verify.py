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
from ingest_service.compliance.comparison import MOST_PENDING, told
from ingest_service.compliance.completeness import Completeness
from ingest_service.compliance.crew import Order, check_together
from ingest_service.compliance.findings import Class, Finding, Findings
from ingest_service.compliance.passage import Blind, StreamReport
from ingest_service.compliance.pieces import Lost, Outcome
from ingest_service.compliance.plan import Plan, make_plan
from ingest_service.compliance.positions import Positions, merged_ranges
from ingest_service.compliance.resumption import Notes, open_notes
from ingest_service.compliance.selection import EVERYTHING, Selection
from ingest_service.compliance.settlement import settle
from ingest_service.compliance.witness import Witness
from ingest_service.shapes import Range

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
    """Puts the pieces together as they come: what is kept of them does not grow with findings."""

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
        self._numbers = {piece: number for number, piece in enumerate(plan.pieces)}
        self._parts: dict[int, StreamReport] = {}
        self._positions = Positions()
        self._covered = list[Range]()
        self._blind = list[Blind]()
        self._lost = list[Lost]()
        self._done = 0
        self._total = sum(piece.records for piece in plan.pieces)

    async def check(self, dsn: str, jobs: int) -> None:
        """Check every piece that the notes do not have."""
        due = []
        for piece in self._plan.pieces:
            known = None if self._notes is None else self._notes.take(piece)
            if known is None:
                due.append(piece)
            else:
                self._take(known)
                self._tell(piece.records)
        if min(jobs, len(due)) > 1:
            order = Order(dsn, self._evidence.snapshot)
            await check_together(order, jobs, due, self._tell, self._keep)
        else:
            for piece in due:
                self._keep(await check(self._evidence, piece, self._tell))

    def _keep(self, outcome: Outcome) -> None:
        if self._notes is not None:
            self._notes.add(outcome)
        self._take(outcome)

    def _take(self, outcome: Outcome) -> None:
        self._parts[self._numbers[outcome.piece]] = outcome.report
        self.findings.merge(outcome.findings)
        self.times.append(outcome.checked_at)
        self._positions.merge(outcome.positions)
        self._covered += outcome.covered
        self._blind += outcome.blind
        room = MOST_PENDING - len(self._lost)
        self._lost += outcome.lost[:room]
        for each in outcome.lost[room:]:
            self.findings.add(told(each, each.elsewhere))

    def _tell(self, records: int) -> None:
        self._done += records
        self._progress(self._done, max(self._total, self._done))

    async def close(self) -> None:
        """Ask what is there beside all that was accounted for."""
        for number in sorted(self._parts):
            self.reports[self._parts[number].stream.id].join(self._parts[number])
        for finding in self._plan.findings:
            self.findings.add(finding)
        await settle(self._evidence, self._lost, self._positions, self.findings)
        covered = merged_ranges(self._covered + [each.range for each in self._blind])
        scope = self._plan.scope._replace(ranges=covered)
        by_id = {stream.id: stream for stream in self._plan.streams}
        completeness = Completeness(self._evidence.tables, self.findings, by_id, scope)
        await completeness.rows(self._positions, self._blind)
        await completeness.blind(self._blind)
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
