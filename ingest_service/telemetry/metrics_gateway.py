"""The gateway's metrics that its audit events tell, and telemetry where there is no event."""

from ingest_service.telemetry.declaration import Declaration, Kind, Label, Source
from ingest_service.telemetry.metrics_labels import (
    ACTION,
    AGENT_KINDS,
    DECISION,
    EVENT_TYPE,
    LATENCY_SECONDS,
    SERVER,
    STATUS,
    TOOL,
)

_OPERATION = Label("operation", "`metadata.error.operation`", most=24)
_ERROR_TYPE = Label("error_type", "`metadata.error.error_type`", most=24)
_CACHE_NAME = Label("cache_name", "`decision` for events", most=12)
_NOT_A2A = "every event with a decision, but `a2a_communication`"

AUTHZ_REQUESTS = Declaration(
    name="sark_gateway_authz_requests_total",
    kind=Kind.COUNTER,
    help="Authorisations that the gateway decided, agent-to-agent ones apart.",
    source=Source.EVENTS,
    labels=(DECISION, ACTION, SERVER),
    counts=_NOT_A2A,
    most_series=500,
)
AUTHZ_LATENCY = Declaration(
    name="sark_gateway_authz_latency_seconds",
    kind=Kind.HISTOGRAM,
    help="How long the gateway took to decide; its exemplars are the slowest requests of batches.",
    source=Source.BOTH,
    labels=(ACTION,),
    buckets=LATENCY_SECONDS,
    counts=f"{_NOT_A2A}, with a `metadata.latency_ms` of 0 or more",
    told="authorization_latency_seconds",
    most_series=25,
)
CACHE_HITS = Declaration(
    name="sark_gateway_cache_hits_total",
    kind=Kind.COUNTER,
    help="Decisions that were in the gateway's cache.",
    source=Source.BOTH,
    counts="every event with `metadata.cache_hit` true",
    told="cache_hits",
)
CACHE_MISSES = Declaration(
    name="sark_gateway_cache_misses_total",
    kind=Kind.COUNTER,
    help="Decisions that were not in the gateway's cache.",
    source=Source.BOTH,
    counts="every event with `metadata.cache_hit` false",
    told="cache_misses",
)
A2A_REQUESTS = Declaration(
    name="sark_a2a_authz_requests_total",
    kind=Kind.COUNTER,
    help="Authorisations of messages between agents.",
    source=Source.EVENTS,
    labels=(DECISION, *AGENT_KINDS),
    counts="`a2a_communication`",
    most_series=200,
)
CLIENT_ERRORS = Declaration(
    name="sark_gateway_client_errors_total",
    kind=Kind.COUNTER,
    help="Calls of the gateway's client that failed.",
    source=Source.BOTH,
    labels=(_OPERATION, _ERROR_TYPE),
    counts="every event with `metadata.error`",
    told="client_errors",
    most_series=200,
)
AUDIT_EVENTS = Declaration(
    name="sark_gateway_audit_events_total",
    kind=Kind.COUNTER,
    help="Audit events of the gateway that are durable rows.",
    source=Source.EVENTS,
    labels=(EVENT_TYPE, DECISION),
    counts="every event; `telemetry` has no decision",
)
REQUESTS = Declaration(
    name="sark_gateway_requests_total",
    kind=Kind.COUNTER,
    help="Requests to the gateway; telemetry adds those that came to no decision.",
    source=Source.BOTH,
    labels=(
        Label("method", "`metadata.action`", most=24),
        Label("endpoint", "`server_name`", most=40),
        Label("status", STATUS.meaning, most=12),
        TOOL,
    ),
    counts="every event with a decision",
    told="requests",
    most_series=400,
)
TOOL_INVOCATIONS = Declaration(
    name="sark_gateway_tool_invocations_total",
    kind=Kind.COUNTER,
    help="Tool calls that the gateway was asked for, and what became of them.",
    source=Source.EVENTS,
    labels=(TOOL, SERVER, STATUS),
    counts="`tool_invoke`",
    most_series=400,
)
AUTH_FAILURES = Declaration(
    name="sark_gateway_auth_failures_total",
    kind=Kind.COUNTER,
    help="Callers that could not prove who they are; telemetry adds those without an event.",
    source=Source.BOTH,
    labels=(Label("reason", "`metadata.error.error_type`", most=16),),
    counts="denials with `metadata.error.operation` = `authenticate`",
    told="auth_failures",
)
RATE_LIMIT_EXCEEDED = Declaration(
    name="sark_gateway_rate_limit_exceeded_total",
    kind=Kind.COUNTER,
    help="Requests over a rate limit; telemetry adds those without an event.",
    source=Source.BOTH,
    labels=(Label("limit_type", "`metadata.policy.rule`", most=16),),
    counts="denials whose `metadata.policy.rule` begins with `rate-limit` or `rate_limit`",
    told="rate_limit_exceeded",
)
CACHE_OPERATIONS = Declaration(
    name="sark_gateway_cache_operations_total",
    kind=Kind.COUNTER,
    help="Operations on the gateway's caches; telemetry adds those of other caches.",
    source=Source.BOTH,
    labels=(
        Label("operation", "`get` for events", most=8),
        _CACHE_NAME,
        Label("result", "`hit` or `miss` for events", most=8),
    ),
    counts="every event with `metadata.cache_hit`",
    told="cache_operations",
)
UNIQUE_USERS = Declaration(
    name="sark_gateway_unique_users",
    kind=Kind.GAUGE,
    help="About how many users had an event in the last hour.",
    source=Source.DATABASE,
)

GATEWAY = (
    AUTHZ_REQUESTS,
    AUTHZ_LATENCY,
    CACHE_HITS,
    CACHE_MISSES,
    A2A_REQUESTS,
    CLIENT_ERRORS,
    AUDIT_EVENTS,
    REQUESTS,
    TOOL_INVOCATIONS,
    AUTH_FAILURES,
    RATE_LIMIT_EXCEEDED,
    CACHE_OPERATIONS,
    UNIQUE_USERS,
)
