"""How long compliance's typical questions and `trace` take on ten million rows.

`python tests/bench/questions.py --edition timescale --rows 10000000`: fills a database of its own
with SQL (about 6 GB and five minutes), then asks each question many times, each time of another day
and another user, as the compliance role.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "deploy/local")]

import asyncpg
from audit_trail import TOPIC, add_chain, fill
from rich.console import Console
from rich.table import Table

from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.adapters.migrations import migrate
from ingest_service.preflight.topics import dead_letter_topic, events_topic
from ingest_service.settings import KafkaSettings
from servers import sources
from servers.databases import fresh_database
from trail import event

CONSOLE = Console(stderr=True)
BYTES_A_ROW = 700

DAY = "{} >= $1 and {} < $1 + interval '1 day'"
QUESTIONS = {
    "denials of a user": f"""select * from audit_denials where user_id = $2 and {DAY}
        order by "timestamp" limit 1000""".replace("{}", '"timestamp"'),
    "everything of a user": f"""select * from audit_events where user_id = $2 and {DAY}
        order by "timestamp" limit 1000""".replace("{}", '"timestamp"'),
    "an event by its id": "select * from audit_events where id = $3",
    "events of a request": "select * from audit_events where gateway_request_id = $4",
    "denials by server and tool": f"""select server_name, tool_name, sum(denials)
        from audit_denials_hourly where {DAY} group by 1, 2 order by 3 desc limit 20""".replace("{}", "hour"),
    "denials by reason and hour": f"""select hour, reason, sum(denials)
        from audit_denials_hourly where {DAY} group by 1, 2""".replace("{}", "hour"),
    "activity of a user by hour": f"""select hour, event_type, events, denied
        from audit_activity_hourly where user_id = $2 and {DAY}""".replace("{}", "hour"),
    "agent-to-agent matrix": f"""select source_type, target_type, sum(events), sum(denied)
        from audit_a2a_hourly where {DAY} group by 1, 2""".replace("{}", "hour"),
    "tools by use": f"""select server_name, tool_name, sum(events), sum(denied)
        from audit_tools_hourly where {DAY} group by 1, 2 order by 3 desc limit 20""".replace("{}", "hour"),
    "ingest delay by partition": f"""select partition, sum(events), max(max_seconds)
        from audit_ingest_delay_hourly where {DAY} group by 1""".replace("{}", "hour"),
    "quarantine by reason": """select reason, count(*) from audit_quarantine
        where kafka_timestamp >= $1 and kafka_timestamp < $1 + interval '1 day' group by 1""",
    "streams, gaps, complete until": """select s.topic, s.partition, s.next_offset, c.complete_until,
        (select count(*) from audit_gaps g where g.topic = s.topic and g.partition = s.partition)
        from audit_streams s left join audit_complete_until c using (topic)""",
}  # fmt: skip


def main() -> None:
    """Fill, ask, print a table, and JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--entries", type=int, default=1_000_000, help="of one partition's ledger")
    parser.add_argument("--times", type=int, default=40, help="how often each question is asked")
    parser.add_argument("--edition", choices=["timescale", "plain"], default="timescale")
    parser.add_argument("--json", action="store_true", help="print JSON to standard output")
    options = parser.parse_args()
    if shutil.disk_usage("/").free < 3 * options.rows * BYTES_A_ROW:
        sys.exit(f"{3 * options.rows * BYTES_A_ROW / 1e9:.0f} GB must be free for so many rows")
    with ExitStack() as servers:
        bootstrap = servers.enter_context(sources.kafka_bootstrap())
        server = servers.enter_context(getattr(sources, f"{options.edition}_dsn")())
        figures = asyncio.run(_measure(bootstrap, server, options))
    if options.json:
        print(json.dumps({"options": vars(options), "figures": figures}))
    _show(figures)


