"""Random faults from a printed seed, several workers, and the invariants at the end: `make soak`."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "deploy/local")]

import asyncpg

from servers import sources
from servers.databases import fresh_database
from stage import Stage, Worker, assert_invariants, on_stage
from stage.journal import event
from stage.proxy import Proxy

ENOUGH_WORKERS = 3
DRAIN_SECONDS = 180


@dataclass
class Soak:
    """One run: where it plays, and what it has done so far."""

    stage: Stage
    rng: random.Random
    kafka: Proxy
    database: Proxy
    server_dsn: str
    faults: Counter[str] = field(default_factory=Counter)
    peak_mb: float = 0.0
    numbers: int = 0

    def start(self) -> Worker:
        """Start a worker that reaches its servers through the proxies."""
        parts = urlsplit(self.stage.dsn)
        login = parts.netloc.rpartition("@")[0]
        dsn = parts._replace(netloc=f"{login}@{self.database.address}").geturl()
        return self.stage.start_worker(
            INGEST_KAFKA__BOOTSTRAP_SERVERS=self.kafka.address, INGEST_DATABASE__DSN=dsn
        )

    def living(self) -> list[Worker]:
        """Return the workers that have not ended."""
        return [worker for worker in self.stage.workers if worker.returncode is None]

    async def publish(self) -> None:
        """Publish a second's worth: good, bad, and some again."""
        old = list(self.stage.journal.records.values())[-2000:]
        values = []
        for _ in range(self.rng.randint(50, 500)):
            self.numbers += 1
            dice = self.rng.random()
            if dice < 0.01:
                values.append(b"garbage")
            elif dice < 0.02 and old:
                values.append(self.rng.choice(old)[1])
            else:
                values.append(event(self.rng, self.numbers))
        await self.stage.produce(values)

    async def hurt(self) -> None:
        """Do one thing that production will do."""
        fault = self.rng.choice(FAULTS)
        self.faults[fault.__name__.removeprefix("_")] += 1
        await fault(self)
        while len(self.living()) < ENOUGH_WORKERS:
            self.start()

    def look(self) -> None:
        """Note the largest a worker has been."""
        for worker in self.living():
            with suppress(OSError, IndexError):
                status = Path(f"/proc/{worker.process.pid}/status").read_text()
                self.peak_mb = max(self.peak_mb, int(status.split("VmHWM:")[1].split()[0]) / 1024)


async def _kill(soak: Soak) -> None:
    soak.rng.choice(soak.living()).signal(signal.SIGKILL)


async def _stop(soak: Soak) -> None:
    soak.rng.choice(soak.living()).signal(signal.SIGTERM)


async def _freeze(soak: Soak) -> None:
    victim = soak.rng.choice(soak.living())
    victim.signal(signal.SIGSTOP)
    await _pass(soak.rng.uniform(1, 20))
    if victim.returncode is None:
        victim.signal(signal.SIGCONT)


async def _join(soak: Soak) -> None:
    if len(soak.living()) < ENOUGH_WORKERS + 2:
        soak.start()


async def _end_backend(soak: Soak) -> None:
    connection = await asyncpg.connect(soak.server_dsn)
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name like 'ingest-service%' order by random() limit 1"
    )
    await connection.close()


async def _reset_database(soak: Soak) -> None:
    soak.database.reset()


async def _freeze_database(soak: Soak) -> None:
    soak.database.freeze()
    await _pass(soak.rng.uniform(1, 15))
    soak.database.thaw()


async def _reset_kafka(soak: Soak) -> None:
    soak.kafka.reset()


async def _freeze_kafka(soak: Soak) -> None:
    soak.kafka.freeze()
    await _pass(soak.rng.uniform(1, 15))
    soak.kafka.thaw()


FAULTS = (
    _kill,
    _stop,
    _freeze,
    _join,
    _end_backend,
    _reset_database,
    _freeze_database,
    _reset_kafka,
    _freeze_kafka,
)


async def _pass(seconds: float) -> None:
    await asyncio.sleep(seconds)  # a soak is the one place where time itself is the fault


def main() -> int:
    """Run; print a report as JSON; exit 0 when every invariant holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--edition", choices=["timescale", "plain"], default="timescale")
    options = parser.parse_args()
    print(f"soak of {options.minutes} minutes, --seed={options.seed} repeats it", flush=True)
    with ExitStack() as servers, tempfile.TemporaryDirectory() as folder:
        bootstrap = servers.enter_context(sources.kafka_bootstrap())
        dsn = servers.enter_context(getattr(sources, f"{options.edition}_dsn")())
        report = asyncio.run(_run(bootstrap, dsn, Path(folder), options))
    print(json.dumps(report))
    return 0


async def _run(
    bootstrap: str, server_dsn: str, folder: Path, options: argparse.Namespace
) -> dict[str, object]:
    rng, began = random.Random(options.seed), time.monotonic()
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(fresh_database(server_dsn))
        stage = await stack.enter_async_context(
            on_stage(bootstrap, f"soak.{uuid4().hex[:8]}", dsn, folder, partitions=6)
        )
        kafka, database = (
            Proxy(bootstrap, advertised=True),
            Proxy(urlsplit(server_dsn).netloc.rpartition("@")[2]),
        )
        for proxy in (kafka, database):
            await proxy.listen()
            stack.push_async_callback(proxy.cut)
        soak = Soak(stage, rng, kafka, database, server_dsn)
        for _ in range(ENOUGH_WORKERS):
            soak.start()
        await _until_over(soak, began + options.minutes * 60)
        await stage.drained(DRAIN_SECONDS)
        soak.look()
        await assert_invariants(stage, duplicates=None)
        return {
            "minutes": round((time.monotonic() - began) / 60, 1),
            "seed": options.seed,
            "records": len(stage.journal.records),
            "faults": dict(soak.faults),
            "workers_started": len(stage.workers),
            "peak_mb": round(soak.peak_mb),
        }


async def _until_over(soak: Soak, end: float) -> None:
    """Publish and hurt side by side until the time is over."""

    async def publishing() -> None:
        while time.monotonic() < end:
            await soak.publish()
            await _pass(1)

    async def hurting() -> None:
        while time.monotonic() < end:
            await soak.hurt()
            soak.look()
            durable = sum((await soak.stage.heads()).values())
            print(
                f"{end - time.monotonic():.0f} s left, {durable} of "
                f"{len(soak.stage.journal.records)} durable, {dict(soak.faults)}",
                flush=True,
            )
            await _pass(soak.rng.uniform(1, 8))

    await asyncio.gather(publishing(), hurting())


if __name__ == "__main__":
    sys.exit(main())
