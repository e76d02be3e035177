"""The events that the benchmark sends."""

from __future__ import annotations

import json
import random
import time
from typing import Any

from aiokafka import AIOKafkaProducer


async def fill(bootstrap: str, topic: str, count: int) -> None:
    """Fill a topic as fast as one producer can."""
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
            await producer.send(topic, event(rng, number, key), key=key.encode())


def event(rng: random.Random, number: int, request_id: str) -> bytes:
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
