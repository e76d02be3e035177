"""The policy engine's metrics, from audit events and from the gateway's telemetry."""

from dataclasses import replace

from ingest_service.telemetry.declaration import Declaration, Kind, Label, Source
from ingest_service.telemetry.metrics_labels import (
    DECISION,
    DURATION_SECONDS,
    GATEWAY_INSTANCE,
    LATENCY_SECONDS,
    POLICY_NAME,
)

_TOLD_POLICY_NAME = replace(POLICY_NAME, meaning="the gateway's")

POLICY_DECISIONS = Declaration(
    name="sark_policy_decisions_total",
    kind=Kind.COUNTER,
    help="Decisions by policy; telemetry adds those without an event.",
    source=Source.BOTH,
    labels=(
        POLICY_NAME,
        DECISION,
        Label(
            "resource_type",
            "`tool`, `agent` or `server`, by the event's type",
            most=8,
        ),
    ),
    counts="every event with a decision and `metadata.policy`",
    told="policy_decisions",
    most_series=200,
)
POLICY_DENIALS = Declaration(
    name="sark_policy_denials_by_reason_total",
    kind=Kind.COUNTER,
    help="Denials by policy and rule; telemetry adds those without an event.",
    source=Source.BOTH,
    labels=(
        POLICY_NAME,
        Label("reason", "`metadata.policy.rule` when it is a short code, else `other`", most=32),
    ),
    counts="denials with `metadata.policy`",
    told="policy_denials_by_reason",
    most_series=200,
)
POLICY_EVALUATION_DURATION = Declaration(
    name="sark_policy_evaluation_duration_seconds",
    kind=Kind.HISTOGRAM,
    help="How long evaluating a policy took.",
    source=Source.TELEMETRY,
    labels=(_TOLD_POLICY_NAME,),
    buckets=LATENCY_SECONDS,
    told="policy_evaluation_duration_seconds",
    most_series=25,
)
POLICY_EVALUATIONS = Declaration(
    name="sark_policy_evaluations_in_progress",
    kind=Kind.GAUGE,
    help="Evaluations that the gateway waits for now.",
    source=Source.TELEMETRY,
    labels=(GATEWAY_INSTANCE,),
    told="policy_evaluations_in_progress",
)
POLICY_CACHE_HITS = Declaration(
    name="sark_policy_cache_hits_total",
    kind=Kind.COUNTER,
    help="Evaluations that the policy cache answered.",
    source=Source.TELEMETRY,
    labels=(_TOLD_POLICY_NAME,),
    told="policy_cache_hits",
)
POLICY_CACHE_MISSES = Declaration(
    name="sark_policy_cache_misses_total",
    kind=Kind.COUNTER,
    help="Evaluations that the policy cache could not answer.",
    source=Source.TELEMETRY,
    labels=(_TOLD_POLICY_NAME,),
    told="policy_cache_misses",
)
POLICY_CACHE_SIZE = Declaration(
    name="sark_policy_cache_size",
    kind=Kind.GAUGE,
    help="Entries in the policy cache.",
    source=Source.TELEMETRY,
    labels=(GATEWAY_INSTANCE,),
    told="policy_cache_size",
)
POLICY_CACHE_TTL = Declaration(
    name="sark_policy_cache_ttl_seconds",
    kind=Kind.GAUGE,
    help="How long an entry of the policy cache lives.",
    source=Source.TELEMETRY,
    labels=(GATEWAY_INSTANCE,),
    told="policy_cache_ttl_seconds",
)
POLICY_UPDATES = Declaration(
    name="sark_policy_updates_total",
    kind=Kind.COUNTER,
    help="Policies that were loaded, changed or removed.",
    source=Source.TELEMETRY,
    labels=(_TOLD_POLICY_NAME, Label("update_type", "the gateway's", most=8)),
    told="policy_updates",
)
POLICY_LOAD_ERRORS = Declaration(
    name="sark_policy_load_errors_total",
    kind=Kind.COUNTER,
    help="Policies that could not be loaded.",
    source=Source.TELEMETRY,
    labels=(_TOLD_POLICY_NAME, Label("error_type", "the gateway's", most=16)),
    told="policy_load_errors",
)
ACTIVE_POLICIES = Declaration(
    name="sark_active_policies",
    kind=Kind.GAUGE,
    help="Policies that decide now.",
    source=Source.TELEMETRY,
    labels=(GATEWAY_INSTANCE,),
    told="active_policies",
)
POLICY_COMPILATION_DURATION = Declaration(
    name="sark_policy_compilation_duration_seconds",
    kind=Kind.HISTOGRAM,
    help="How long compiling a policy took.",
    source=Source.TELEMETRY,
    labels=(_TOLD_POLICY_NAME,),
    buckets=DURATION_SECONDS,
    told="policy_compilation_duration_seconds",
    most_series=25,
)

POLICY = (
    POLICY_DECISIONS,
    POLICY_DENIALS,
    POLICY_EVALUATION_DURATION,
    POLICY_EVALUATIONS,
    POLICY_CACHE_HITS,
    POLICY_CACHE_MISSES,
    POLICY_CACHE_SIZE,
    POLICY_CACHE_TTL,
    POLICY_UPDATES,
    POLICY_LOAD_ERRORS,
    ACTIVE_POLICIES,
    POLICY_COMPILATION_DURATION,
)
