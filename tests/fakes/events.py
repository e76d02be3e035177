"""Records and rows for the persister's tests: valid ones, and ones that are wrong on purpose."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import msgspec

from ingest_service.events.record import Row, StoredRecord

NOW_MS = time.time_ns() // 1_000_000
TOPIC = "events"


def event(**changes: Any) -> dict[str, Any]:
    """Return a valid event that happens now, but for the changes."""
    return {
        "id": str(uuid4()),
        "event_type": "tool_invoke",
        "user_id": "u1",
        "server_name": "files",
        "tool_name": "read",
        "decision": "allow",
        "reason": "policy",
        "timestamp": NOW_MS // 1000,
        "gateway_request_id": "r1",
        "metadata": {"latency_ms": 3},
    } | changes


def record(offset: int, partition: int = 0, topic: str = TOPIC, **changes: Any) -> StoredRecord:
    """Return a record that becomes a row."""
    value = msgspec.json.encode(event(**changes))
    return StoredRecord(topic, partition, offset, NOW_MS, b"r1", value, [("source", b"gw")])


def garbage(offset: int, partition: int = 0, topic: str = TOPIC) -> StoredRecord:
    """Return a record that no publisher of ours would send."""
    return StoredRecord(topic, partition, offset, NOW_MS, None, b"not json", [])


def row(offset: int = 0, **changes: Any) -> Row:
    """Return a row of now, with an id of its own, but for the changes."""
    fields: dict[str, Any] = {
        "id": str(uuid4()),
        "event_type": "tool_invoke",
        "user_id": "u1",
        "agent_id": None,
        "server_name": "files",
        "tool_name": "read",
        "decision": "allow",
        "reason": "policy",
        "timestamp_us": NOW_MS * 1000,
        "gateway_request_id": "r1",
        "metadata": b'{"latency_ms": 3}',
        "kafka_offset": offset,
    }
    return Row(**fields | changes)
