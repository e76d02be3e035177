"""The way from publish to a row that others can read, at a steady load and at a trickle."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import asyncpg
from aiokafka import AIOKafkaProducer
from traffic import event

from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.publisher import AuditPublisher
from ingest_service.settings import KafkaSettings

if TYPE_CHECKING:
    from stage import Stage

LOOK_SECONDS = 0.004
HEADS = """
select s.partition, max(l.next_offset) from gateway_audit_streams s
join gateway_audit_ledger l on l.stream_id = s.id group by s.partition
"""


_WARM_UP_SECONDS = 2.0  # the first transactions open the streams and make the day's chunk
_CALLS = 1_000


async def acknowledged(bootstrap: str, topic: str) -> tuple[float, float]:
    """Call `log_gateway_event` one by one; return p50 and p99 in milliseconds."""
    kafka, took = KafkaSettings(bootstrap_servers=bootstrap, topic=topic), []
    async with AuditPublisher(kafka) as publisher:
        for number in range(_CALLS + _CALLS // 10):
            began = time.monotonic()
            await publisher.log_gateway_event(_decision(number))
            took.append(time.monotonic() - began)
    cuts = statistics.quantiles(took[_CALLS // 10 :], n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def _decision(number: int) -> GatewayAuditEvent:
    return GatewayAuditEvent(
        event_type="tool_invoke",
        user_id=f"user{number % 100}@example.com",
        server_name="mcp-server",
        tool_name="tool",
        decision="allow",
        reason="matched rule 12 of policy default",
        timestamp=time.time(),
        gateway_request_id=f"req-{number}",
        metadata={"action": "invoke", "latency_ms": 4.2},
    )


async def delays(stage: Stage, rate: int, seconds: float, together: int) -> tuple[float, float]:
    """Publish at this rate, `together` events a request; return p50 and p99 in milliseconds."""
    worker = stage.start_heir(INGEST_DATABASE__LINGER_MS="1000")
    await worker.logged("partitions assigned")
    looked: dict[int, list[tuple[int, float]]] = {}
    looking = asyncio.create_task(_look(stage.dsn, looked))
    try:
        warm_up = int(rate * _WARM_UP_SECONDS / together)
        sent = (await _publish(stage, rate, seconds + _WARM_UP_SECONDS, together))[warm_up:]
        await _all_seen(sent, looked)
    finally:
        looking.cancel()
        worker.end()
    found = sorted(_seen_at(looked[partition], last) - at for partition, last, at in sent)
    cuts = statistics.quantiles(found, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


async def _publish(
    stage: Stage, rate: int, seconds: float, together: int
) -> list[tuple[int, int, float]]:
    """Return (partition, last offset, when it was sent) of each request."""
    rng, clock, sent = random.Random(2), time.monotonic, []
    async with AIOKafkaProducer(
        bootstrap_servers=stage.bootstrap,
        acks="all",
        compression_type="lz4",
        max_batch_size=256 * 1024,
    ) as producer:
        # Made before, so that making them takes no CPU from what is measured.
        batches = [
            _batch(producer, rng, number, together)
            for number in range(int(rate * seconds / together))
        ]
        began = clock()
        for number, batch in enumerate(batches):
            await asyncio.sleep(max(0.0, began + number * together / rate - clock()))
            partition = number % 6
            sent.append(
                (clock(), await producer.send_batch(batch, stage.topic, partition=partition))
            )
        done = [(at, await future) for at, future in sent]
    return [(each.partition, each.offset + together - 1, at) for at, each in done]


def _batch(producer: AIOKafkaProducer, rng: random.Random, number: int, together: int) -> Any:
    batch = producer.create_batch()
    for n in range(together):
        key = f"req-{number:06d}-{n}"
        batch.append(key=key.encode(), value=event(rng, n, key), timestamp=None)
    batch.close()
    return batch


async def _look(dsn: str, looked: dict[int, list[tuple[int, float]]]) -> None:
    connection = await asyncpg.connect(dsn)
    while True:
        now = time.monotonic()
        for partition, head in await connection.fetch(HEADS):
            seen = looked.setdefault(partition, [])
            if not seen or seen[-1][0] < head:
                seen.append((head, now))
        await asyncio.sleep(LOOK_SECONDS)


async def _all_seen(
    sent: list[tuple[int, int, float]], looked: dict[int, list[tuple[int, float]]]
) -> None:
    async with asyncio.timeout(120):
        for partition, last, _ in sent:
            while not looked.get(partition) or looked[partition][-1][0] <= last:  # noqa: ASYNC110 - nothing tells us
                await asyncio.sleep(LOOK_SECONDS)


def _seen_at(seen: list[tuple[int, float]], offset: int) -> float:
    """Return when the head was first seen beyond this offset."""
    return seen[bisect_right(seen, offset, key=lambda each: each[0])][1]
