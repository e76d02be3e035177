"""A child of `crew`: `python -m ingest_service.compliance.crew_member`."""

import asyncio
import gc
import signal
import sys
from collections.abc import Iterable

import msgspec

from ingest_service.adapters.evidence import open_evidence
from ingest_service.compliance.checking import check
from ingest_service.compliance.crew import Order, Reply
from ingest_service.compliance.pieces import Piece
from ingest_service.errors import DatabaseUnavailableError, SetupError


def main() -> None:
    """Check each piece that comes, until no more do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    gc.set_threshold(200_000, 50, 100)  # millions of short-lived tuples, and no cycles
    lines = iter(sys.stdin.buffer.readline, b"")
    order = msgspec.json.decode(next(lines), type=Order)
    try:
        asyncio.run(_work(order, lines))
    except (SetupError, DatabaseUnavailableError) as exc:
        _say(Reply(refusal=str(exc), is_setup=isinstance(exc, SetupError)))


async def _work(order: Order, lines: Iterable[bytes]) -> None:
    async with open_evidence(order.dsn, order.snapshot) as evidence:
        for line in lines:
            piece = msgspec.json.decode(line, type=Piece)
            outcome = await check(evidence, piece, lambda records: _say(Reply(records=records)))
            _say(Reply(outcome=outcome))


def _say(reply: Reply) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(reply) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
