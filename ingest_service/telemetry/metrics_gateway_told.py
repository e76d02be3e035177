"""The gateway's metrics that it alone knows: told in `metadata.telemetry` of its events."""

from dataclasses import replace

from ingest_service.telemetry.declaration import Declaration, Kind, Label, Source
from ingest_service.telemetry.metrics_labels import (
    ACTION,
    AGENT_KINDS,
    DECISION,
    DURATION_SECONDS,
    EVENT_TYPE,
    GATEWAY_INSTANCE,
    SERVER,
    TOOL,
)

_CACHE_NAME = Label("cache_name", "the gateway's", most=12)
_POOL_NAME = Label("pool_name", "the gateway's", most=12)

ACTIVE_CONNECTIONS = Declaration(
    name="sark_gateway_active_connections",
    kind=Kind.GAUGE,
    help="Connections that the gateway holds open now.",
    source=Source.TELEMETRY,
    labels=(Label("connection_type", "the gateway's", most=12), GATEWAY_INSTANCE),
    told="active_connections",
    most_series=200,
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

CACHE_SIZE = Declaration(
    name="sark_gateway_cache_size_bytes",
    kind=Kind.GAUGE,
    help="How large a cache of the gateway is now.",
    source=Source.TELEMETRY,
    labels=(_CACHE_NAME, GATEWAY_INSTANCE),
    told="cache_size_bytes",
)

CACHE_EVICTIONS = Declaration(
    name="sark_gateway_cache_evictions_total",
    kind=Kind.COUNTER,
    help="What a cache of the gateway let go of, by why.",
    source=Source.TELEMETRY,
    labels=(
        _CACHE_NAME,
        Label("reason", "the gateway's", most=8),
    ),
    told="cache_evictions",
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
    labels=(DECISION, *AGENT_KINDS),
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

GATEWAY_TOLD = (
    ACTIVE_CONNECTIONS,
    REQUESTS_IN_FLIGHT,
    REQUEST_DURATION,
    TOOL_EXECUTION_DURATION,
    CONNECTION_POOL_SIZE,
    CONNECTION_POOL_ACTIVE,
    ERRORS,
    CACHE_SIZE,
    CACHE_EVICTIONS,
    USER_SESSIONS,
    REPORTED_AUTHORIZATIONS,
    REPORTED_A2A_AUTHORIZATIONS,
    REPORTED_AUDIT_EVENTS,
)
