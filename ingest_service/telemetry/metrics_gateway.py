"""The gateway's metrics: what its audit events and its telemetry say about it."""

from dataclasses import replace

from ingest_service.telemetry.declaration import Declaration, Kind, Label, Source
from ingest_service.telemetry.metrics_labels import (
    ACTION,
    DECISION,
    DURATION_SECONDS,
    EVENT_TYPE,
    GATEWAY_INSTANCE,
    LATENCY_SECONDS,
    SERVER,
    STATUS,
    TOOL,
)

_OPERATION = Label("operation", "`metadata.error.operation`", most=24)
_ERROR_TYPE = Label("error_type", "`metadata.error.error_type`", most=24)
_CACHE_NAME = Label("cache_name", "`decision` for events", most=12)
_POOL_NAME = Label("pool_name", "the gateway's", most=12)
_AGENT_KINDS = tuple(
    Label(name, f"`metadata.{name}`", most=12) for name in ("source_type", "target_type")
)
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
    help="How long the gateway took to decide; the last request of each bucket is its exemplar.",
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
    labels=(DECISION, *_AGENT_KINDS),
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
ACTIVE_CONNECTIONS = Declaration(
    name="sark_gateway_active_connections",
    kind=Kind.GAUGE,
    help="Connections that the gateway holds open now.",
    source=Source.TELEMETRY,
    labels=(Label("connection_type", "the gateway's", most=12), GATEWAY_INSTANCE),
    told="active_connections",
    most_series=200,
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
REQUESTS_IN_FLIGHT = Declaration(
    name="sark_gateway_requests_in_flight",
    kind=Kind.GAUGE,
    help="Requests that the gateway works on now.",
    source=Source.TELEMETRY,
    labels=(GATEWAY_INSTANCE,),
    told="requests_in_flight",
)
REQUEST_DURATION = Declaration(
    name="sark_gateway_request_duration_seconds",
    kind=Kind.HISTOGRAM,
    help="How long requests took at the gateway, from the first byte to the last.",
    source=Source.TELEMETRY,
    labels=(Label("method", "the gateway's", most=12), Label("endpoint", "the gateway's", most=24)),
    buckets=DURATION_SECONDS,
    told="request_duration_seconds",
    most_series=25,
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
TOOL_EXECUTION_DURATION = Declaration(
    name="sark_gateway_tool_execution_duration_seconds",
    kind=Kind.HISTOGRAM,
    help="How long tools took to answer.",
    source=Source.TELEMETRY,
    labels=(
        replace(TOOL, meaning="the gateway's", most=40),
        replace(SERVER, meaning="the gateway's", most=24),
    ),
    buckets=DURATION_SECONDS,
    told="tool_execution_duration_seconds",
    most_series=30,
)
CONNECTION_POOL_SIZE = Declaration(
    name="sark_gateway_connection_pool_size",
    kind=Kind.GAUGE,
    help="Connections that a pool of the gateway may hold.",
    source=Source.TELEMETRY,
    labels=(_POOL_NAME, GATEWAY_INSTANCE),
    told="connection_pool_size",
)
CONNECTION_POOL_ACTIVE = Declaration(
    name="sark_gateway_connection_pool_active",
    kind=Kind.GAUGE,
    help="Connections of a pool that are in use now.",
    source=Source.TELEMETRY,
    labels=(_POOL_NAME, GATEWAY_INSTANCE),
    told="connection_pool_active",
)
ERRORS = Declaration(
    name="sark_gateway_errors_total",
    kind=Kind.COUNTER,
    help="Errors inside the gateway.",
    source=Source.TELEMETRY,
    labels=(
        Label("error_type", "the gateway's", most=24),
        Label("component", "the gateway's", most=16),
        Label("severity", "the gateway's", most=6),
    ),
    told="errors",
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
CACHE_SIZE = Declaration(
    name="sark_gateway_cache_size_bytes",
    kind=Kind.GAUGE,
    help="How large a cache of the gateway is now.",
    source=Source.TELEMETRY,
    labels=(replace(_CACHE_NAME, meaning="the gateway's"), GATEWAY_INSTANCE),
    told="cache_size_bytes",
)
CACHE_EVICTIONS = Declaration(
    name="sark_gateway_cache_evictions_total",
    kind=Kind.COUNTER,
    help="What a cache of the gateway let go of, by why.",
    source=Source.TELEMETRY,
    labels=(
        replace(_CACHE_NAME, meaning="the gateway's"),
        Label("reason", "the gateway's", most=8),
    ),
    told="cache_evictions",
)
UNIQUE_USERS = Declaration(
    name="sark_gateway_unique_users",
    kind=Kind.GAUGE,
    help="About how many users had an event in the last hour.",
    source=Source.DATABASE,
)
USER_SESSIONS = Declaration(
    name="sark_gateway_user_sessions_active",
    kind=Kind.GAUGE,
    help="Sessions that the gateway holds open for users.",
    source=Source.TELEMETRY,
    labels=(GATEWAY_INSTANCE,),
    told="user_sessions_active",
)
REPORTED_AUTHORIZATIONS = Declaration(
    name="sark_gateway_reported_authorizations_total",
    kind=Kind.COUNTER,
    help="Authorisations that the gateway says it decided: compare with the events that came.",
    source=Source.TELEMETRY,
    labels=(DECISION, ACTION, SERVER),
    told="authorizations",
    most_series=300,
)
REPORTED_A2A_AUTHORIZATIONS = Declaration(
    name="sark_gateway_reported_a2a_authorizations_total",
    kind=Kind.COUNTER,
    help="Agent-to-agent authorisations that the gateway says it decided: to compare, too.",
    source=Source.TELEMETRY,
    labels=(DECISION, *_AGENT_KINDS),
    told="a2a_authorizations",
)
REPORTED_AUDIT_EVENTS = Declaration(
    name="sark_gateway_reported_audit_events_total",
    kind=Kind.COUNTER,
    help="Audit events that the gateway says it meant to publish: to compare, too.",
    source=Source.TELEMETRY,
    labels=(EVENT_TYPE, DECISION),
    told="audit_events",
)

GATEWAY = (
    AUTHZ_REQUESTS,
    AUTHZ_LATENCY,
    CACHE_HITS,
    CACHE_MISSES,
    A2A_REQUESTS,
    CLIENT_ERRORS,
    AUDIT_EVENTS,
    ACTIVE_CONNECTIONS,
    REQUESTS,
    REQUESTS_IN_FLIGHT,
    REQUEST_DURATION,
    TOOL_INVOCATIONS,
    TOOL_EXECUTION_DURATION,
    CONNECTION_POOL_SIZE,
    CONNECTION_POOL_ACTIVE,
    ERRORS,
    AUTH_FAILURES,
    RATE_LIMIT_EXCEEDED,
    CACHE_OPERATIONS,
    CACHE_SIZE,
    CACHE_EVICTIONS,
    UNIQUE_USERS,
    USER_SESSIONS,
    REPORTED_AUTHORIZATIONS,
    REPORTED_A2A_AUTHORIZATIONS,
    REPORTED_AUDIT_EVENTS,
)
