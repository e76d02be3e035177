"""The gateway's side at its worst, end to end: what was acknowledged is a row, once."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from ingest_service.publisher import AuditPublisher, GatewayAuditEvent
from ingest_service.settings import KafkaSettings
from publishing.kafka import read_topic
from stage import assert_invariants
from stage.proxy import proxy_before

if TYPE_CHECKING:
    import random

    from stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

RECORDED, BUFFER = 50, 500
GATEWAY = f"""
import asyncio, sys
from ingest_service.publisher import AuditPublisher, BufferFull, GatewayAuditEvent
from ingest_service.settings import load

def event(n):
    return GatewayAuditEvent(event_type="tool_invoke", decision="allow", reason="ok",
                             gateway_request_id=f"req-{{n}}")

async def main():
    async with AuditPublisher(load().kafka, max_events={BUFFER}, deadline_seconds=60) as publisher:
        for n in range({RECORDED}):
            print(await publisher.log_gateway_event(event(n)), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        try:
            while True:
                publisher.enqueue(event(0))
        except BufferFull:
            print("full", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def read_back(stage: Stage) -> list[str]:
    """Note in the journal what is in the topic; return the events' ids."""
    found = await read_topic(stage.bootstrap, stage.topic)
    stage.journal.records = {
        (each.partition, each.offset): (each.key, each.value) for each in found
    }
    return [json.loads(each.value)["id"] for each in found]


async def test_killed_gateway_loses_its_buffer_and_nothing_else(timescale_stage: Stage) -> None:
    """SIGKILL with a full buffer and a silent broker: each acknowledged event is a row."""
    stage = timescale_stage
    async with proxy_before(stage.bootstrap, advertised=True) as proxy:
        gateway = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", GATEWAY),
            env=stage.environment(INGEST_KAFKA__BOOTSTRAP_SERVERS=proxy.address),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert gateway.stdin is not None
        assert gateway.stdout is not None
        try:
            acknowledged = [
                (await gateway.stdout.readline()).decode().strip() for _ in range(RECORDED)
            ]
            proxy.freeze()
            gateway.stdin.write(b"go\n")
            assert await gateway.stdout.readline() == b"full\n"
        finally:
            gateway.kill()
            await gateway.wait()
    ids = await read_back(stage)
    assert set(acknowledged) <= set(ids)
    assert len(ids) <= RECORDED + BUFFER
    stage.start_worker()
    await stage.drained()
    await assert_invariants(stage)


def hostile_arguments(rng: random.Random) -> dict[str, Any]:
    """Return what a caller may pass as a tool's arguments, by its kind."""
    deep: Any = "bottom"
    for _ in range(2_000):
        deep = {"a": [deep]}
    cycle: list[Any] = []
    cycle.append(cycle)
    return {
        "megabytes": "x" * 3_000_000,
        "many": {f"key-{n}": "v" * 50 for n in range(40_000)},
        "noise": "".join(chr(rng.randrange(32, 0xD800)) for _ in range(600_000)),
        "deep": deep,
        "cycle": cycle,
        "surrogates": "\ud800 alone \udfff",
        "control": "".join(map(chr, range(32))) + "\x7f\u2028\ufeff",
        "bytes": bytes(range(256)) * 10_000,
        "numbers": [math.nan, math.inf, -math.inf, 10**400, 1e308, -(10**39)],
        "long key": {"k" * 100_000: 1},
        "reserved": {"_trimmed": 1, "_ingest": 2, "_extra": 3},
        "no json": object(),
    }


async def test_hostile_arguments_are_one_row_each_and_marked(
    timescale_stage: Stage, seed: random.Random
) -> None:
    """Whatever its size, depth or encoding, an argument keeps no decision out of the table."""
    stage = timescale_stage
    arguments = hostile_arguments(seed)
    kafka = KafkaSettings(bootstrap_servers=stage.bootstrap, topic=stage.topic)
    async with AuditPublisher(
        kafka, registry=CollectorRegistry(), deadline_seconds=60
    ) as publisher:
        ids = {
            kind: await publisher.log_gateway_event(
                GatewayAuditEvent(
                    event_type="tool_invoke",
                    decision="deny",
                    reason=kind,
                    gateway_request_id=kind,
                    metadata={"params": params},
                )
            )
            for kind, params in arguments.items()
        }
    await read_back(stage)
    stage.start_worker()
    await stage.drained()
    connection = await asyncpg.connect(stage.dsn)
    try:
        rows = await connection.fetch(
            "select id::text, reason, decision, metadata from gateway_audit_events"
        )
    finally:
        await connection.close()
    assert {row["reason"]: row["id"] for row in rows} == ids
    # These fit: they are stored as they were sent, which the invariants compare.
    whole = {row["reason"] for row in rows if "_trimmed" not in json.loads(row["metadata"])}
    assert whole == {"control", "reserved", "long key"}
    await assert_invariants(stage)
