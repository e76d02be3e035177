"""What `publish` shows: progress on a terminal, failed lines, a summary."""

import json as jsonlib
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from ingest_service.publisher.publication import Account


class _Counts(ProgressColumn):
    """The account, as it stands when the terminal is drawn."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self._account = account

    def render(self, task: Task) -> Text:
        account = self._account
        task.completed = account.recorded
        rate = account.recorded / task.elapsed if task.elapsed else 0.0
        failed = account.refused + account.not_recorded
        waiting = len(account.unsettled)
        return Text(
            f"{account.recorded:,} recorded  {rate:,.0f}/s  {waiting:,} waiting  {failed:,} failed"
        )


@contextmanager
def progress(account: Account, expected: int | None) -> Iterator[None]:
    """Show how far it is, on a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("publishing"), BarColumn(), _Counts(account), TimeElapsedColumn())
    with Progress(*columns, console=console, refresh_per_second=4) as display:
        display.add_task("publishing", total=expected)
        yield


def complain(line: int, why: str) -> None:
    """Name a line that is not recorded, never what stands in it."""
    typer.echo(f"line {line}: {why}", err=True)


def show_summary(account: Account, seconds: float, *, interrupted: bool, json: bool) -> None:
    """Print what became of the lines that were read."""
    if json:
        typer.echo(
            jsonlib.dumps(
                {
                    "read": account.read,
                    "recorded": account.recorded,
                    "refused": account.refused,
                    "not_recorded": account.not_recorded,
                    "settled_up_to_line": account.settled_up_to,
                    "interrupted": interrupted,
                    "seconds": round(seconds, 3),
                }
            )
        )
        return
    stopped = "stopped: " if interrupted else ""
    typer.echo(
        f"{stopped}{account.recorded:,} of {account.read:,} events recorded in {seconds:.1f} s "
        f"({account.recorded / seconds:,.0f}/s), {account.refused:,} refused, "
        f"{account.not_recorded:,} not recorded"
    )
    if account.not_recorded or interrupted:
        typer.echo(f"every line up to {account.settled_up_to:,} is recorded or refused")
