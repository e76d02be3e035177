"""What `replay` shows: progress on a terminal, and what became of everything."""

import json as jsonlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ingest_service.replay.dead_letters import Resent
from ingest_service.replay.refill import Refilled, Wanted
from ingest_service.replay.resumption import Resumption, Step


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what is told how far it is: shown on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _done, _total: None
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as display:
        task = display.add_task(what, total=None)
        yield lambda done, total: display.update(task, completed=done, total=total)


def show_letters(resent: Resent, *, dry_run: bool, json: bool) -> None:
    """Print a line for each sink and reason."""
    rows = [
        {
            "sink": kind.sink,
            "reason": kind.reason,
            "found": count,
            "sent_before": resent.sent_before[kind],
            "sent": resent.sent[kind],
            "refused_again": resent.refused_again[kind],
            "waiting": resent.waiting(kind),
        }
        for kind, count in sorted(resent.found.items())
    ]
    if json:
        told = {"dry_run": dry_run, "left_out": resent.left_out, "sinks_off": resent.sinks_off}
        typer.echo(jsonlib.dumps(told | {"letters": rows}))
        return
    if not rows:
        typer.echo("no dead letters")
    for row in rows:
        typer.echo(_letters_text(row, dry_run=dry_run))
    for sink in resent.sinks_off:
        typer.echo(f"{sink}: not on, so nothing was sent to it")


def _letters_text(row: dict[str, object], *, dry_run: bool) -> str:
    before = f"{row['found']:,} letters, {row['sent_before']:,} sent before"
    if dry_run:
        return f"{row['sink']} {row['reason']}: {before}, {row['waiting']:,} would be sent"
    return (
        f"{row['sink']} {row['reason']}: {before}, {row['sent']:,} sent now, "
        f"{row['refused_again']:,} refused again"
    )


def show_refilled(
    sink: str, wanted: Wanted, refilled: Refilled | None, resumption: Resumption, *, json: bool
) -> None:
    """Print what became of the range, and where the forwarder goes on."""
    if json:
        counts = None if refilled is None else refilled._asdict()
        told = wanted._asdict() | {"sink": sink, "records": counts}
        told["forwarder"] = {"step": resumption.step.value, "offset": resumption.offset}
        typer.echo(jsonlib.dumps(told))
        return
    place = f"{wanted.topic}/{wanted.partition} {wanted.first}-{wanted.end - 1}"
    if refilled is not None:
        typer.echo(
            f"{sink}: {place}: {refilled.accepted:,} sent, {refilled.left_out:,} left out by the "
            f"settings, {refilled.dead_lettered:,} dead-lettered, {refilled.missing:,} not kept "
            "(a gap or a purge)"
        )
    typer.echo(_forwarder_text(sink, wanted, resumption))


def _forwarder_text(sink: str, wanted: Wanted, resumption: Resumption) -> str:
    stands = f"the forwarder of {sink}"
    if resumption.step is Step.MOVE:
        return f"{stands} goes on at {resumption.offset}"
    if resumption.step is Step.STOP_FIRST:
        return (
            f"{stands} runs and stands at {resumption.offset}: stop it, run "
            f"`ingest-service replay sink {sink} --partition {wanted.partition} "
            f"--from {wanted.first} --to {wanted.end} --already-sent`, and start it"
        )
    if resumption.offset is None:
        return f"{stands} has not begun with this partition"
    return f"{stands} stands at {resumption.offset}, outside of this range: it was left there"
