"""Kafka → a stand-in that only counts: each sink alone, then both at once, by one process."""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import Request, urlopen
from uuid import uuid4

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from forward_delay import delays
from isal import igzip
from rich.console import Console
from rich.table import Table
from traffic import event, fill

from ingest_service.events.record import StoredRecord
from ingest_service.forwarder import destinations
from ingest_service.settings import Settings
from ingest_service.settings_sinks import DatadogSettings, SplunkSettings
from stage import Worker, until

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

STAND_IN = Path(__file__).parents[2] / "deploy/local/siem/serve.py"
TOKEN, KEY = "local-splunk-token", "local-datadog-key"
CONSOLE = Console(stderr=True)
RUNS = {"splunk": ("splunk",), "datadog": ("datadog",), "both": ("splunk", "datadog")}
SAMPLE = 2_000


class Drained(NamedTuple):
    """One drain of the topic: events a second of the slowest sink, and what the worker cost."""

    events_per_second: float
    cpu_us_per_event: float
    peak_mib: float
    wire_ratio: float
    events_per_request: float


async def measure(bootstrap: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Return the medians of each figure, by which sinks were on."""
    topic, drains = f"bench.{uuid4().hex[:8]}", dict[str, list[Drained]]()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        config = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1114112"}
        await admin.create_topics([NewTopic(topic, options.partitions, 1, topic_configs=config)])
        CONSOLE.print(f"filling a topic with {options.events} events (lz4)")
        await fill(bootstrap, topic, options.events)
        with _stand_in() as urls:
            for number in range(1, options.pairs + 1):
                for name, sinks in RUNS.items():
                    bench = Bench(admin, bootstrap, topic, folder / f"{name}-{number}.log", urls)
                    drained = await bench.drain(sinks, options)
                    drains.setdefault(name, []).append(drained)
                    CONSOLE.print(f"run {number}, {name}: {_said(drained)}")
        await admin.delete_topics([topic])
    finally:
        await admin.close()
    figures = {
        f"{name}_{field}": statistics.median(getattr(each, field) for each in runs)
        for name, runs in drains.items()
        for field in Drained._fields
    }
    return figures | small_batches() | await delays(bootstrap, folder)


class Bench:
    """One worker in a group of its own, on a full topic."""

    def __init__(
        self,
        admin: AIOKafkaAdminClient,
        bootstrap: str,
        topic: str,
        log: Path,
        urls: dict[str, str],
    ) -> None:
        self._admin = admin
        self._bootstrap = bootstrap
        self._topic = topic
        self._log = log
        self._urls = urls
        self._prefix = f"bench.{uuid4().hex[:8]}"

    async def drain(self, sinks: Sequence[str], options: argparse.Namespace) -> Drained:
        """Start the worker, wait until each sink's group has committed all, and stop it."""
        for sink in sinks:
            _ask(self._urls[sink] + "/_arrived", "DELETE")
        worker = Worker("forwarder", self._log, self._environment(sinks), ("forward",))
        try:
            await worker.logged("partitions assigned")
            began, cpu_before = time.monotonic(), _cpu_seconds(worker.process.pid)

            async def is_drained() -> bool:
                return all([await self._committed(sink) >= options.events for sink in sinks])

            await until(is_drained, seconds=300, what=f"all is committed; {worker.tail()}")
            seconds = time.monotonic() - began
            cpu = _cpu_seconds(worker.process.pid) - cpu_before
            peak = worker.peak_mib()
            worker.signal(signal.SIGTERM)
            await worker.ended()
        finally:
            worker.end()
        total = options.events * len(sinks)
        came = [json.loads(_ask(self._urls[sink] + "/_arrived?counts")) for sink in sinks]
        assert sum(each["events"] for each in came) == total, came
        return Drained(
            options.events / seconds,
            cpu / total * 1e6,
            peak,
            sum(each["wire_bytes"] for each in came) / total / _event_bytes(),
            total / sum(each["requests"] for each in came),
        )

    async def _committed(self, sink: str) -> int:
        group = f"{self._prefix}-forwarder.{sink}"
        offsets = await self._admin.list_consumer_group_offsets(group)
        return sum(
            found.offset
            for place, found in offsets.items()
            if isinstance(place, TopicPartition) and found.offset > 0
        )

    def _environment(self, sinks: Sequence[str]) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("INGEST_")}
        on = {
            "splunk": {
                "INGEST_SPLUNK__URL": self._urls["splunk"],
                "INGEST_SPLUNK__TOKEN": TOKEN,
            },
            "datadog": {
                "INGEST_DATADOG__URL": self._urls["datadog"],
                "INGEST_DATADOG__API_KEY": KEY,
            },
        }
        chosen = {name: text for sink in sinks for name, text in on[sink].items()}
        return (
            kept
            | chosen
            | {
                "INGEST_KAFKA__BOOTSTRAP_SERVERS": self._bootstrap,
                "INGEST_KAFKA__TOPIC": self._topic,
                "INGEST_KAFKA__GROUP_PREFIX": self._prefix,
                "INGEST_HTTP__HOST": "127.0.0.1",
                "INGEST_HTTP__PORT": "0",
                "INGEST_LOG__FORMAT": "json",
                "INGEST_SECRETS_DIR": "/none",
            }
        )


