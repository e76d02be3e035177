"""From publish to a sink, when nothing waits; and how long a kill keeps events from it."""

from __future__ import annotations

import asyncio
import random
import signal
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from stage import until
from stage.forwarding import forward_stage
from stage.journal import event

if TYPE_CHECKING:
    from pathlib import Path

    from stage import Worker
    from stage.forwarding import ForwardStage

SINKS = ("splunk", "datadog")
EVENTS, EVERY_SECONDS = 300, 0.05
KILLS = 3


async def delays(bootstrap: str, folder: Path) -> dict[str, float]:
    """Return p50 and p99 in milliseconds by sink, and the seconds that a kill costs."""
    home = folder / "delays"
    home.mkdir()
    async with forward_stage(bootstrap, f"bench.{uuid4().hex[:8]}", home) as stage:
        worker = stage.start()
        await until(partial(_both_assigned, worker), what="both sinks have partitions")
        sent = await _trickle(stage)
        figures = {}
        for sink in SINKS:
            await stage.drained(sink)
            took = sorted(
                entry.at - sent[entry.position[1:]]
                for entry in stage.intake(sink).arrived.entries
                if entry.position is not None
            )
            cuts = statistics.quantiles(took, n=100)
            figures[f"{sink}_delay_p50_ms"] = cuts[49] * 1000
            figures[f"{sink}_delay_p99_ms"] = cuts[98] * 1000
        for _ in range(KILLS):
            figures["seconds_after_a_kill"] = max(
                figures.get("seconds_after_a_kill", 0.0), await _killed(stage)
            )
    return figures


async def _both_assigned(worker: Worker) -> bool:
    return worker.log.read_text().count("partitions assigned") == len(SINKS)


async def _trickle(stage: ForwardStage) -> dict[tuple[int, int], float]:
    """Publish one by one; return when each was handed over, by partition and offset."""
    rng, sent = random.Random(3), {}
    async with AIOKafkaProducer(bootstrap_servers=stage.bootstrap, acks="all") as producer:
        for number in range(EVENTS):
            at, value = time.time(), event(rng, number)
            done = await producer.send_and_wait(stage.topic, value, partition=number % 3)
            sent[done.partition, done.offset] = at
            await asyncio.sleep(EVERY_SECONDS)
    return sent


async def _killed(stage: ForwardStage) -> float:
    """Kill the forwarder, start another; return how long until an event arrives again."""
    stage.workers[-1].signal(signal.SIGKILL)
    began = time.monotonic()
    before = {sink: stage.intake(sink).arrived.events for sink in SINKS}
    stage.start()
    await stage.produce(event(random.Random(4), number) for number in range(300))

    async def has_arrived() -> bool:
        return all(stage.intake(sink).arrived.events > before[sink] for sink in SINKS)

    await until(has_arrived, what="both sinks get events again")
    return time.monotonic() - began
