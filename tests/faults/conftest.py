"""One stage for each fault test: on each edition, on the one that matters, on a server of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from stage import on_stage
from stage.databases import own_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from stage import Stage
    from stage.databases import OwnServer

    FreshDatabase = Callable[[str], AbstractAsyncContextManager[str]]
    StageOn = Callable[[str], AbstractAsyncContextManager[Stage]]


@pytest.fixture
def stage_on(kafka_bootstrap: str, topic_name: str, tmp_path: Path) -> StageOn:
    """Return what makes a stage: three partitions, this database migrated, and no worker yet."""
    return lambda dsn: on_stage(kafka_bootstrap, topic_name, dsn, tmp_path)


@pytest_asyncio.fixture
async def stage(stage_on: StageOn, database_dsn: str) -> AsyncIterator[Stage]:
    """Yield a stage on each edition in turn."""
    async with stage_on(database_dsn) as stage:
        yield stage


@pytest_asyncio.fixture
async def timescale_stage(stage_on: StageOn, fresh_database: FreshDatabase) -> AsyncIterator[Stage]:
    """Yield a stage on TimescaleDB, for faults that are the same on both editions."""
    async with fresh_database("timescaledb") as dsn, stage_on(dsn) as stage:
        yield stage


@pytest_asyncio.fixture
async def plain_stage(stage_on: StageOn, fresh_database: FreshDatabase) -> AsyncIterator[Stage]:
    """Yield a stage on plain PostgreSQL, for what only concerns its partitions."""
    async with fresh_database("plain") as dsn, stage_on(dsn) as stage:
        yield stage


@pytest.fixture
def server() -> Iterator[OwnServer]:
    """Yield a PostgreSQL that this test may kill, freeze or fill."""
    with own_server() as server:
        yield server


@pytest_asyncio.fixture
async def stage_on_own_server(stage_on: StageOn, server: OwnServer) -> AsyncIterator[Stage]:
    """Yield a stage on the server of the test's own."""
    async with stage_on(server.dsn) as stage:
        yield stage
