"""`ingest-service migrate`: bring the database's schema to this release's revision."""

import json as jsonlib
from typing import Annotated

import typer

from ingest_service import settings
from ingest_service.adapters import migrations
from ingest_service.adapters.migrations import MigrationReport, Step
from ingest_service.cli.output import run, say
from ingest_service.errors import SetupError


def migrate(
    to: Annotated[
        str | None, typer.Option(metavar="REV", help="Go up to this revision. [default: newest]")
    ] = None,
    down: Annotated[
        str | None, typer.Option(metavar="REV", help="Go down to this revision; base: drop all.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --down: destroy a ledger that is not empty.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Create or upgrade the tables, roles and views in the database.

    All or nothing, and safe to repeat: a second run changes nothing, one at the same time waits.
    Run it as the database's owner, with the right CREATEROLE; needs INGEST_DATABASE__DSN.

    Example: INGEST_DATABASE__DSN=postgresql://owner@localhost/audit ingest-service migrate
    """
    step = _step(to, down, force=force)
    dsn = settings.load().require_dsn()
    report = run(migrations.migrate(dsn, step, say))
    typer.echo(_as_json(report) if json else _as_text(report))


def _step(to: str | None, down: str | None, *, force: bool) -> Step:
    if to is not None and down is not None:
        raise SetupError("--to and --down exclude each other")
    if force and down is None:
        raise SetupError("--force goes with --down")
    return Step(to or "head") if down is None else Step(down, down=True, force=force)


def _as_json(report: MigrationReport) -> str:
    return jsonlib.dumps(report._asdict() | {"changed": report.changed})


def _as_text(report: MigrationReport) -> str:
    if not report.changed:
        return f"{report.server}: nothing to do, the schema is at {report.after or 'base'}."
    return f"{report.server}: schema {report.before or 'base'} → {report.after or 'base'}."
