"""What Kafka is told of the ledger's progress: for lag tools, nobody else reads it."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from ingest_service.persist.failpoints import failpoint
from ingest_service.persist.ports import Source

_EVERY_SECONDS = 1.0


class Progress(Protocol):
    """How far the ledger is, by partition."""

    @property
    def durable(self) -> Mapping[int, int]:
        """The next offset to be made durable."""
        ...


async def commit_offsets(source: Source, progress: Progress) -> None:
    """Tell Kafka once a second how far the ledger is."""
    told: Mapping[int, int] = {}
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        told = await commit_durable(source, progress, told)


async def commit_durable(
    source: Source, progress: Progress, told: Mapping[int, int]
) -> Mapping[int, int]:
    """Commit what has moved since `told`; return what is told now."""
    durable = dict(progress.durable)
    moved = {n: offset for n, offset in durable.items() if told.get(n) != offset}
    if not await source.commit(moved):
        return told
    failpoint("after_kafka_commit")
    return durable
