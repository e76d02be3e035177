"""One stage for each fault test, on each edition of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from stage import on_stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from stage import Stage


@pytest_asyncio.fixture
async def stage(
    kafka_bootstrap: str, topic_name: str, database_dsn: str, tmp_path: Path
) -> AsyncIterator[Stage]:
    """Yield a topic of three partitions, a migrated database, and no worker yet."""
    async with on_stage(kafka_bootstrap, topic_name, database_dsn, tmp_path) as stage:
        yield stage
