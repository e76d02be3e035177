"""`ingest-service publish`: events from a file, a pipe, or thin air, into Kafka."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ingest_service import settings
from ingest_service.cli.output import FOUND_WRONG, run, say
from ingest_service.cli.publish_display import complain, progress, show_summary
from ingest_service.errors import SetupError
from ingest_service.interruption import INTERRUPTED
from ingest_service.publisher.outbox import Outbox
from ingest_service.publisher.pacing import sample_lines
from ingest_service.publisher.publication import Account, Publication, connected
from ingest_service.publisher.reading import read_lines

_STALLED_SECONDS = 30.0
_STANDARD_INPUT = 0


def publish(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE|-", help="JSON lines; - is standard input.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Publish so many made-up, believable events.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, help="Made-up events a second; without --sample until Ctrl-C."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Make up the same as last time, but for ids and times.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Publish audit events: JSON lines, each sent as it is when it would become a row.

    A line that would be quarantined is refused: its number and the reason go to standard error,
    the others go on. A line without an id gets one made from its content, so publishing a file
    again makes no second rows. Exit code 0: all replicas have every line. 1: some are not
    recorded, and the summary says after which line to go on.

    Example: ingest-service publish events.jsonl

    Example: ingest-service publish --sample 1000 --rate 50
    """
    made_up = sample is not None or rate is not None
    if made_up == (file is not None):
        raise typer.BadParameter("give one of: a FILE, - for standard input, --sample, --rate")
    config = settings.load()
    started = time.perf_counter()
    with _lines(file, sample, rate, seed) as lines:
        account, interrupted = run(_publish(config, lines, sample))
    show_summary(account, time.perf_counter() - started, interrupted=interrupted, json=json)
    if not account.all_recorded:
        raise typer.Exit(FOUND_WRONG)
    if interrupted and file is not None:
        raise typer.Exit(INTERRUPTED)


async def _publish(
    config: settings.Settings, lines: AsyncIterator[bytes], expected: int | None
) -> tuple[Account, bool]:
    account = Account()
    with progress(account, expected), _interruption() as interrupted:
        async with connected(config.kafka) as outbox:
            publication = Publication(outbox, account, config.events.limits, complain)
            feeding = asyncio.create_task(publication.feed(lines), name="publish-feed")
            await _ended(feeding, interrupted, outbox, account)
    if not feeding.cancelled():
        feeding.result()
    return account, interrupted.is_set()


async def _ended(
    feeding: "asyncio.Task[None]", interrupted: asyncio.Event, outbox: Outbox, account: Account
) -> None:
    """Wait until all lines are taken, or somebody stops it, or nothing has moved for long."""
    stopping = asyncio.create_task(interrupted.wait(), name="publish-stop")
    done: set[asyncio.Task[None] | asyncio.Task[bool]] = set()
    moved = True
    while not done and moved:
        before = account.settled
        done, _ = await asyncio.wait(
            {feeding, stopping}, timeout=_STALLED_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        moved = account.settled > before or not account.unsettled
    if not moved and not done:
        say(f"giving up, nothing was taken for {_STALLED_SECONDS:.0f} s: {outbox.trouble}")
    stopping.cancel()
    feeding.cancel()
    await asyncio.wait({feeding, stopping})


@contextmanager
def _lines(
    file: Path | None, sample: int | None, rate: float | None, seed: int | None
) -> Iterator[AsyncIterator[bytes]]:
    if file is None:
        yield sample_lines(sample, rate, seed)
    elif str(file) == "-":
        yield read_lines(_STANDARD_INPUT)
    else:
        try:
            source = file.open("rb", buffering=0)
        except OSError as exc:
            raise SetupError(f"{file} cannot be read: {exc.strerror}") from exc
        with source:
            yield read_lines(source.fileno())


@contextmanager
def _interruption() -> Iterator[asyncio.Event]:
    """Yield what Ctrl-C and SIGTERM set: nothing more is read then, and what was read is sent."""
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    try:
        yield interrupted
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
