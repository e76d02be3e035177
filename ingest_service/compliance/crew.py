"""Several processes that check pieces, all in one snapshot: Python computes on one core each.

A child reads pieces from its standard input, a line each, and writes what it found, likewise. It
ends when its input does, so none outlives whoever started it by more than a batch.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import msgspec

from ingest_service.compliance.checking import Tell
from ingest_service.compliance.pieces import Outcome, Piece
from ingest_service.errors import DatabaseUnavailableError, SetupError

_LINE_BYTES = 256 * 1024 * 1024
_CHILD = "ingest_service.compliance.crew_member"


class Order(NamedTuple):
    """The first line to a child: where to look, and at which moment."""

    dsn: str
    snapshot: str


class Reply(msgspec.Struct, omit_defaults=True):
    """A line from a child: progress, an outcome, or why there is none."""

    records: int = 0
    outcome: Outcome | None = None
    refusal: str | None = None
    is_setup: bool = False


async def check_together(
    order: Order, jobs: int, pieces: Sequence[Piece], tell: Tell, take: Callable[[Outcome], None]
) -> None:
    """Have so many processes check the pieces; `take` each outcome as it comes.

    Raises `SetupError` or `DatabaseUnavailableError` as soon as one of them cannot go on.
    """
    waiting = iter(pieces)
    members = [
        asyncio.create_task(_member(order, waiting, tell, take), name=f"verify: process {n}")
        for n in range(min(jobs, len(pieces)))
    ]
    try:
        await asyncio.gather(*members)
    finally:
        for member in members:
            member.cancel()
        await asyncio.gather(*members, return_exceptions=True)


async def _member(
    order: Order, waiting: Iterator[Piece], tell: Tell, take: Callable[[Outcome], None]
) -> None:
    async with _child() as child:
        await _send(child, order)
        for piece in waiting:
            await _send(child, piece)
            take(await _outcome(child, tell))


async def _send(child: Process, what: NamedTuple) -> None:
    assert child.stdin is not None
    with suppress(ConnectionError):  # it has ended: what it said before tells more
        child.stdin.write(msgspec.json.encode(what) + b"\n")
        await child.stdin.drain()


async def _outcome(child: Process, tell: Tell) -> Outcome:
    assert child.stdout is not None
    while line := await child.stdout.readline():
        reply = msgspec.json.decode(line, type=Reply)
        if reply.refusal is not None:
            raise (SetupError if reply.is_setup else DatabaseUnavailableError)(reply.refusal)
        if reply.outcome is not None:
            return reply.outcome
        tell(reply.records)
    raise SetupError(
        f"a checking process ended by itself (exit code {await child.wait()}): was it killed for "
        "its memory? `--jobs 1` takes the least"
    )


@asynccontextmanager
async def _child() -> AsyncIterator[Process]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", _CHILD), stdin=PIPE, stdout=PIPE, limit=_LINE_BYTES
    )
    try:
        yield child
        assert child.stdin is not None
        child.stdin.close()
        await child.wait()
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
