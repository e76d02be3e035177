from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.events.record import Row
from ingest_service.telemetry.projection import project


def row(**fields: object) -> Row:
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
        metadata=b'{"action":"gateway:tool:invoke"}',
        kafka_offset=0,
    )._replace(**fields)


def test_rows_are_counted_by_what_they_say() -> None:
    """Each row adds one to the series that its fields name."""
    batch = project([row(), row(), row(decision="deny", server_name="mail")])
    assert batch.written == {("tool_invoke",): 3}
    assert batch.audit_events == {("tool_invoke", "allow"): 2, ("tool_invoke", "deny"): 1}
    assert batch.authz_requests == {
        ("allow", "gateway:tool:invoke", "files"): 2,
        ("deny", "gateway:tool:invoke", "mail"): 1,
    }


def test_telemetry_and_agent_messages_are_no_gateway_authorisation() -> None:
    """Telemetry decides nothing, and agent-to-agent decisions have a metric of their own."""
    rows = [row(event_type="telemetry", decision=None), row(event_type="a2a_communication")]
    batch = project(rows)
    assert not batch.authz_requests
    assert batch.audit_events == {("telemetry", "none"): 1, ("a2a_communication", "allow"): 1}


def test_what_an_event_does_not_name_is_none() -> None:
    """A missing server or action is said, not left out."""
    batch = project([row(server_name=None, metadata=b"{}"), row(metadata=b'{"action":7}')])
    assert set(batch.authz_requests) == {("allow", "none", "none"), ("allow", "none", "files")}


def test_only_the_top_level_action_counts() -> None:
    """An action inside of other metadata is the caller's own affair."""
    batch = project([row(metadata=b'{"params":{"action":"hidden"},"action":"real"}')])
    assert set(batch.authz_requests) == {("allow", "real", "files")}


def test_no_identity_becomes_a_label() -> None:
    """Who did it is in the database, never on a metric."""
    assert "canary-user" not in repr(project([row(), row(agent_id="canary-user")]))


@given(st.binary(max_size=60), st.none() | st.text(max_size=5))
def test_free_metadata_never_stops_a_count(metadata: bytes, server: str | None) -> None:
    """Whatever metadata holds, the row is counted once."""
    batch = project([row(metadata=metadata, server_name=server)])
    assert sum(batch.written.values()) == sum(batch.authz_requests.values()) == 1
