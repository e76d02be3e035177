"""A good event, and records made of it."""

from __future__ import annotations

import json
from typing import Any

from ingest_service.events.record import StoredRecord

KAFKA_MS = 1_700_000_000_500
SECONDS = 1_700_000_000.123456
ID = "0190a3c2-7b1e-7c3d-8f2a-1b2c3d4e5f60"

GOOD: dict[str, Any] = {
    "id": ID,
    "event_type": "tool_invoke",
    "user_id": "user-1",
    "agent_id": None,
    "server_name": "github",
    "tool_name": "create_issue",
    "decision": "allow",
    "reason": "policy default",
    "timestamp": SECONDS,
    "gateway_request_id": "req-1",
    "metadata": {"action": "invoke", "latency_ms": 12.5},
}
TELEMETRY: dict[str, Any] = {
    "event_type": "telemetry",
    "timestamp": SECONDS,
    "gateway_request_id": "telemetry-1",
    "metadata": {"telemetry": {}},
}


def record(value: bytes | None, kafka_ms: int = KAFKA_MS, offset: int = 7) -> StoredRecord:
    """Return a record with this value, as Kafka would hand it over."""
    return StoredRecord("gateway.audit.events", 3, offset, kafka_ms, b"req-1", value, ())


def event(**changes: Any) -> StoredRecord:
    """Return the record of a good event with some fields changed."""
    return record(json.dumps({**GOOD, **changes}).encode())


def event_without(*names: str) -> StoredRecord:
    """Return the record of a good event that lacks some fields."""
    return record(json.dumps({k: v for k, v in GOOD.items() if k not in names}).encode())


def spelled(name: str, text: str | bytes) -> StoredRecord:
    """Return the record of a good event with one field spelled exactly so in JSON."""
    rest = json.dumps({k: v for k, v in GOOD.items() if k != name}).encode()
    text = text.encode() if isinstance(text, str) else text
    return record(rest[:-1] + b', "' + name.encode() + b'": ' + text + b"}")
