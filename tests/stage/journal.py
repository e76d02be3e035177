"""What was produced: every record by partition and offset, as the broker acknowledged it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from aiokafka import AIOKafkaProducer

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

Position = tuple[int, int]


@dataclass
class Journal:
    """Every acknowledged record of a test: position → (key, value)."""

    records: dict[Position, tuple[bytes | None, bytes | None]] = field(default_factory=dict)

    @property
    def ids(self) -> set[str]:
        """The audit ids of the events among them."""
        return {json.loads(value)["id"] for _, value in self.records.values() if _is_event(value)}

    def ends(self) -> dict[int, int]:
        """Return the offset after the last record of each partition."""
        ends: dict[int, int] = {}
        for partition, offset in self.records:
            ends[partition] = max(ends.get(partition, 0), offset + 1)
        return ends

    async def produce(
        self,
        bootstrap: str,
        topic: str,
        values: Iterable[bytes | None],
        *,
        partition: int | None = None,
        headers: Any = (),
    ) -> None:
        """Produce each value, keyed by its number, and note where it went."""
        async with AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            max_request_size=8 * 1024 * 1024,
        ) as producer:
            sent = []
            for number, value in enumerate(values):
                key = f"req-{number}".encode()
                future = await producer.send(
                    topic, value, key=key, partition=partition, headers=list(headers)
                )
                sent.append((future, key, value))
            for future, key, value in sent:
                done = await future
                self.records[done.partition, done.offset] = (key, value)


def events(rng: random.Random, count: int) -> list[bytes]:
    """Return believable events, each with an id of its own."""
    return [event(rng, number) for number in range(count)]


def event(rng: random.Random, number: int, **fields: Any) -> bytes:
    """Return one event, but for the fields given."""
    body = {
        "id": str(UUID(int=rng.getrandbits(128), version=4)),
        "event_type": "tool_invoke",
        "user_id": f"user-{number % 17}",
        "server_name": f"server-{number % 5}",
        "tool_name": "search",
        "decision": "allow" if number % 7 else "deny",
        "reason": "policy",
        "timestamp": round(time.time(), 3),
        "gateway_request_id": f"req-{number}",
        "metadata": {"action": "invoke", "latency_ms": 1.10, "n": number},
    }
    return json.dumps(body | fields).encode()


def _is_event(value: bytes | None) -> bool:
    try:
        return isinstance(json.loads(value or b""), dict) and "id" in json.loads(value or b"")
    except ValueError:
        return False
