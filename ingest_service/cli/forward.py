"""`ingest-service forward`: the worker that sends audit events to Splunk and Datadog."""

import datetime as dt
from typing import Annotated, Literal

import typer

from ingest_service import settings
from ingest_service.cli.output import run_worker
from ingest_service.errors import SetupError
from ingest_service.telemetry import logs


def forward(
    sink: Annotated[
        str | None,
        typer.Option(help="One sink alone: splunk or datadog. Default: all that are on."),
    ] = None,
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            help="Where a partition begins that this sink never had: earliest, latest, or a time "
            "like 2026-01-31T12:00Z.",
        ),
    ] = "earliest",
    accept_gap: Annotated[
        bool,
        typer.Option(
            "--accept-gap",
            help="Where the next record has left Kafka, go on at the oldest one that is left.",
        ),
    ] = False,
) -> None:
    """Send audit events from Kafka to each SIEM that is on, at least once, until told to stop.

    Each sink has its own consumer group and goes its own pace. SIGTERM or Ctrl-C sends what has
    gathered and leaves; SIGUSR1 sends it and goes on. After a SIGKILL at most the requests in
    flight arrive twice.

    Example: INGEST_SPLUNK__URL=https://splunk:8088 ingest-service forward --sink splunk
    """
    from ingest_service import forwarder  # noqa: PLC0415 - costly to import, not for --help
    from ingest_service.forward.beginning import Beginning  # noqa: PLC0415 - the same

    config = settings.load()
    logs.configure(config.log.level, config.log.format)
    run_worker(forwarder.forward(config, sink, Beginning(_at(begin), accept_gap)))


def _at(text: str) -> Literal["earliest", "latest"] | int:
    if text == "earliest":
        return "earliest"
    if text == "latest":
        return "latest"
    try:
        when = dt.datetime.fromisoformat(text)
    except ValueError:
        raise SetupError(
            "--from: write earliest, latest, or a time like 2026-01-31T12:00:00Z"
        ) from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=dt.UTC)
    return int(when.timestamp() * 1000)
