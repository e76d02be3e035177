"""`ingest-service verify`: prove that what is stored is what arrived, all of it, once."""

import gc
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ingest_service import settings
from ingest_service.adapters.verification_record import record
from ingest_service.cli.output import FOUND_WRONG, run, say
from ingest_service.cli.verify_progress import progress
from ingest_service.cli.verify_report import as_json, as_text
from ingest_service.compliance.anchor_keys import read_public_keys
from ingest_service.compliance.selection import Selection
from ingest_service.compliance.verification import verification_of
from ingest_service.compliance.verify import Manner, Report
from ingest_service.compliance.verify import verify as prove
from ingest_service.compliance.witness import Witness, read_witness
from ingest_service.errors import DatabaseUnavailableError, IngestError, SetupError

_MOST_JOBS = 4


def _moment(text: str | None) -> datetime | None:
    """Read a date or a time; without a zone it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write 2025-03-01 or 2025-03-01T12:00:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _jobs() -> int:
    return min(_MOST_JOBS, len(os.sched_getaffinity(0)))


def verify(
    *,
    topic: Annotated[str | None, typer.Option(help="Check this topic alone.")] = None,
    partition: Annotated[
        int | None, typer.Option(min=0, help="Check this partition alone.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="Check what arrived, or says to be, from then on.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="... and before then.")] = None,
    anchors: Annotated[
        Path | None, typer.Option(help="Compare with the anchors in this file.")
    ] = None,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(help="Whose anchors count: PEM files, this option once for each."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Keep what is done in this file, and go on from it.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Processes.  [default: one a processor, up to 4]"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Prove that the database holds what arrived: unchanged, complete, and nothing else.

    Decodes every kept original again and compares it with its row, checks the hash chain, and
    counts what no entry accounts for. Reads one snapshot, also beside running workers: any role
    with gateway_audit_operator will do. Notes its result in gateway_audit_verifications. With
    --anchors it also proves that history was not written anew, by whomever. Exit code 0: all is
    as it was written; 1: something is wrong, the first bad offset and the class of each finding
    are named; 2: it could not be checked.

    Example: ingest-service verify --from 2025-03-01 --to 2025-04-01
    """
    dsn = settings.load().require_dsn()
    selection = Selection(topic, partition, _moment(since), _moment(until))
    witness = _witness(anchors, public_key or [], selection)
    # Millions of short-lived tuples, and no cycles: collecting as often as usual costs a fifth.
    gc.set_threshold(200_000, 50, 100)
    manner = Manner(jobs or _jobs(), resume)
    try:
        with progress() as told:
            report = run(prove(dsn, selection, told, witness, manner))
    except DatabaseUnavailableError as exc:
        # Exit code 1 is for findings alone: whoever is paged by it must not meet a network fault.
        raise SetupError(f"nothing was proved: {exc}") from exc
    typer.echo(as_json(report) if json else as_text(report))
    _note(dsn, report)
    if not report.is_good:
        raise typer.Exit(FOUND_WRONG)


def _witness(path: Path | None, keys: list[Path], selection: Selection) -> Witness | None:
    if path is None and not keys:
        return None
    if path is None or not keys:
        raise SetupError("--anchors and --public-key go together: a signature needs its key")
    return read_witness(path, read_public_keys(keys), selection)


def _note(dsn: str, report: Report) -> None:
    """Note the result where dashboards look; a replica, or a login that only reads, cannot."""
    try:
        run(record(dsn, verification_of(report)))
    except IngestError as exc:
        say(f"the result was not noted in the database: {exc}")
