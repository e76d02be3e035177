r"""One turn of each: client-side `\\copy` into an empty table, then the persister's drain."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from ingest_service.adapters import migrations
from servers.databases import fresh_database
from stage import until

if TYPE_CHECKING:
    from profile_stages import Profile

    from stage import Stage

COLUMNS = (
    "id, event_type, user_id, agent_id, server_name, tool_name, decision, reason, "
    '"timestamp", gateway_request_id, metadata, stream_id, kafka_offset'
)
_WRITTEN = "select coalesce(sum(row_count), 0) from gateway_audit_ledger"


@dataclass
class Pair:
    """One turn of each; rows a second, and what the worker cost."""

    copy_rows_per_second: float
    persist_rows_per_second: float
    worker_cpu_us_per_row: float
    worker_peak_mb: float
    database_bytes_per_row: float

    @property
    def ratio(self) -> float:
        r"""The persister's speed in units of `\\copy`'s."""
        return self.persist_rows_per_second / self.copy_rows_per_second


@dataclass
class Drained:
    """What it took to empty a topic: one worker's time and cost, or several workers' together."""

    seconds: float
    rows: int
    cpu_seconds: float
    peak_mb: float
    """Of the largest worker."""
    shares: list[float]
    """Each worker's part of the rows, as its own metric counts them."""

    @property
    def rows_per_second(self) -> float:
        """The speed of all workers together."""
        return self.rows / self.seconds

    @property
    def cpu_us_per_row(self) -> float:
        """What all workers together spent on a row."""
        return self.cpu_seconds / self.rows * 1e6


async def pair(stage: Stage, server_dsn: str, rows: Path, events: int) -> Pair:
    """Measure one after the other, each into a fresh database."""
    async with fresh_database(server_dsn) as dsn:
        await _migrated(dsn)
        began = time.monotonic()
        await _client_side_copy(dsn, rows)
        copied = events / (time.monotonic() - began)
    drained, size = await drain_afresh(stage, server_dsn, events)
    return Pair(
        copied, drained.rows_per_second, drained.cpu_us_per_row, drained.peak_mb, size / events
    )


async def drain_afresh(
    stage: Stage, server_dsn: str, events: int, workers: int = 1
) -> tuple[Drained, int]:
    """Empty the topic into a database of its own; return what it took, and the bytes on disk."""
    async with fresh_database(server_dsn) as dsn:
        await _migrated(dsn)
        stage.dsn = dsn
        drained = await drain(stage, events, workers)
        connection = await asyncpg.connect(dsn)
        size = await connection.fetchval("select pg_database_size(current_database())")
        await connection.close()
        return drained, size


async def _migrated(dsn: str) -> None:
    await migrations.migrate(dsn, migrations.Step("head"), lambda _: None)
    connection = await asyncpg.connect(dsn)
    # Each turn begins with a clean slate for the disk.
    await connection.execute("checkpoint")
    await connection.close()


async def drain(
    stage: Stage, events: int, workers: int = 1, profile: Profile | None = None
) -> Drained:
    """Start workers on the full topic and measure from the moment when all have their partitions.

    What the first of several wrote before the last had joined is not counted.
    """
    settings = {"INGEST_DATABASE__LINGER_MS": "1000", "INGEST_DATABASE__DSN": stage.dsn}
    started = [stage.start_heir(**settings)]
    group = f"{stage.topic}.{len(stage.workers) - 1}"
    started += [
        stage.start_worker(INGEST_KAFKA__GROUP_PREFIX=group, **settings) for _ in range(workers - 1)
    ]
    for worker in started:
        await worker.logged("partitions assigned")
    pids = [worker.process.pid for worker in started]
    connection = await asyncpg.connect(stage.dsn)

    async def written() -> int:
        return int(await connection.fetchval(_WRITTEN))

    async def is_drained() -> bool:
        return await written() >= events

    before, began, cpu_before = await written(), time.monotonic(), sum(map(_cpu_seconds, pids))
    with profile.of(pids[0]) if profile else nullcontext():
        await until(is_drained, seconds=600, what="the topic is drained")
    seconds, cpu = time.monotonic() - began, sum(map(_cpu_seconds, pids)) - cpu_before
    counts = [await worker.counted("sark_audit_events_written_total") for worker in started]
    peak = max(map(_peak_mb, pids))
    await connection.close()
    for worker in started:
        worker.signal(signal.SIGTERM)
    for worker in started:
        await worker.ended()
    shares = [count / max(sum(counts), 1) for count in counts]
    return Drained(seconds, events - before, cpu, peak, shares)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


async def export(dsn: str, path: Path) -> None:
    """Write the table's rows to the file that the other side copies."""
    connection = await asyncpg.connect(dsn)
    await connection.copy_from_query(f"select {COLUMNS} from gateway_audit_events", output=path)
    await connection.close()


async def _client_side_copy(dsn: str, path: Path) -> None:
    psql = shutil.which("psql")
    if psql:
        command = f"\\copy gateway_audit_events ({COLUMNS}) from '{path}'"
        await asyncio.to_thread(subprocess.run, [psql, "-X", "-q", dsn, "-c", command], check=True)
        return
    connection = await asyncpg.connect(dsn)
    await connection.copy_to_table(
        "gateway_audit_events", columns=[c.strip(' "') for c in COLUMNS.split(",")], source=path
    )
    await connection.close()
