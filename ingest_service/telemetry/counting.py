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


class Call(NamedTuple):
    """What calls have in common that count as the same, by what was called."""

    event_type: str
    decision: str | None
    action: str | None
    server: str | None
    tool: str | None
    failed: bool


class Alike(NamedTuple):
    """What rows have in common that count as the same, but for what was called.

    Apart from `Call`: of a hundred tools on twenty servers nearly each row would be a kind of its
    own, and be added to each metric alone (5 us a row).
    """

    event_type: str
    decision: str | None
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


@lru_cache(maxsize=4096)
def adds_to(rows: Alike) -> tuple[Addition, ...]:
    """Return each metric that such a row adds one to, with the labels in its declaration's order.

    Remembered, since the next batch has mostly the same. What such a call adds is `called`.
    """
    return tuple(_additions(rows))


@lru_cache(maxsize=8192)
def called(calls: Call) -> tuple[Addition, ...]:
    """Return each metric by server or tool that such a call adds one to, as `adds_to` does."""
    return tuple(_calls(calls)) if calls.decision is not None else ()


def _additions(rows: Alike) -> Iterator[Addition]:
    yield gateway.AUDIT_EVENTS, (rows.event_type, rows.decision or NONE)
    if rows.decision is None:  # telemetry: a gateway is alive, and nothing more
        return
    if rows.event_type == A2A:
        agents = (rows.source_type or NONE, rows.target_type or NONE)
        yield gateway.A2A_REQUESTS, (rows.decision, *agents)
    yield from _cache(rows)
    yield from _failures(rows)
    if rows.policy is not None:
        yield from _policy(rows, rows.decision, rows.policy)


def _calls(calls: Call) -> Iterator[Addition]:
    action, server, tool = calls.action or NONE, calls.server or NONE, calls.tool or NONE
    status = _status(calls)
    if calls.event_type != A2A:
        yield gateway.AUTHZ_REQUESTS, (calls.decision or NONE, action, server)
    if calls.event_type == _TOOL_CALL:
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


def _status(calls: Call) -> str:
    if calls.failed:
        return "error"
    return "denied" if calls.decision == _DENIED else "allowed"
