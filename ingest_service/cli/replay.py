"""`ingest-service replay`: send again what a sink refused, or never had."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated

import typer

from ingest_service import settings
from ingest_service.adapters.http import HttpSender
from ingest_service.adapters.kafka_dead_letters import DeadLetterProducer
from ingest_service.adapters.kafka_letters import open_letters
from ingest_service.adapters.kept_originals import open_originals
from ingest_service.cli.output import FOUND_WRONG, run
from ingest_service.cli.replay_report import progress, show_letters, show_refilled
from ingest_service.errors import SetupError
from ingest_service.forwarder import Destination, destinations
from ingest_service.replay.backlog import Choice
from ingest_service.replay.courier import Courier
from ingest_service.replay.dead_letters import Resent, Tell, resend, survey
from ingest_service.replay.refill import Refilled, Wanted, find_stream, refill
from ingest_service.replay.resumption import Resumption, resume_behind
from ingest_service.settings import Settings
from ingest_service.telemetry import logs

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Send again what a sink refused, or never had.\n\n"
    "Example: ingest-service replay dead-letters --sink splunk --dry-run",
)

_MOST_PARTITION = 2**31 - 1

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command(name="dead-letters")
def dead_letters(
    *,
    sink: Annotated[
        list[str] | None, typer.Option(help="Letters of this sink alone; may be repeated.")
    ] = None,
    reason: Annotated[
        list[str] | None, typer.Option(help="Letters with this reason alone; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, send nothing.")] = False,
    json: AsJson = False,
) -> None:
    """Send dead letters to their sink again, once the cause is mended.

    Each letter once: what was sent gets a receipt in the dead-letter topic, and a second run, with
    whatever filters, passes it over. What is refused again stays as it is. Exit code 0: nothing is
    left to send; 1: something is, or a sink cannot be reached.

    Example: ingest-service replay dead-letters --sink splunk --reason invalid_data
    """
    choice = Choice(_named(sink), _named(reason))
    with progress("letters") as tell:
        resent = run(_dead_letters(_settings(), choice, tell, dry_run=dry_run))
    show_letters(resent, dry_run=dry_run, json=json)
    if not dry_run and not resent.is_done:
        raise typer.Exit(FOUND_WRONG)


async def _dead_letters(chosen: Settings, choice: Choice, tell: Tell, *, dry_run: bool) -> Resent:
    on = destinations(chosen)
    async with AsyncExitStack() as stack:
        letters = await stack.enter_async_context(
            open_letters(chosen.kafka, f"{chosen.kafka.group_prefix}-replay")
        )
        backlog = await survey(letters, choice)
        if dry_run:
            return Resent.of(backlog, on)
        couriers = {
            name: await _courier(stack, destination, None)
            for name, destination in on.items()
            if name in backlog.sinks
        }
        receipts = await stack.enter_async_context(DeadLetterProducer(chosen.kafka))
        return await resend(letters, backlog, couriers, receipts, tell)


@app.command(name="sink")
def sink_(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="splunk or datadog.")],
    partition: Annotated[
        int, typer.Option(min=0, max=_MOST_PARTITION, help="The partition that has a hole.")
    ],
    first: Annotated[int, typer.Option("--from", min=0, help="The first offset to send.")],
    end: Annotated[
        int, typer.Option("--to", min=1, help="Up to, and without, this offset: the next to come.")
    ],
    already_sent: Annotated[
        bool,
        typer.Option(
            "--already-sent", help="Send nothing: an earlier run did. Move the forwarder."
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Fill a sink from the originals in the database: records that left Kafka before it had them.

    Sends what the persister kept, byte for byte, with the same audit ids and positions; a second
    run sends it again. A forwarder that stands within the range and does not run goes on behind
    it afterwards. Needs INGEST_DATABASE__DSN with the role gateway_audit_operator.

    Example: ingest-service replay sink splunk --partition 3 --from 120000 --to 180000
    """
    if first >= end:
        raise SetupError("--from must be below --to")
    chosen = _settings()
    destination = _destination(chosen, name)
    wanted = Wanted(chosen.kafka.topic, partition, first, end)
    with progress("records") as tell:
        refilled = None if already_sent else run(_refill(chosen, destination, wanted, tell))
    resumption = run(resume_behind(chosen.kafka, name, wanted))
    show_refilled(name, wanted, refilled, resumption, json=json)
    if not _is_complete(refilled, resumption):
        raise typer.Exit(FOUND_WRONG)


async def _refill(
    chosen: Settings, destination: Destination, wanted: Wanted, tell: Tell
) -> Refilled:
    async with AsyncExitStack() as stack:
        originals = await stack.enter_async_context(open_originals(chosen.require_dsn()))
        stream = await find_stream(originals, wanted)
        dead_letters = await stack.enter_async_context(DeadLetterProducer(chosen.kafka))
        courier = await _courier(stack, destination, dead_letters)
        return await refill(originals, stream, wanted, courier, tell)


async def _courier(
    stack: AsyncExitStack, destination: Destination, dead_letters: DeadLetterProducer | None
) -> Courier:
    sender = await stack.enter_async_context(HttpSender(destination.tls))
    return Courier(destination.sink, sender, dead_letters)


def _destination(chosen: Settings, name: str) -> Destination:
    on = destinations(chosen)
    if name not in on:
        raise SetupError(f"the sink {name} is not on; on: {', '.join(on) or 'none'}")
    return on[name]


def _settings() -> Settings:
    """Return the settings; a worker's log lines would stand between a command's own."""
    chosen = settings.load()
    logs.configure("error", chosen.log.format)
    return chosen


def _named(names: Sequence[str] | None) -> frozenset[str] | None:
    return frozenset(names) if names else None


def _is_complete(refilled: Refilled | None, resumption: Resumption) -> bool:
    return (refilled is None or not refilled.missing) and not resumption.must_stop_first
