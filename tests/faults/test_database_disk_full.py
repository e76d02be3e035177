"""The database's disk is full: writes are tried again until there is room, and nothing is put aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stage import assert_invariants, on_stage, until
from stage.databases import own_server_on_small_disk, session
from stage.journal import event

if TYPE_CHECKING:
    import random
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

DISK_MIB = 192
LEFT_BYTES = 3 * 1024 * 1024
# Little write-ahead log, or it would be the first to meet the end of the disk.
SMALL_LOG = {"max_wal_size": "48MB", "min_wal_size": "32MB", "shared_buffers": "16MB"}


async def test_full_disk_is_waited_out_and_nothing_is_quarantined(
    kafka_bootstrap: str, topic_name: str, tmp_path: Path, seed: random.Random
) -> None:
    """Whether the server refuses single writes or gives up, all is there once there is room."""
    with own_server_on_small_disk(DISK_MIB, **SMALL_LOG) as server:
        assert server.disk is not None
        async with on_stage(kafka_bootstrap, topic_name, server.dsn, tmp_path) as stage:
            worker = stage.start_worker()
            await stage.produce(_large_events(seed, 50))
            await stage.drained()
            server.disk.fill(leave_bytes=LEFT_BYTES)

            async def was_refused() -> bool:
                await stage.produce(_large_events(seed, 200))
                return await worker.counted("sark_audit_write_errors_total") >= 4

            await until(was_refused, what="writes fail")
            _, details = await worker.get("/health/detailed")
            server.disk.make_room()
            if not server.is_alive():
                server.start_again()
            await stage.drained()
            assert worker.returncode is None
            async with session(stage.dsn) as watcher:
                aside = await watcher.fetchval("select count(*) from gateway_audit_quarantine")
            assert aside == 0
            assert "unhealthy" in details
            await assert_invariants(stage)


def _large_events(seed: random.Random, count: int) -> list[bytes]:
    return [event(seed, n, metadata={"n": f"{seed.getrandbits(8_000):x}"}) for n in range(count)]
