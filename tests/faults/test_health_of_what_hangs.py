"""Whatever hangs, every page of every worker answers in less than a second, and says what hangs."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import psutil
import pytest

from servers.sources import temporary_state
from siem import Fault
from stack import kafka
from stage import on_stage
from stage.forwarding import forward_stage
from stage.journal import events
from stage.waiting import until

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator

    from stack.process import Server
    from stage import Worker
    from stage.databases import OwnServer

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "health.json").read_bytes())
PAGES = {"/health": 200, "/health/ready": 200, "/health/detailed": 200, "/metrics": 200}
HURRIED = json.dumps({"ingest_service.telemetry.probing.EVERY_SECONDS": 0.5})


@asynccontextmanager
async def hanging_server() -> AsyncIterator[str]:
    """Yield a server that takes connections and questions, and never answers."""
    forever = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await forever.wait()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        forever.set()
        server.close()


def freeze(server: Server) -> psutil.Process:
    """Stop a server's process as SIGSTOP does: its sockets stay, nothing answers."""
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    for each in (process, *process.children(recursive=True)):
        each.send_signal(signal.SIGSTOP)
    return process


def thaw(process: psutil.Process) -> None:
    for each in (process, *process.children(recursive=True)):
        each.send_signal(signal.SIGCONT)


async def components(worker: Worker) -> dict[str, dict]:
    _, page = await worker.get("/health/detailed")
    return json.loads(page)["components"]


async def shows(worker: Worker, **expected: str) -> None:
    """Return once these components have these statuses."""

    async def does() -> bool:
        found = await components(worker)
        return {name: found.get(name, {}).get("status") for name in expected} == expected

    await until(does, what=f"{expected}; {await components(worker)}; {worker.tail()}")


async def ready(worker: Worker) -> None:
    async def is_ready() -> bool:
        return (await worker.get("/health/ready"))[0] == 200

    await until(is_ready, what=f"{worker.name} is ready; {worker.tail()}")


async def assert_pages_come_at_once(worker: Worker) -> None:
    """Each page, several times: the right code, in less than a second, valid by the schema."""
    for path, expected in list(PAGES.items()) * 3:
        began = time.monotonic()
        code, body = await worker.get(path)
        assert time.monotonic() - began < 1, path
        assert code == expected, (path, body)
        if path != "/metrics":
            jsonschema.validate(json.loads(body), SCHEMA)


async def test_persister_whose_servers_all_hang(
    topic_name: str, tmp_path: Path, server: OwnServer, seed: random.Random
) -> None:
    """Broker and database stopped by SIGSTOP, a probe that never answers: told, and no restart."""
    with temporary_state() as state:
        broker = kafka.start(state)
        frozen: list[psutil.Process] = []
        try:
            async with (
                on_stage(broker.address, topic_name, server.dsn, tmp_path) as stage,
                hanging_server() as hanging,
            ):
                await stage.produce(events(seed, 50))
                probes = f"opa=http://{hanging}/health,redis=tcp://{hanging},gone=tcp://127.0.0.1:1"
                worker = stage.start_worker(INGEST_HEALTH__PROBES=probes, STAGE_CONSTANTS=HURRIED)
                await stage.drained()
                await ready(worker)
                await shows(
                    worker, kafka="healthy", database="healthy", opa="unhealthy", redis="healthy"
                )
                assert (await components(worker))["database"]["latency_ms"] is not None
                await assert_pages_come_at_once(worker)
                server.signal_all(signal.SIGSTOP)
                frozen.append(freeze(broker))
                await shows(worker, kafka="unhealthy", database="unhealthy", gone="unhealthy")
                await assert_pages_come_at_once(worker)
                thaw(frozen.pop())
                server.signal_all(signal.SIGCONT)
                await shows(worker, kafka="healthy", database="healthy", opa="unhealthy")
                await assert_pages_come_at_once(worker)
                said = [
                    (line["event"], line["component"])
                    for line in worker.lines()
                    if line["event"].startswith("dependency")
                ]
                for component in ("kafka", "database"):
                    assert ("dependency not healthy", component) in said
                    assert ("dependency healthy again", component) in said
        finally:
            for process in frozen:
                thaw(process)
            server.signal_all(signal.SIGCONT)
            broker.stop()


async def test_forwarder_whose_sinks_hang(
    kafka_bootstrap: str, topic_name: str, tmp_path: Path, seed: random.Random
) -> None:
    """An idle forwarder knows its sinks; one that hangs is told, and the other is not blamed."""
    async with forward_stage(kafka_bootstrap, topic_name, tmp_path) as stage:
        worker = stage.start(STAGE_CONSTANTS=HURRIED)
        await ready(worker)
        # Nothing was ever sent: what is known here, the probes asked.
        await shows(worker, kafka="healthy", splunk="healthy", datadog="healthy")
        await assert_pages_come_at_once(worker)
        stage.siem.splunk.script.add(Fault(on="health", delay=3600, times=0))
        stage.siem.splunk.script.add(Fault(delay=3600, times=0))
        await stage.produce(events(seed, 50))
        await shows(worker, splunk="unhealthy", datadog="healthy")
        await assert_pages_come_at_once(worker)
        stage.siem.splunk.script.clear()
        await shows(worker, splunk="healthy", datadog="healthy")


async def test_standby_worker_knows_its_database(
    stage_on_own_server: object, server: OwnServer
) -> None:
    """More workers than partitions: the one without any shows an outage all the same."""
    stage = stage_on_own_server
    workers = [stage.start_worker(STAGE_CONSTANTS=HURRIED) for _ in range(4)]
    for worker in workers:
        await ready(worker)

    async def somebody_stands_by() -> bool:
        pages = [await worker.get("/health/ready") for worker in workers]
        return sum("standing_by" in page for _, page in pages) == 1

    await until(somebody_stands_by, what="one of four has none of three partitions")
    [standby] = [w for w in workers if "standing_by" in (await w.get("/health/ready"))[1]]
    server.signal_all(signal.SIGSTOP)
    try:
        await shows(standby, database="unhealthy")
        await assert_pages_come_at_once(standby)
    finally:
        server.signal_all(signal.SIGCONT)
    await shows(standby, database="healthy")
