"""How far `verify` is, on a terminal, with an estimate of what is left."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ingest_service.compliance.verify import Progress as Told


@contextmanager
def progress() -> Iterator[Told]:
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
