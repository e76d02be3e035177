"""Believable traffic of a gateway: few users do most, most is allowed, most answers are quick."""

import random
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, NamedTuple

from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.events.identity import new_event_id
from ingest_service.publisher.sample_gateways import SampleGateways


class _Weighted(NamedTuple):
    """Choices of which the first is the likeliest: the n-th has a share in proportion to 1/n."""

    choices: tuple[Any, ...]
    cumulated: tuple[float, ...]

    def draw(self, chance: random.Random) -> Any:
        return chance.choices(self.choices, cum_weights=self.cumulated)[0]


def _skewed(*choices: Any) -> _Weighted:
    return _Weighted(choices, tuple(accumulate(1 / rank for rank in range(1, len(choices) + 1))))


_USERS = _skewed(*(f"user-{number:03}@example.com" for number in range(1, 201)))
_AGENTS = _skewed(
    "triage", "researcher", "release-bot", "planner", "reviewer", "on-call", "billing"
)
_TOOLS = _skewed(
    ("github", "search_code"),
    ("github", "create_issue"),
    ("postgres", "query"),
    ("filesystem", "read_file"),
    ("jira", "update_ticket"),
    ("slack", "post_message"),
    ("github", "merge_pull_request"),
    ("filesystem", "write_file"),
    ("kubernetes", "get_pods"),
    ("postgres", "explain"),
    ("kubernetes", "delete_pod"),
    ("vault", "read_secret"),
)
_ALLOWED = _skewed("policy allows", "role permits the tool", "owner of the resource")
_DENIED = _skewed(
    ("no rule allows it", "default-deny"),
    ("the tool is not in the role", "rbac"),
    ("outside working hours", "time-window"),
    ("too many calls", "rate-limit"),
    ("the arguments hold a secret", "data-loss"),
)
_TYPES = _skewed("service", "assistant", "workflow", "tool")
_ENVIRONMENTS = _skewed("production", "staging", "development")
_TENANTS = _skewed("acme", "globex", "initech", "umbrella")
_ERRORS = _skewed(("call_tool", "timeout"), ("connect", "refused"), ("call_tool", "bad_response"))
_GATEWAYS = tuple({"instance": f"gateway-{number}", "version": "2.3.1"} for number in range(3))

_TOOL_CALLS = 0.80
_AGENT_MESSAGES = 0.14  # the rest are discoveries
_BY_AGENT = 0.30
_ALLOWED_SHARE = 0.92
_CACHED = 0.92
_FAILED = 0.01


def sample_events(seed: int | None, now: Callable[[], float]) -> Iterator[GatewayAuditEvent]:
    """Yield events without end; one seed gives the same ones but for their ids and times."""
    chance = random.Random(seed)  # noqa: S311 - invented data
    makers = (_tool_call, _agent_message, _discovery)
    cumulated = (_TOOL_CALLS, _TOOL_CALLS + _AGENT_MESSAGES, 1)
    gateways = SampleGateways([each["instance"] for each in _GATEWAYS])
    while True:
        (make,) = chance.choices(makers, cum_weights=cumulated)
        at = round(now(), 6)
        event = make(chance, at, f"req-{chance.getrandbits(48):012x}")
        gateways.watch(chance, event)
        yield event
        yield from gateways.tell(chance, at)


def _tool_call(chance: random.Random, timestamp: float, request_id: str) -> GatewayAuditEvent:
    server, tool = _TOOLS.draw(chance)
    metadata = {"action": "invoke", "params": {"arguments": chance.randint(1, 6)}}
    return _event(
        chance,
        metadata,
        event_type="tool_invoke",
        user_id=_USERS.draw(chance),
        agent_id=_AGENTS.draw(chance) if chance.random() < _BY_AGENT else None,
        server_name=server,
        tool_name=tool,
        timestamp=timestamp,
        gateway_request_id=request_id,
    )


def _agent_message(chance: random.Random, timestamp: float, request_id: str) -> GatewayAuditEvent:
    metadata = {
        "action": "send",
        "source_type": _TYPES.draw(chance),
        "target_type": _TYPES.draw(chance),
    }
    return _event(
        chance,
        metadata,
        event_type="a2a_communication",
        agent_id=_AGENTS.draw(chance),
        timestamp=timestamp,
        gateway_request_id=request_id,
    )


def _discovery(chance: random.Random, timestamp: float, request_id: str) -> GatewayAuditEvent:
    return _event(
        chance,
        {"action": "list_tools"},
        event_type="discovery",
        user_id=_USERS.draw(chance),
        server_name=_TOOLS.draw(chance)[0],
        timestamp=timestamp,
        gateway_request_id=request_id,
    )


def _event(chance: random.Random, metadata: dict[str, Any], **fields: Any) -> GatewayAuditEvent:
    """Decide, and add what every event carries."""
    allowed = chance.random() < _ALLOWED_SHARE
    reason, rule = (_ALLOWED.draw(chance), "role") if allowed else _DENIED.draw(chance)
    cached = chance.random() < _CACHED
    metadata |= {
        "latency_ms": round(chance.lognormvariate(0.5 if cached else 2.5, 0.6), 2),
        "cache_hit": cached,
        "policy": {"name": "gateway-default", "version": "2024-11", "rule": rule},
        "client_ip": f"10.0.{chance.randrange(4)}.{chance.randrange(1, 255)}",
        "tenant": _TENANTS.draw(chance),
        "environment": _ENVIRONMENTS.draw(chance),
        "gateway": chance.choice(_GATEWAYS),
    }
    if chance.random() < _FAILED:
        operation, error_type = _ERRORS.draw(chance)
        metadata["error"] = {"operation": operation, "error_type": error_type}
    return GatewayAuditEvent(
        id=new_event_id(),
        decision="allow" if allowed else "deny",
        reason=reason,
        metadata=metadata,
        **fields,
    )
