"""One stage for each end-to-end test, on TimescaleDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from stage import on_stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from stage import Stage


@pytest_asyncio.fixture
async def stage(
    kafka_bootstrap: str,
    topic_name: str,
    fresh_database: Callable[[str], AbstractAsyncContextManager[str]],
    tmp_path: Path,
) -> AsyncIterator[Stage]:
    """Yield a topic of three partitions, a migrated database, and no worker yet."""
    async with (
        fresh_database("timescaledb") as dsn,
        on_stage(kafka_bootstrap, topic_name, dsn, tmp_path) as stage,
    ):
        yield stage
