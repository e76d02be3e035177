"""`ingest-service check`: one line for each thing the service needs."""

import json as jsonlib
from collections.abc import Sequence
from typing import Annotated

import typer

from ingest_service import settings
from ingest_service.cli.output import FOUND_WRONG, run
from ingest_service.preflight.check import check as look
from ingest_service.preflight.finding import Finding, Verdict

MARKS = {Verdict.RIGHT: "✓", Verdict.WARNING: "!", Verdict.WRONG: "✗"}
_COLOURS = {Verdict.RIGHT: "green", Verdict.WARNING: "yellow", Verdict.WRONG: "red"}


def check(
    send_event: Annotated[
        bool,
        typer.Option("--send-event", help="Send Splunk an event: only so an index can be tried."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look whether everything is there, reachable, allowed and set up right.

    Kafka, its topics and their settings, the consumer groups; the database, its schema and what
    our role may do; each sink that is on and what its token may do. ✓ is right, ! works but
    deserves a thought, ✗ must be changed (exit code 1).

    Example: ingest-service check --json
    """
    findings = run(look(settings.load(), send_event=send_event))
    show(findings, json=json)
    if any(finding.verdict is Verdict.WRONG for finding in findings):
        raise typer.Exit(FOUND_WRONG)


def show(findings: Sequence[Finding], *, json: bool) -> None:
    """Print findings, a line each, for a person or for a machine."""
    if json:
        typer.echo(jsonlib.dumps([finding._asdict() for finding in findings], indent=2))
        return
    for finding in findings:
        mark = typer.style(MARKS[finding.verdict], fg=_COLOURS[finding.verdict])
        advice = f" → {finding.advice}" if finding.advice else ""
        typer.echo(f"{mark} {finding.subject}: {finding.said}{advice}")
