"""Which metrics an event adds to, and with which labels: a table of `docs/metrics.md` in code."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from ingest_service.telemetry import metrics_gateway as gateway
from ingest_service.telemetry import metrics_policy as policies
from ingest_service.telemetry.declaration import NONE, OTHER, Declaration
from ingest_service.telemetry.facts import Failure, Policy

A2A: Final = "a2a_communication"
_TOOL_CALL: Final = "tool_invoke"
_RESOURCES: Final = {_TOOL_CALL: "tool", A2A: "agent", "discovery": "server"}
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}")
_RATE_LIMIT: Final = ("rate-limit", "rate_limit")
_AUTHENTICATE: Final = "authenticate"
_DENIED: Final = "deny"

Addition = tuple[Declaration, tuple[str, ...]]


class Alike(NamedTuple):
    """What rows have in common that count as the same."""

    event_type: str
    decision: str | None
    server: str | None
    tool: str | None
    action: str | None
    cache_hit: bool | None
    source_type: str | None
    target_type: str | None
    error: Failure | None
    policy: Policy | None

    @property
    def is_authorisation(self) -> bool:
        """Whether the gateway decided about a call; messages between agents are counted apart."""
        return self.decision is not None and self.event_type != A2A


@lru_cache(maxsize=16_384)
def adds_to(rows: Alike) -> tuple[Addition, ...]:
    """Return each metric that such a row adds one to, with the labels in its declaration's order.

    Remembered, since the next batch has mostly the same. With fewer places than there are kinds of
    rows (100 tools on 20 servers make 8,000) nothing is found again, and a row costs 2 us more.
    """
    return tuple(_additions(rows))


def _additions(rows: Alike) -> Iterator[Addition]:
    yield gateway.AUDIT_EVENTS, (rows.event_type, rows.decision or NONE)
    if rows.decision is None:  # telemetry: a gateway is alive, and nothing more
        return
    yield from _requests(rows, rows.decision)
    yield from _cache(rows)
    yield from _failures(rows)
    if rows.policy is not None:
        yield from _policy(rows, rows.decision, rows.policy)


def _requests(rows: Alike, decision: str) -> Iterator[Addition]:
    action, server, tool = rows.action or NONE, rows.server or NONE, rows.tool or NONE
    status = _status(rows)
    if rows.event_type == A2A:
        agents = (rows.source_type or NONE, rows.target_type or NONE)
        yield gateway.A2A_REQUESTS, (decision, *agents)
    else:
        yield gateway.AUTHZ_REQUESTS, (decision, action, server)
    if rows.event_type == _TOOL_CALL:
        yield gateway.TOOL_INVOCATIONS, (tool, server, status)
    yield gateway.REQUESTS, (action, server, status, tool)


def _cache(rows: Alike) -> Iterator[Addition]:
    if rows.cache_hit is not None:
        yield gateway.CACHE_HITS if rows.cache_hit else gateway.CACHE_MISSES, ()
        result = "hit" if rows.cache_hit else "miss"
        yield gateway.CACHE_OPERATIONS, ("get", "decision", result)


def _failures(rows: Alike) -> Iterator[Addition]:
    if rows.error is None:
        return
    operation, error_type = rows.error.operation or NONE, rows.error.error_type or NONE
    yield gateway.CLIENT_ERRORS, (operation, error_type)
    if rows.decision == _DENIED and operation == _AUTHENTICATE:
        yield gateway.AUTH_FAILURES, (error_type,)


def _policy(rows: Alike, decision: str, policy: Policy) -> Iterator[Addition]:
    name, rule = policy.name or NONE, policy.rule or NONE
    yield policies.POLICY_DECISIONS, (name, decision, _RESOURCES.get(rows.event_type, OTHER))
    if decision != _DENIED:
        return
    yield policies.POLICY_DENIALS, (name, rule if _CODE.fullmatch(rule) else OTHER)
    if rule.startswith(_RATE_LIMIT):
        yield gateway.RATE_LIMIT_EXCEEDED, (rule,)


def _status(rows: Alike) -> str:
    if rows.error is not None:
        return "error"
    return "denied" if rows.decision == _DENIED else "allowed"
