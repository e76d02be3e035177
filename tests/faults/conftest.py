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


@pytest_asyncio.fixture
async def stage(
    kafka_bootstrap: str, topic_name: str, database_dsn: str, tmp_path: Path
) -> AsyncIterator[Stage]:
    """Yield a topic of three partitions, a migrated database, and no worker yet."""
    async with on_stage(kafka_bootstrap, topic_name, database_dsn, tmp_path) as stage:
        yield stage


@pytest_asyncio.fixture
async def timescale_stage(
    kafka_bootstrap: str, topic_name: str, fresh_database: FreshDatabase, tmp_path: Path
) -> AsyncIterator[Stage]:
    """Yield a stage on TimescaleDB, for faults that are the same on both editions."""
    async with (
        fresh_database("timescaledb") as dsn,
        on_stage(kafka_bootstrap, topic_name, dsn, tmp_path) as stage,
    ):
        yield stage


@pytest_asyncio.fixture
async def plain_stage(
    kafka_bootstrap: str, topic_name: str, fresh_database: FreshDatabase, tmp_path: Path
) -> AsyncIterator[Stage]:
    """Yield a stage on plain PostgreSQL, for what only concerns its partitions."""
    async with (
        fresh_database("plain") as dsn,
        on_stage(kafka_bootstrap, topic_name, dsn, tmp_path) as stage,
    ):
        yield stage


@pytest.fixture
def server() -> Iterator[OwnServer]:
    """Yield a PostgreSQL that this test may kill, freeze or fill."""
    with own_server() as server:
        yield server


@pytest_asyncio.fixture
async def stage_on_own_server(
    kafka_bootstrap: str, topic_name: str, server: OwnServer, tmp_path: Path
) -> AsyncIterator[Stage]:
    """Yield a stage on the server of the test's own."""
    async with on_stage(kafka_bootstrap, topic_name, server.dsn, tmp_path) as stage:
        yield stage
