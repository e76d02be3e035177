r"""How fast is the persister beside one client-side `\\copy` of the same rows? `make bench`.

Absolute figures say as much about the machine as about the code, so both are measured in one run,
in turns, and the median of each pair's ratio is what to quote.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "deploy/local")]

import asyncpg
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from ingest_service.adapters import migrations
from servers import sources
from servers.databases import fresh_database
from stage import Stage, on_stage, until

COLUMNS = (
    "id, event_type, user_id, agent_id, server_name, tool_name, decision, reason, "
    '"timestamp", gateway_request_id, metadata, stream_id, kafka_offset'
)
CONSOLE = Console(stderr=True)


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


def main() -> None:
    """Measure, print a table, and JSON when asked."""
    options = _options()
    with ExitStack() as servers, tempfile.TemporaryDirectory() as folder:
        bootstrap = servers.enter_context(sources.kafka_bootstrap())
        server = getattr(sources, f"{options.edition}_dsn")
        dsn = servers.enter_context(server())
        pairs = asyncio.run(_measure(bootstrap, dsn, Path(folder), options))
    _print(pairs, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--edition", choices=["timescale", "plain"], default="timescale")
    parser.add_argument("--json", action="store_true", help="print JSON to standard output")
    return parser.parse_args()


async def _measure(
    bootstrap: str, server_dsn: str, folder: Path, options: argparse.Namespace
) -> list[Pair]:
    topic = f"bench.{uuid4().hex[:8]}"
    async with (
        fresh_database(server_dsn) as dsn,
        on_stage(bootstrap, topic, dsn, folder, partitions=options.partitions) as stage,
    ):
        CONSOLE.print(f"filling {topic} with {options.events} events (lz4)")
        await _fill(bootstrap, topic, options.events)
        CONSOLE.print("a first drain, for the file that \\copy will read")
        await _drain(stage, options.events)
        rows = folder / "rows.copy"
        await _export(dsn, rows)
        pairs = []
        for number in range(1, options.pairs + 1):
            pairs.append(await _pair(stage, server_dsn, rows, options.events))
            CONSOLE.print(
                f"pair {number}: \\copy {pairs[-1].copy_rows_per_second:,.0f} rows/s, "
                f"persist {pairs[-1].persist_rows_per_second:,.0f} rows/s, "
                f"ratio {pairs[-1].ratio:.2f}"
            )
    return pairs


async def _pair(stage: Stage, server_dsn: str, rows: Path, events: int) -> Pair:
    async with fresh_database(server_dsn) as dsn:
        await _migrated(dsn)
        began = time.monotonic()
        await _client_side_copy(dsn, rows)
        copied = events / (time.monotonic() - began)
    async with fresh_database(server_dsn) as dsn:
        await _migrated(dsn)
        stage.dsn = dsn
        seconds, cpu_seconds, peak_mb = await _drain(stage, events)
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


async def _drain(stage: Stage, events: int) -> tuple[float, float, float]:
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

    await until(is_drained, seconds=600, what="the topic is drained")
    seconds = time.monotonic() - began
    cpu = _cpu_seconds(worker.process.pid) - cpu_before
    peak = _peak_mb(worker.process.pid)
    await connection.close()
    worker.signal(signal.SIGTERM)
    await worker.ended()
    return seconds, cpu, peak


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


async def _export(dsn: str, path: Path) -> None:
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


async def _fill(bootstrap: str, topic: str, count: int) -> None:
    rng = random.Random(1)
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=20,
        max_batch_size=256 * 1024,
    ) as producer:
        for number in range(count):
            key = f"req-{number:09d}"
            await producer.send(topic, _event(rng, number, key), key=key.encode())


def _event(rng: random.Random, number: int, request_id: str) -> bytes:
    """Return an event of about 470 bytes whose id is ordered by time, as the publisher's are."""
    milliseconds = int(time.time() * 1000)
    audit_id = (milliseconds << 80) | (7 << 76) | (2 << 62) | rng.getrandbits(62)
    body = f"{audit_id:032x}"
    event: dict[str, Any] = {
        "id": f"{body[:8]}-{body[8:12]}-{body[12:16]}-{body[16:20]}-{body[20:]}",
        "event_type": "tool_invoke" if number % 10 else "a2a_communication",
        "user_id": f"user{rng.randrange(2000)}@example.com",
        "server_name": f"mcp-server-{rng.randrange(20)}",
        "tool_name": f"tool_{rng.randrange(100)}",
        "decision": "deny" if number % 12 == 0 else "allow",
        "reason": "matched rule 12 of policy default",
        "timestamp": round(time.time(), 6),
        "gateway_request_id": request_id,
        "metadata": {
            "action": "invoke",
            "latency_ms": round(rng.random() * 40, 2),
            "cache_hit": number % 3 > 0,
            "client_ip": f"10.1.{rng.randrange(256)}.{rng.randrange(256)}",
            "session_id": f"{rng.getrandbits(64):016x}",
            "policy": {"name": "default", "version": "42", "rule": "r12"},
        },
    }
    return json.dumps(event, separators=(",", ":")).encode()


def _print(pairs: list[Pair], options: argparse.Namespace) -> None:
    medians = {
        name: statistics.median(asdict(pair)[name] for pair in pairs) for name in asdict(pairs[0])
    } | {"ratio": statistics.median(pair.ratio for pair in pairs)}
    if options.json:
        print(
            json.dumps(
                {
                    "options": vars(options),
                    "median": medians,
                    "pairs": [asdict(pair) | {"ratio": pair.ratio} for pair in pairs],
                }
            )
        )
        return
    table = Table(title=f"{options.events} events, {options.edition}, {len(pairs)} pairs, medians")
    table.add_column("figure")
    table.add_column("median", justify="right")
    for name, value in medians.items():
        table.add_row(name.replace("_", " "), f"{value:,.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