async def _measure(
    bootstrap: str, server: str, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    async with fresh_database(server) as dsn:
        CONSOLE.print((await migrate(dsn)).server)
        owner = await asyncpg.connect(dsn)
        began = time.monotonic()
        first = await fill(owner, options.rows, options.days, CONSOLE.print)
        partition, offset = await add_chain(owner, options.entries, 10_000)
        await owner.execute("vacuum (analyze)")
        size = await owner.fetchval("select pg_size_pretty(pg_database_size(current_database()))")
        CONSOLE.print(f"{options.rows:,} rows in {time.monotonic() - began:.0f} s, {size}")
        figures = await _ask_all(owner, dsn, first, options)
        await owner.close()
        return figures | await _trace_all(bootstrap, dsn, partition, offset, options.times)


async def _ask_all(
    owner: asyncpg.Connection, dsn: str, first: dt.datetime, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    rng = random.Random(1)
    auditor = await asyncpg.connect(dsn)
    backend = Backend(await auditor.fetchrow("select pg_backend_pid(), current_database()"))
    await auditor.execute("set role gateway_audit_compliance")
    figures = {}
    for name, question in QUESTIONS.items():
        taken, worked = list[float](), list[float]()
        for _ in range(options.times):
            day = first + dt.timedelta(days=rng.randrange(options.days))
            arguments = await _arguments(owner, rng, day, options.rows)
            used = [arguments[n] for n in range(4) if f"${n + 1}" in question]
            numbered = _renumbered(question)
            began, cpu = time.perf_counter(), backend.cpu_seconds()
            await auditor.fetch(numbered, *used)
            taken.append(time.perf_counter() - began)
            worked.append(backend.cpu_seconds() - cpu)
        figures[name] = _summary(taken, worked)
        CONSOLE.print(f"{name}: {figures[name]}")
    await auditor.close()
    return figures


async def _arguments(
    owner: asyncpg.Connection, rng: random.Random, day: dt.datetime, rows: int
) -> list[Any]:
    """Return a day, one of the busier users, and the ids of an event."""
    request = f"req-{rng.randrange(rows)}"
    audit_id = await owner.fetchval(
        "select id from gateway_audit_events where gateway_request_id = $1", request
    )
    return [day, f"user{int(200 * rng.random() ** 3)}@example.com", audit_id, request]


def _renumbered(question: str) -> str:
    """Return the question with its parameters numbered from one, without a gap."""
    used = [n for n in range(1, 5) if f"${n}" in question]
    for new, old in enumerate(used, start=1):
        question = question.replace(f"${old}", f"${new}")
    return question


async def _trace_all(
    bootstrap: str, dsn: str, partition: int, offset: int, times: int
) -> dict[str, dict[str, float]]:
    """Run the command as a person does: Python's start and Kafka's answers are in the figures."""
    topic = f"bench.{uuid4().hex[:8]}"
    kafka = KafkaSettings(bootstrap_servers=bootstrap, topic=TOPIC, dead_letter_topic=topic)
    async with KafkaAdmin(kafka) as admin:
        events = events_topic(TOPIC, 1, partitions=partition + 1)
        await admin.create([events, dead_letter_topic(topic, 1, partitions=1)])
    # Without bytecode, as in many images, every start would compile everything anew.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {
        "INGEST_DATABASE__DSN": dsn,
        "INGEST_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "INGEST_KAFKA__DEAD_LETTER_TOPIC": topic,
    }
    asked = {
        "trace PARTITION:OFFSET": lambda n: f"{partition}:{offset + 97 * n}",
        "trace ID": lambda n: event(offset + 97 * n)["id"],
        "trace REQUEST_ID": lambda n: f"request-{offset + 97 * n}",
        "trace of nothing": lambda n: f"nobody's {n}",
    }
    figures = {}
    for name, argument in asked.items():
        taken, worked = list[float](), list[float]()
        for n in range(max(times // 4, 1)):
            began, cpu = time.perf_counter(), _of_children()
            subprocess.run(  # noqa: ASYNC221 - nothing else goes on
                [sys.executable, "-m", "ingest_service", "trace", argument(n)],
                env=environment, check=False, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            taken.append(time.perf_counter() - began)
            worked.append(_of_children() - cpu)
        figures[name] = _summary(taken, worked)
        CONSOLE.print(f"{name}: {figures[name]}")
    return figures


class Backend:
    """The server's process of one connection: where others keep the machine busy, its CPU counts."""

    def __init__(self, named: asyncpg.Record) -> None:
        pid, database = named
        # In a container it has another number: found by its title, and by the number inside.
        self._stat = next(
            folder / "schedstat"
            for folder in Path("/proc").glob("[0-9]*")
            if f" {database} ".encode() in _read(folder / "cmdline")
            and _read(folder / "status").decode().partition("NSpid:")[2].split("\n")[0].split()[-1:]
            == [str(pid)]
        )

    def cpu_seconds(self) -> float:
        """Return how long it has been on a processor."""
        return int(self._stat.read_text().split()[0]) / 1e9


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _summary(seconds: list[float], cpu: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(statistics.median(seconds) * 1000, 1),
        "p95_ms": round(_p95(seconds) * 1000, 1),
        "cpu_p50_ms": round(statistics.median(cpu) * 1000, 1),
        "cpu_p95_ms": round(_p95(cpu) * 1000, 1),
    }


def _p95(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.95)]


def _show(figures: dict[str, dict[str, float]]) -> None:
    table = Table("question, of one day", "p50", "p95", "CPU p50", "CPU p95", title="ms")
    for name, each in figures.items():
        table.add_row(name, *(f"{value:,.1f}" for value in each.values()))
    CONSOLE.print(table)


if __name__ == "__main__":
    main()
