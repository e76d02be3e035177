"""`ingest-service verify`: prove that what is stored is what arrived, all of it, once."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ingest_service import settings
from ingest_service.cli.output import FOUND_WRONG, run
from ingest_service.cli.verify_report import as_json, as_text
from ingest_service.compliance.selection import Selection
from ingest_service.compliance.verify import Progress as Told
from ingest_service.compliance.verify import verify as prove
from ingest_service.errors import DatabaseUnavailableError, SetupError


def verify(
    topic: Annotated[str | None, typer.Option(help="Check this topic alone.")] = None,
    partition: Annotated[
        int | None, typer.Option(min=0, help="Check this partition alone.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Prove that the database holds what arrived: unchanged, complete, and nothing else.

    Decodes every kept original again and compares it with its row, checks the hash chain, and
    counts what no entry accounts for. Reads one snapshot, also beside running workers, and writes
    nothing: any role with gateway_audit_operator will do. Exit code 0: all is as it was written;
    1: something is wrong, the first bad offset and the class of each finding are named;
    2: it could not be checked.

    Example: ingest-service verify --partition 3
    """
    dsn = settings.load().require_dsn()
    # Millions of short-lived tuples, and no cycles: collecting as often as usual costs a fifth.
    gc.set_threshold(200_000, 50, 100)
    try:
        with _progress() as told:
            report = run(prove(dsn, Selection(topic, partition), told))
    except DatabaseUnavailableError as exc:
        # Exit code 1 is for findings alone: whoever is paged by it must not meet a network fault.
        raise SetupError(f"nothing was proved: {exc}") from exc
    typer.echo(as_json(report) if json else as_text(report))
    if not report.is_good:
        raise typer.Exit(FOUND_WRONG)


@contextmanager
def _progress() -> Iterator[Told]:
    """Yield what is told how far it is: shown on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _done, _total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as display:
        task = display.add_task("records", total=None)

        def tell(done: int, total: int) -> None:
            last = done == total
            description = "whole tables" if last else "records"
            display.update(task, completed=done, total=total, description=description)

        yield tell
