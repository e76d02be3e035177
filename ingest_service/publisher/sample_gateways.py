"""What the gateways of the sample tell about themselves, beside their made-up decisions."""

import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.events.identity import new_event_id
from ingest_service.publisher.gathering import Telemetry
from ingest_service.publisher.recording import Recording
from ingest_service.publisher.sealing import heartbeat

_EVERY_SECONDS: Final = 15.0
_EVERY_EVENTS: Final = 100
"""Of all gateways together, so that a thousand events at once tell something too."""


class SampleGateways:
    """Watches the events of each gateway, and tells what it gathers as its publisher would."""

    def __init__(self, instances: Sequence[str]) -> None:
        self._gathered = {name: Telemetry() for name in instances}
        self._turns = list(instances)
        self._events = 0
        self._told_at: float | None = None

    def watch(self, chance: random.Random, event: GatewayAuditEvent) -> None:
        """Record what a gateway would beside this decision."""
        metadata: dict[str, Any] = event.metadata or {}
        recording = Recording(self._gathered[metadata["gateway"]["instance"]])
        _record_decision(recording, event, metadata)
        _record_work(recording, chance, event, metadata)
        self._events += 1

    def tell(self, chance: random.Random, now: float) -> Iterator[GatewayAuditEvent]:
        """Yield the telemetry of the gateway whose turn it is, when it is due."""
        if self._told_at is None:
            self._told_at = now
        waited = now - self._told_at >= _EVERY_SECONDS / len(self._turns)
        if not waited and self._events < _EVERY_EVENTS:
            return
        self._events, self._told_at = 0, now
        instance = self._turns.pop(0)
        self._turns.append(instance)
        telemetry = self._gathered[instance]
        _record_state(Recording(telemetry), chance)
        told = {"instance": instance, **telemetry.take().as_json()}
        yield msgspec.structs.replace(
            heartbeat(instance), id=new_event_id(), timestamp=now, metadata={"telemetry": told}
        )


def _record_decision(
    recording: Recording, event: GatewayAuditEvent, metadata: dict[str, Any]
) -> None:
    """Record how many decisions there were, to compare with the events that arrive."""
    decision = str(event.decision)
    recording.record_audit_event(event.event_type, decision)
    if "source_type" in metadata:
        recording.record_a2a_authorization(
            decision, metadata["source_type"], metadata["target_type"]
        )
    else:
        recording.record_authorization(decision, metadata["action"], str(event.server_name))


def _record_work(
    recording: Recording,
    chance: random.Random,
    event: GatewayAuditEvent,
    metadata: dict[str, Any],
) -> None:
    """Record durations, and what happens without a decision of its own."""
    seconds = metadata["latency_ms"] / 1000
    policy = metadata["policy"]["name"]
    labels = {"method": "POST", "endpoint": f"/{event.event_type}"}
    recording.record_duration("request_duration_seconds", seconds + 0.002, **labels)
    recording.record_duration("policy_evaluation_duration_seconds", seconds, policy_name=policy)
    hit = "policy_cache_hits" if metadata["cache_hit"] else "policy_cache_misses"
    recording.record_counter(hit, policy_name=policy)
    if event.tool_name is not None and event.decision == "allow":
        tool = {"tool": event.tool_name, "server": str(event.server_name)}
        took = chance.lognormvariate(-2, 1)
        recording.record_duration("tool_execution_duration_seconds", took, **tool)
    if chance.random() < _SELDOM:
        _record_trouble(recording, chance, policy)


_SELDOM: Final = 0.04


def _record_trouble(recording: Recording, chance: random.Random, policy: str) -> None:
    """Record one of the things that go wrong now and then."""
    labels: dict[str, str]
    name, labels = chance.choice(
        [
            ("errors", {"error_type": "timeout", "component": "router", "severity": "warning"}),
            ("errors", {"error_type": "crash", "component": "plugin", "severity": "error"}),
            ("auth_failures", {"reason": "expired_token"}),
            ("rate_limit_exceeded", {"limit_type": "per-user"}),
            ("cache_operations", {"operation": "set", "cache_name": "tools", "result": "ok"}),
            ("cache_evictions", {"cache_name": "decision", "reason": "size"}),
            ("policy_updates", {"policy_name": policy, "update_type": "changed"}),
            ("policy_load_errors", {"policy_name": policy, "error_type": "syntax"}),
            ("requests", {"method": "GET", "endpoint": "/health", "status": "200"}),
        ]
    )
    recording.record_counter(name, **labels)
    if name == "policy_updates":
        seconds = chance.lognormvariate(-3, 0.5)
        recording.record_duration(
            "policy_compilation_duration_seconds", seconds, policy_name=policy
        )


def _record_state(recording: Recording, chance: random.Random) -> None:
    """Record how things stand with this gateway now."""
    for kind, most in (("http", 40), ("sse", 25), ("stdio", 8)):
        recording.record_gauge("active_connections", chance.randint(1, most), connection_type=kind)
    for pool in ("redis", "opa"):
        recording.record_gauge("connection_pool_size", 20, pool_name=pool)
        recording.record_gauge("connection_pool_active", chance.randint(0, 20), pool_name=pool)
    size = chance.randint(1 << 20, 1 << 24)
    recording.record_gauge("cache_size_bytes", size, cache_name="decision")
    for name, most in _STATES.items():
        recording.record_gauge(name, chance.randint(0, most))
    recording.record_gauge("policy_cache_ttl_seconds", 300)
    recording.record_gauge("active_policies", 12)


_STATES: Final = {
    "requests_in_flight": 15,
    "user_sessions_active": 200,
    "policy_evaluations_in_progress": 4,
    "policy_cache_size": 5000,
}