def small_batches() -> dict[str, float]:
    """Return the wire ratio of 100 events a request, when there is no backlog."""
    settings = Settings(
        splunk=SplunkSettings.model_validate({"url": "http://localhost", "token": TOKEN}),
        datadog=DatadogSettings.model_validate({"api_key": KEY}),
    )
    values = _values(100)
    records = [
        StoredRecord("gateway.audit.events", n % 6, 10_000 + n, 1_750_000_000_000, b"k", value)
        for n, value in enumerate(values)
    ]
    ratios = {}
    for name, destination in destinations(settings).items():
        bodies = [body for record in records for body in destination.sink.encode([record])]
        sent = igzip.compress(b"\n".join(body for body in bodies if isinstance(body, bytes)), 1)
        ratios[f"{name}_wire_ratio_at_100"] = len(sent) / sum(map(len, values))
    return ratios


def show(figures: dict[str, float], options: argparse.Namespace) -> None:
    """Print a row for each choice of sinks."""
    table = Table(title=f"{options.events} events, one process, medians of {options.pairs}")
    table.add_column("sinks")
    for field in Drained._fields:
        table.add_column(field.replace("_", " "), justify="right")
    for name in RUNS:
        table.add_row(name, *(f"{figures[f'{name}_{field}']:,.3f}" for field in Drained._fields))
    Console().print(table)
    for name in ("splunk", "datadog"):
        ratio = figures[f"{name}_wire_ratio_at_100"]
        Console().print(f"{name}: wire ratio {ratio:.3f} at 100 events a request")
        p50, p99 = (figures[f"{name}_delay_{each}_ms"] for each in ("p50", "p99"))
        Console().print(f"{name}: publish to sink at a trickle p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    after = figures["seconds_after_a_kill"]
    Console().print(f"after a kill both sinks get events again within {after:.1f} s")


@contextmanager
def _stand_in() -> Iterator[dict[str, str]]:
    command = [sys.executable, str(STAND_IN), "--splunk-port", "0", "--datadog-port", "0"]
    with subprocess.Popen([*command, "--count-only"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def _ask(url: str, method: str = "GET") -> bytes:
    with urlopen(Request(url, method=method), timeout=60) as answer:
        return bytes(answer.read())


def _values(count: int) -> list[bytes]:
    rng = random.Random(1)
    return [event(rng, number, f"req-{number:09d}") for number in range(count)]


def _event_bytes() -> float:
    """Return how long an event is: the topic's own, made again."""
    return statistics.mean(map(len, _values(SAMPLE)))


def _said(drained: Drained) -> str:
    return ", ".join(
        f"{value:,.3f} {name.replace('_', ' ')}" for name, value in drained._asdict().items()
    )


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
