"""`ingest-service trace`: where one event is, and where it was."""

import sys
from typing import Annotated

import typer

from ingest_service import settings
from ingest_service.cli.output import FOUND_WRONG, run
from ingest_service.cli.trace_json import as_json
from ingest_service.cli.trace_report import as_text
from ingest_service.compliance.question import question
from ingest_service.compliance.sighting import Report
from ingest_service.errors import SetupError
from ingest_service.tracer import trace as follow


def trace(
    asked: Annotated[
        str,
        typer.Argument(
            metavar="ID|REQUEST_ID|PARTITION:OFFSET",
            help="An audit id, a request id, or a place in Kafka.",
        ),
    ],
    *,
    topic: Annotated[
        str | None, typer.Option(help="The topic.  [default: INGEST_KAFKA__TOPIC]")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the record's value as it arrived, nothing else.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what is known as JSON.")] = False,
) -> None:
    """Tell where one event is and was: Kafka, row, ledger, quarantine, each sink.

    Needs a login with gateway_audit_operator in INGEST_DATABASE__DSN; what Kafka knows is left out
    when it is away, and that is said. Only reads. Exit code 0: found, and as it was written;
    1: not found, something is wrong with it, or not everything could be asked.

    Example: ingest-service trace 3:120045
    """
    if not asked or _is_no_text(asked):
        raise SetupError("say what to trace, in UTF-8")
    if raw and json:
        raise SetupError("--raw and --json exclude each other")
    chosen = settings.load()
    report = run(follow(chosen, question(asked), topic or chosen.kafka.topic))
    if raw:
        _write_value(report)
    else:
        typer.echo(as_json(report) if json else as_text(report))
    if not report.is_good:
        raise typer.Exit(FOUND_WRONG)


def _is_no_text(argument: str) -> bool:
    """Tell whether a shell handed over bytes of another encoding: lone surrogates to Python."""
    return any("\ud800" <= each <= "\udfff" for each in argument)


def _write_value(report: Report) -> None:
    """Write the bytes of the one record that was found; what is wrong goes to standard error."""
    values = [each.record.value for each in report.sightings if each.record is not None]
    if len(values) != 1:
        raise SetupError(
            f"{len(values)} records match: --raw needs one, as PARTITION:OFFSET"
            if values
            else "nothing that could be printed is known of this"
        )
    for wrong in [wrong for each in report.sightings for wrong in each.wrong]:
        typer.echo(f"ingest-service: {wrong}", err=True)
    sys.stdout.buffer.write(values[0] or b"")
    sys.stdout.buffer.flush()
