from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.events.record import Row
from ingest_service.telemetry import metrics_gateway as gateway
from ingest_service.telemetry import metrics_policy as policies
from ingest_service.telemetry.declaration import Source
from ingest_service.telemetry.metrics import CATALOGUE
from ingest_service.telemetry.projection import Projection, project


def row(metadata: object = None, **fields: object) -> Row:
    """Return a tool call; metadata is bytes as they were sent, or an object."""
    if metadata is None:
        metadata = {"action": "gateway:tool:invoke"}
    written = metadata if isinstance(metadata, bytes) else msgspec.json.encode(metadata)
    return Row(
        id="0190d7a0-0000-7000-8000-000000000000",
        event_type="tool_invoke",
        user_id="canary-user",
        agent_id=None,
        server_name="files",
        tool_name="read",
        decision="allow",
        reason="policy",
        timestamp_us=0,
        gateway_request_id="request",
        metadata=written,
        kafka_offset=0,
    )._replace(**fields)


def counted(*rows: Row) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the counts by the metric's name."""
    return {metric.name: dict(counts) for metric, counts in project(rows).counts.items()}


def test_rows_are_counted_by_what_they_say() -> None:
    """Each row adds one to the series that its fields name."""
    batch = project([row(), row(), row(decision="deny", server_name="mail")])
    assert batch.event_types == {("tool_invoke",): 3}
    counts = batch.counts
    assert counts[gateway.AUDIT_EVENTS] == {("tool_invoke", "allow"): 2, ("tool_invoke", "deny"): 1}
    assert counts[gateway.AUTHZ_REQUESTS] == {
        ("allow", "gateway:tool:invoke", "files"): 2,
        ("deny", "gateway:tool:invoke", "mail"): 1,
    }
    assert counts[gateway.TOOL_INVOCATIONS] == {
        ("read", "files", "allowed"): 2,
        ("read", "mail", "denied"): 1,
    }
    assert counts[gateway.REQUESTS] == {
        ("gateway:tool:invoke", "files", "allowed", "read"): 2,
        ("gateway:tool:invoke", "mail", "denied", "read"): 1,
    }


def test_telemetry_decides_nothing() -> None:
    """It is a row and proof that a gateway is alive; whatever it claims, no request is counted."""
    metadata = {"cache_hit": True, "latency_ms": 3, "error": {}, "policy": {"name": "p"}}
    batch = project([row(metadata, event_type="telemetry", decision=None)])
    assert batch.counts == {gateway.AUDIT_EVENTS: {("telemetry", "none"): 1}}
    assert batch.latencies == {}


def test_messages_between_agents_have_a_metric_of_their_own() -> None:
    """They are no gateway authorisation, in count or in latency, and no tool call."""
    metadata = {"source_type": "service", "latency_ms": 3}
    batch = project([row(metadata, event_type="a2a_communication")])
    assert batch.counts[gateway.A2A_REQUESTS] == {("allow", "service", "none"): 1}
    assert gateway.AUTHZ_REQUESTS not in batch.counts
    assert gateway.TOOL_INVOCATIONS not in batch.counts
    assert batch.latencies == {}


def test_discovery_is_an_authorisation_and_no_tool_call() -> None:
    """Listing a server's tools is decided as well, and invokes nothing."""
    counts = counted(row(event_type="discovery", tool_name=None))
    assert "sark_gateway_tool_invocations_total" not in counts
    assert counts["sark_gateway_authz_requests_total"] == {
        ("allow", "gateway:tool:invoke", "files"): 1
    }


def test_cache_is_counted_by_what_the_event_says() -> None:
    """A hit, a miss, and an event that says nothing, which is neither."""
    counts = counted(row({"cache_hit": True}), row({"cache_hit": False}), row({}))
    assert counts["sark_gateway_cache_hits_total"] == {(): 1}
    assert counts["sark_gateway_cache_misses_total"] == {(): 1}
    assert counts["sark_gateway_cache_operations_total"] == {
        ("get", "decision", "hit"): 1,
        ("get", "decision", "miss"): 1,
    }


def test_failed_call_is_an_error_whatever_was_decided() -> None:
    """The status of a call that failed is neither allowed nor denied."""
    error = {"error": {"operation": "connect", "error_type": "refused"}}
    counts = counted(row(error), row({"error": {}}))
    assert counts["sark_gateway_client_errors_total"] == {
        ("connect", "refused"): 1,
        ("none", "none"): 1,
    }
    assert counts["sark_gateway_tool_invocations_total"] == {("read", "files", "error"): 2}
    assert "sark_gateway_auth_failures_total" not in counts


def test_denial_for_want_of_authentication_is_counted_apart() -> None:
    """Who could not prove who they are is told from who may not."""
    error = {"error": {"operation": "authenticate", "error_type": "expired_token"}}
    counts = counted(row(error, decision="deny"), row(error))
    assert counts["sark_gateway_auth_failures_total"] == {("expired_token",): 1}


def test_policies_are_counted_by_name_rule_and_resource() -> None:
    """A rule that is a sentence is no label: denials by reason have short codes."""
    allowed = row({"policy": {"name": "tools", "rule": "role"}}, event_type="discovery")
    denied = [
        row({"policy": {"name": "tools", "rule": rule}}, decision="deny")
        for rule in ("rbac", "rate-limit-user", "a sentence, with <text> of somebody")
    ]
    batch = project([allowed, *denied, row({"policy": {}}, event_type="other.v2")])
    assert batch.counts[policies.POLICY_DECISIONS] == {
        ("tools", "allow", "server"): 1,
        ("tools", "deny", "tool"): 3,
        ("none", "allow", "other"): 1,
    }
    assert batch.counts[policies.POLICY_DENIALS] == {
        ("tools", "rbac"): 1,
        ("tools", "rate-limit-user"): 1,
        ("tools", "other"): 1,
    }
    assert batch.counts[gateway.RATE_LIMIT_EXCEEDED] == {("rate-limit-user",): 1}


