r"""One turn of each: client-side `\\copy` into an empty table, then the persister's drain."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from ingest_service.adapters import migrations
from servers.databases import fresh_database
from stage import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stage import Stage

COLUMNS = (
    "id, event_type, user_id, agent_id, server_name, tool_name, decision, reason, "
    '"timestamp", gateway_request_id, metadata, stream_id, kafka_offset'
)


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


async def pair(stage: Stage, server_dsn: str, rows: Path, events: int) -> Pair:
    """Measure one after the other, each into a fresh database."""
    async with fresh_database(server_dsn) as dsn:
        await _migrated(dsn)
        began = time.monotonic()
        await _client_side_copy(dsn, rows)
        copied = events / (time.monotonic() - began)
    async with fresh_database(server_dsn) as dsn:
        await _migrated(dsn)
        stage.dsn = dsn
        seconds, cpu_seconds, peak_mb = await drain(stage, events)
        connection = await asyncpg.connect(dsn)
        size = await connection.fetchval("select pg_database_size(current_database())")
        await connection.close()
    return Pair(copied, events / seconds, cpu_seconds / events * 1e6, peak_mb, size / events)


async def _migrated(dsn: str) -> None:
    await migrations.migrate(dsn, migrations.Step("head"), lambda _: None)
    connection = await asyncpg.connect(dsn)
    # Each turn begins with a clean slate for the disk.
    await connection.execute("checkpoint")
    await connection.close()


async def drain(
    stage: Stage, events: int, profile: str | None = None
) -> tuple[float, float, float]:
    """Start a worker on the full topic; return seconds, CPU seconds and peak MB of the drain."""
    settings = {"INGEST_DATABASE__LINGER_MS": "1000", "INGEST_DATABASE__DSN": stage.dsn}
    worker = stage.start_heir(**settings)
    await worker.logged("partitions assigned")
    connection = await asyncpg.connect(stage.dsn)
    began, cpu_before = time.monotonic(), _cpu_seconds(worker.process.pid)

    async def is_drained() -> bool:
        return events <= (
            await connection.fetchval(
                "select coalesce(sum(row_count), 0) from gateway_audit_ledger"
            )
        )

    with _profiled(worker.process.pid, profile):
        await until(is_drained, seconds=600, what="the topic is drained")
    seconds = time.monotonic() - began
    cpu = _cpu_seconds(worker.process.pid) - cpu_before
    peak = _peak_mb(worker.process.pid)
    await connection.close()
    worker.signal(signal.SIGTERM)
    await worker.ended()
    return seconds, cpu, peak


@contextmanager
def _profiled(pid: int, path: str | None) -> Iterator[None]:
    """Have py-spy draw a flame graph of the worker meanwhile, when a path is given."""
    if path is None:
        yield
        return
    py_spy = str(Path(sys.executable).with_name("py-spy"))
    with subprocess.Popen([py_spy, "record", "-r", "200", "-o", path, "-p", str(pid)]) as spy:
        yield
        spy.send_signal(signal.SIGINT)
        spy.wait()


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
