"""What `verify` costs: records a second, processor time here, memory.

`python tests/bench/verify.py --records 2000000` fills a database with what a persister writes
(rows, originals, ledger), then runs the command as a user does, a few times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "deploy/local")]

import asyncpg
from rich.console import Console
from traffic import event

from ingest_service import ledger
from ingest_service.adapters.migrations import migrate
from ingest_service.events.decode import CONTRACT, decode
from ingest_service.events.record import Limits, Row, StoredRecord
from ingest_service.ledger import Rules, Stream
from ingest_service.originals import pack_originals
from servers import sources
from servers.databases import fresh_database

if TYPE_CHECKING:
    from collections.abc import Sequence

CONSOLE = Console(stderr=True)
TOPIC = "bench.verify"
LIMITS = Limits(max_age_seconds=30 * 86_400)
RULES = Rules.of(CONTRACT, LIMITS)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = {"timestamp_us": "timestamp"}


class Run(NamedTuple):
    """One run of the command: its own figures, and what its processes took."""

    records_per_second: float
    cpu_us_per_record: float
    peak_mib: float


def main() -> None:
    """Fill, measure, print; JSON when asked."""
    options = _options()
    with ExitStack() as servers:
        server = servers.enter_context(getattr(sources, f"{options.edition}_dsn")())
        figures = asyncio.run(_measure(server, options))
    if options.json:
        print(json.dumps({"options": vars(options), "figures": figures}))
    else:
        for name, figure in figures.items():
            CONSOLE.print(f"{name:24} {figure:12,.1f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--entry", type=int, default=8_000, help="records in a ledger entry")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--edition", choices=["timescale", "plain"], default="timescale")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("verify", nargs="*", help="more for the command, after --")
    return parser.parse_args()


async def _measure(server: str, options: argparse.Namespace) -> dict[str, float]:
    async with fresh_database(server) as dsn:
        await migrate(dsn)
        began = time.monotonic()
        await fill(dsn, options.records, options.partitions, options.entry)
        CONSOLE.print(f"filled in {time.monotonic() - began:.0f} s")
        runs = []
        for _ in range(options.runs):
            runs.append(await asyncio.to_thread(run, dsn, options.verify))
            CONSOLE.print(
                f"{runs[-1].records_per_second:,.0f} records/s, "
                f"{runs[-1].cpu_us_per_record:.1f} us here, {runs[-1].peak_mib:.0f} MiB at most"
            )
    return {name: statistics.median(getattr(each, name) for each in runs) for name in Run._fields}


def run(dsn: str, arguments: Sequence[str]) -> Run:
    """Run the command once."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "ingest_service", "verify", "--json", *arguments],
        env=os.environ | {"INGEST_DATABASE__DSN": dsn},
        stdout=subprocess.PIPE,
        check=True,
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(done.stdout)
    records = sum(each["records"] for each in report["streams"])
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return Run(records / report["seconds"], cpu * 1e6 / records, used.ru_maxrss / 1024)


async def fill(dsn: str, records: int, partitions: int, entry: int) -> None:
    """Write so many records as a persister does, an entry a stream in turns."""
    connection = await asyncpg.connect(dsn)
    try:
        streams = [await _open(connection, number) for number in range(partitions)]
        heads = [await _append(connection, ledger.start_entry(each, 0, RULES)) for each in streams]
        rng, done = random.Random(1), 0
        while done < records:
            for n, stream in enumerate(streams):
                heads[n] = await _write(connection, stream, heads[n], rng, entry)
                done += entry
        await connection.execute("analyze")
    finally:
        await connection.close()


async def _open(connection: asyncpg.Connection, partition: int) -> Stream:
    days = [(datetime.now(UTC) + timedelta(days=day)).date() for day in range(-2, 2)]
    await connection.execute("select gateway_audit_make_partitions($1)", days)
    stream_id = await connection.fetchval(
        "insert into gateway_audit_streams (topic, partition, epoch) values ($1, $2, 1)"
        " returning id",
        TOPIC,
        partition,
    )
    return Stream(stream_id, TOPIC, partition, 1)


async def _write(
    connection: asyncpg.Connection,
    stream: Stream,
    head: ledger.Head,
    rng: random.Random,
    count: int,
) -> ledger.Head:
    now = int(time.time() * 1000)
    records = []
    for offset in range(head.next_offset, head.next_offset + count):
        key = f"req-{offset:09d}"
        value = event(rng, offset, key)
        records.append(StoredRecord(TOPIC, stream.partition, offset, now, key.encode(), value, []))
    rows = [decode(each, CONTRACT, LIMITS) for each in records]
    frames = [ledger.frame(each) for each in records]
    verdicts = [None] * count
    digest = ledger.extend_digest(head.digest, frames)
    sealed = ledger.records_entry(stream.id, head, digest, verdicts, RULES)
    async with connection.transaction():
        await connection.copy_records_to_table(
            "gateway_audit_events",
            columns=[*(COLUMNS.get(name, name) for name in Row._fields), "stream_id"],
            records=[(*_stored(row), stream.id) for row in rows if isinstance(row, Row)],
        )
        await connection.execute(
            "insert into gateway_audit_originals (stream_id, sequence, records)"
            " values ($1, $2, $3)",
            *(stream.id, sealed.sequence, pack_originals(frames, verdicts)),
        )
        return await _append(connection, sealed)


def _stored(row: Row) -> Row:
    moment = EPOCH + timedelta(microseconds=row.timestamp_us)
    return row._replace(timestamp_us=moment, metadata=row.metadata.decode())


async def _append(connection: asyncpg.Connection, entry: ledger.Entry) -> ledger.Head:
    places = ", ".join(f"${n}" for n in range(1, len(entry) + 1))
    names = ", ".join(entry._fields)
    await connection.execute(
        f"insert into gateway_audit_ledger ({names}) values ({places})", *entry
    )
    return entry.head


if __name__ == "__main__":
    main()
