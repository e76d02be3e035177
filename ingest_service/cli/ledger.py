"""`ingest-service ledger`: what only an operator decides, each with a reason, kept for ever."""

import json as jsonlib
from typing import Annotated, Any

import typer

from ingest_service import settings
from ingest_service.adapters.kafka_offsets import log_bounds
from ingest_service.cli.output import run
from ingest_service.compliance import ledger_entries
from ingest_service.compliance.ledger_entries import Epoch, Gap
from ingest_service.errors import SetupError
from ingest_service.events.decode import CONTRACT
from ingest_service.ledger import Rules
from ingest_service.publisher.text import is_text
from ingest_service.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Decide what only an operator may: gaps, and new epochs.\n\n"
    "Needs a login with gateway_audit_operator in INGEST_DATABASE__DSN.\n\n"
    "Example: ingest-service ledger accept-gap --partition 3 --reason 'broker lost its disk'",
)

_MOST_PARTITION = 2**31 - 1  # PostgreSQL's integer, and Kafka's


def _text(value: str | None) -> str | None:
    """Refuse bytes of another encoding, which PostgreSQL would not take."""
    if value is not None and not is_text(value):
        raise typer.BadParameter("write it in UTF-8")
    return value


Topic = Annotated[
    str | None,
    typer.Option(callback=_text, help="The topic.  [default: INGEST_KAFKA__TOPIC]"),
]
Reason = Annotated[
    str,
    typer.Option(callback=_text, help="Why: kept in the ledger for ever, with your login."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, do nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command(name="accept-gap")
def accept_gap(
    *,
    partition: Annotated[
        int, typer.Option(min=0, max=_MOST_PARTITION, help="The partition that stands still.")
    ],
    reason: Reason,
    to: Annotated[
        int | None,
        typer.Option(min=1, help="Go on at this offset.  [default: where Kafka's log starts]"),
    ] = None,
    including_kept: Annotated[
        bool,
        typer.Option("--including-kept", help="Give up records, too, that Kafka still has."),
    ] = False,
    topic: Topic = None,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Accept that records are gone from Kafka before they were persisted.

    The partition goes on behind the gap; the ledger says for ever that it is there, and `verify`
    reports it. Nothing can take it back.

    Example: ingest-service ledger accept-gap --partition 3 --reason "retention was 1 h too short"
    """
    gap = run(
        _accept_gap(
            settings.load(), topic, partition, to, reason,
            including_kept=including_kept, dry_run=dry_run,
        )
    )  # fmt: skip
    typer.echo(jsonlib.dumps(_gap_fields(gap)) if json else _gap_text(gap))


async def _accept_gap(
    chosen: Settings,
    topic: str | None,
    partition: int,
    to: int | None,
    reason: str,
    *,
    including_kept: bool,
    dry_run: bool,
) -> Gap:
    place = topic or chosen.kafka.topic, partition
    bounds = await log_bounds(chosen.kafka, *place)
    to = ledger_entries.judge_bounds(bounds, to, including_kept=including_kept)
    rules = Rules.of(CONTRACT, chosen.events.limits)
    dsn = chosen.require_dsn()
    return await ledger_entries.accept_gap(dsn, place, to, reason, rules, dry_run=dry_run)


@app.command(name="new-epoch")
def new_epoch(
    *,
    reason: Reason,
    partition: Annotated[
        int | None, typer.Option(min=0, max=_MOST_PARTITION, help="The partition.")
    ] = None,
    all_partitions: Annotated[
        bool, typer.Option("--all-partitions", help="Every partition that was ever assigned.")
    ] = False,
    topic: Topic = None,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Say that a topic was made again: its offsets begin anew, as another stream.

    What was stored of the life before stays as it is. The worker that stopped the partition begins
    the new epoch at the log's start within seconds, without a restart.

    Example: ingest-service ledger new-epoch --all-partitions --reason "topic made again"
    """
    if (partition is None) != all_partitions:
        raise SetupError("say one of --partition N and --all-partitions")
    chosen = settings.load()
    epochs = run(
        ledger_entries.open_epochs(
            chosen.require_dsn(), topic or chosen.kafka.topic, partition, reason, dry_run=dry_run
        )
    )
    if json:
        fields = [_epoch_fields(each) | {"opened": not dry_run} for each in epochs]
        typer.echo(jsonlib.dumps(fields))
    else:
        typer.echo("\n".join(_epoch_text(each, dry_run=dry_run) for each in epochs))


def _gap_fields(gap: Gap) -> dict[str, Any]:
    return {
        "topic": gap.stream.topic,
        "partition": gap.stream.partition,
        "epoch": gap.stream.epoch,
        "sequence": gap.entry.sequence,
        "first_offset": gap.entry.first_offset,
        "next_offset": gap.entry.next_offset,
        "records": gap.lost,
        "accepted": gap.note is not None,
        "note": gap.note,
    }


def _gap_text(gap: Gap) -> str:
    stream, entry = gap.stream, gap.entry
    done = "would be given up. Nothing was done" if gap.note is None else "given up"
    told = "" if gap.note is None else f", as entry {entry.sequence}: {gap.note}"
    return (
        f"{stream.topic}/{stream.partition}: {gap.lost:,} records, offsets "
        f"{entry.first_offset}-{entry.next_offset - 1}, {done}{told}"
    )


def _epoch_fields(each: Epoch) -> dict[str, Any]:
    return {
        "topic": each.stream.topic,
        "partition": each.stream.partition,
        "epoch": each.epoch,
        "before_ended_at": each.ended_at,
    }


def _epoch_text(each: Epoch, *, dry_run: bool) -> str:
    done = "would be opened. Nothing was done" if dry_run else "opened"
    return (
        f"{each.stream.topic}/{each.stream.partition}: epoch {each.epoch} {done} "
        f"(the one before ended at {each.ended_at})"
    )
