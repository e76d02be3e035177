"""What flows: counted on the broker and in the ledger, shown live."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from rich.console import Console
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from service import Service
    from sinks import Sinks
    from stack.process import Server

ON_A_TERMINAL_SECONDS = 1.0
IN_A_PIPE_SECONDS = 3.0
# The last entry of a stream is the durable offset; the sums are what the entries say.
LEDGER = """
select s.partition,
       (select next_offset from gateway_audit_ledger l
         where l.stream_id = s.id order by sequence desc limit 1) as next_offset,
       (select coalesce(sum(row_count), 0) from gateway_audit_ledger l
         where l.stream_id = s.id)::bigint as rows,
       (select coalesce(sum(quarantine_count), 0) from gateway_audit_ledger l
         where l.stream_id = s.id)::bigint as quarantined
  from gateway_audit_streams s
 where s.topic = $1
   and s.epoch = (select max(epoch) from gateway_audit_streams where topic = $1
                     and partition = s.partition)
"""


@dataclass(frozen=True, slots=True)
class Flow:
    """How far everything has come at one moment; a sink that does not answer is None."""

    seconds: float
    published: int
    rows: int
    quarantined: int
    lag: int
    splunk: int | None = None
    datadog: int | None = None


def rows_a_second(before: Flow | None, now: Flow) -> float:
    """Return the speed between two moments."""
    if before is None or now.seconds <= before.seconds:
        return 0.0
    return (now.rows - before.rows) / (now.seconds - before.seconds)


def line(now: Flow, speed: float) -> str:
    """Say where everything stands in one plain line."""
    return (
        f"published {now.published:,} · rows {now.rows:,} · quarantined {now.quarantined:,} · "
        f"lag {now.lag:,} · {speed:,.0f} rows/s · "
        f"Splunk {_shown(now.splunk)} · Datadog {_shown(now.datadog)}"
    )


def table(now: Flow, speed: float) -> Table:
    """Show where everything stands."""
    columns = {
        "published": now.published,
        "rows": now.rows,
        "quarantined": now.quarantined,
        "lag": now.lag,
        "rows/s": round(speed),
        "Splunk": now.splunk,
        "Datadog": now.datadog,
    }
    view = Table(title="gateway audit events", title_style="bold")
    for title in columns:
        view.add_column(title, justify="right", min_width=9)
    view.add_row(*map(_shown, columns.values()))
    return view


def _shown(count: int | None) -> str:
    return "no answer" if count is None else f"{count:,}"


async def watch(service: Service, workers: Sequence[Server]) -> Server:
    """Show what flows until Ctrl-C (raises KeyboardInterrupt); return a worker that has ended."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    console = Console()
    pause = ON_A_TERMINAL_SECONDS if console.is_terminal else IN_A_PIPE_SECONDS
    before: Flow | None = None
    async with _gauges(service) as gauges:
        with Live(console=console, auto_refresh=False) as live:
            while all(worker.is_alive() for worker in workers):
                now = await gauges.read()
                speed = rows_a_second(before, now)
                if console.is_terminal:
                    live.update(table(now, speed), refresh=True)
                else:
                    print(line(now, speed), flush=True)
                before = now
                if await _is_set(stop, pause):
                    raise KeyboardInterrupt
    return next(worker for worker in workers if not worker.is_alive())


@dataclass(frozen=True, slots=True)
class _Gauges:
    """The broker's end offsets beside the ledger's heads and what the sinks have."""

    partitions: list[TopicPartition]
    consumer: AIOKafkaConsumer
    connection: asyncpg.Connection
    sinks: Sinks

    async def read(self) -> Flow:
        """Return how far everything has come now."""
        ends = await self.consumer.end_offsets(self.partitions)
        topic = self.partitions[0].topic
        streams = await self.connection.fetch(LEDGER, topic)
        splunk, datadog = await self.sinks.arrived()
        durable = {row["partition"]: row["next_offset"] or 0 for row in streams}
        return Flow(
            seconds=asyncio.get_running_loop().time(),
            published=sum(ends.values()),
            rows=sum(row["rows"] for row in streams),
            quarantined=sum(row["quarantined"] for row in streams),
            lag=sum(end - durable.get(place.partition, 0) for place, end in ends.items()),
            splunk=splunk,
            datadog=datadog,
        )


@asynccontextmanager
async def _gauges(service: Service) -> AsyncIterator[_Gauges]:
    partitions = await _partitions(service)
    connection = await asyncpg.connect(service.owner_dsn)
    try:
        async with AIOKafkaConsumer(bootstrap_servers=service.bootstrap) as consumer:
            yield _Gauges(partitions, consumer, connection, service.sinks)
    finally:
        await connection.close(timeout=5)


async def _partitions(service: Service) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=service.bootstrap)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([service.topic])
    finally:
        await admin.close()
    return [TopicPartition(service.topic, each["partition"]) for each in described["partitions"]]


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