def test_latencies_spread_over_buckets_by_action() -> None:
    """A bound belongs to its own bucket; the slowest request is the example of its bucket."""
    rows = [
        row({"action": "call", "latency_ms": ms}, gateway_request_id=f"req-{ms}")
        for ms in (5, 5.1, 80, 999_999)
    ]
    [(action, found)] = project([*rows, row({"action": "call"})]).latencies.items()
    assert action == ("call",)
    assert found.counts == [1, 1, 0, 0, 1, 0, 0, 0, 1]
    assert round(found.total, 4) == 1000.0891
    [(bucket, example)] = found.examples.items()
    assert (bucket, example.request_id, example.value) == (8, "req-999999", 999.999)


def test_impossible_latency_is_not_observed() -> None:
    """One that is negative, or longer than a day, would spoil the sum for ever."""
    rows = [row({"latency_ms": ms}) for ms in (-1, 86_400_001, 1e300)]
    assert project(rows).latencies == {}


def test_what_an_event_does_not_name_is_none() -> None:
    """A missing server or action is said, not left out."""
    counts = counted(row({}, server_name=None), row({"action": 7}))
    assert set(counts["sark_gateway_authz_requests_total"]) == {
        ("allow", "none", "none"),
        ("allow", "none", "files"),
    }


def test_key_of_a_wrong_type_hides_no_other() -> None:
    """Metadata is free: one odd key is as if it were not there, and its neighbours count."""
    odd = row(
        {"action": "call", "latency_ms": "slow", "cache_hit": True, "policy": "p", "error": 1}
    )
    counts = counted(odd)
    assert set(counts["sark_gateway_authz_requests_total"]) == {("allow", "call", "files")}
    assert counts["sark_gateway_cache_hits_total"] == {(): 1}
    assert "sark_gateway_client_errors_total" not in counts


def test_only_top_level_keys_count() -> None:
    """An action inside of other metadata is the caller's own affair."""
    counts = counted(row(b'{"params":{"action":"hidden","cache_hit":true},"action":"real"}'))
    assert set(counts["sark_gateway_authz_requests_total"]) == {("allow", "real", "files")}
    assert "sark_gateway_cache_hits_total" not in counts


def test_telemetry_rides_with_any_event() -> None:
    """It is handed on with the event's time, and what the event decided counts all the same."""
    told = {"instance": "gw", "counters": []}
    batch = project([row({"telemetry": told}, timestamp_us=5_000_000), row()])
    [found] = batch.told
    assert (msgspec.json.decode(found.telemetry), found.at) == (told, 5.0)
    assert sum(batch.counts[gateway.AUTHZ_REQUESTS].values()) == 2


def test_no_identity_becomes_a_label() -> None:
    """Who did it is in the database, never on a metric."""
    batch = project([row(), row(agent_id="canary-user")])
    assert "canary-user" not in repr(batch)


@given(st.binary(max_size=60), st.none() | st.text(max_size=5))
def test_free_metadata_never_stops_a_count(metadata: bytes, server: str | None) -> None:
    """Whatever metadata holds, the row is counted once."""
    batch = project([row(metadata, server_name=server), row()])
    assert sum(batch.event_types.values()) == 2
    assert sum(batch.counts[gateway.AUTHZ_REQUESTS].values()) == 2


facts = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["a", "b"]),
        "latency_ms": st.floats(-1, 1e9, allow_nan=False) | st.text(max_size=2),
        "cache_hit": st.booleans() | st.integers(),
        "error": st.dictionaries(st.sampled_from(["operation", "error_type"]), st.text(max_size=3)),
        "policy": st.dictionaries(st.sampled_from(["name", "rule"]), st.text(max_size=3)),
    },
)
rows = st.lists(
    st.builds(
        row,
        facts,
        event_type=st.sampled_from(["tool_invoke", "a2a_communication", "discovery", "x"]),
        decision=st.sampled_from(["allow", "deny"]),
        server_name=st.sampled_from(["s", None]),
    ),
    max_size=20,
)


def totals(batch: Projection) -> dict[str, float]:
    found = {metric.name: sum(counts.values()) for metric, counts in batch.counts.items()}
    observed = sum(sum(each.counts) for each in batch.latencies.values())
    return {**found, "latencies": observed} if observed else found


@given(rows, rows)
def test_how_batches_are_cut_changes_no_count(first: list[Row], second: list[Row]) -> None:
    """Two batches add what one batch of all rows adds."""
    apart = totals(project(first))
    for name, count in totals(project(second)).items():
        apart[name] = apart.get(name, 0) + count
    assert totals(project([*first, *second])) == apart


def test_labels_come_in_the_order_of_the_declaration() -> None:
    """What is counted has one value for each declared label."""
    everything = {
        "action": "a",
        "cache_hit": True,
        "source_type": "s",
        "target_type": "t",
        "error": {"operation": "authenticate", "error_type": "e"},
        "policy": {"name": "p", "rule": "rate-limit"},
        "latency_ms": 1,
    }
    kinds = ("tool_invoke", "a2a_communication")
    batch = project(
        [
            row(everything | {"cache_hit": hit}, event_type=kind, decision="deny")
            for kind in kinds
            for hit in (True, False)
        ]
    )
    for metric, counts in batch.counts.items():
        assert all(len(labels) == len(metric.labels) for labels in counts), metric.name
    from_events = {each for each in CATALOGUE if each.source in {Source.EVENTS, Source.BOTH}}
    assert batch.counts.keys() | {gateway.AUTHZ_LATENCY} == from_events
