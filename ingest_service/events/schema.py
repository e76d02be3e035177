"""The event contract as JSON Schema: `python -m ingest_service.events.schema` prints it.

What JSON Schema cannot say (nesting, number literals, the time against Kafka's) is in
`docs/events.md`; there the decoder is the judge.
"""

import sys
from typing import Any, Final

import msgspec

from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.events.v1.bounds import TELEMETRY

_ALWAYS_REQUIRED: Final = ["event_type", "timestamp", "gateway_request_id"]
_REQUIRED_OF_DECISIONS: Final = ["decision", "reason"]
_DESCRIPTIONS: Final = {
    "id": "Audit id, best a UUIDv7. Missing or null: derived from topic, partition and offset.",
    "event_type": "tool_invoke, a2a_communication, discovery, telemetry, or another name.",
    "user_id": "Who asked, if a person did.",
    "agent_id": "Which agent asked, if one did.",
    "server_name": "The MCP server that the call is for.",
    "tool_name": "The tool that the call is for.",
    "decision": "What the gateway decided; absent or null on telemetry only.",
    "reason": "Why it decided so.",
    "timestamp": "Unix time in seconds, integer or fraction; microseconds are kept.",
    "gateway_request_id": "Correlation id of the request; also the record's key.",
    "metadata": "Free. Kept as sent; `_ingest` and `_extra` belong to the ingest service.",
}


def build_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one event."""
    _, components = msgspec.json.schema_components([GatewayAuditEvent])
    properties: dict[str, Any] = components["GatewayAuditEvent"]["properties"]
    for name, description in _DESCRIPTIONS.items():
        properties[name] = {"description": description, **_rule(name, properties[name])}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:gateway-audit-event:1",
        "title": "GatewayAuditEvent",
        "description": "One decision of the gateway, or its telemetry. Contract 1.",
        "type": "object",
        "properties": properties,
        "required": _ALWAYS_REQUIRED,
        "if": {"properties": {"event_type": {"const": TELEMETRY}}, "required": ["event_type"]},
        "then": {"properties": {"decision": {"type": "null"}}},
        "else": {
            "properties": {"decision": {"type": "string"}, "reason": {"type": "string"}},
            "required": _REQUIRED_OF_DECISIONS,
        },
    }


def render_schema() -> str:
    """Return the schema's file as it is kept under `schemas/`."""
    text = msgspec.json.format(msgspec.json.encode(build_schema()), indent=2)
    return f"{text.decode()}\n"


def _rule(name: str, generated: dict[str, Any]) -> dict[str, Any]:
    rule = {key: value for key, value in generated.items() if key != "default"}
    if name in {"metadata", "reason"}:  # null is the same as absent (reason: on telemetry only)
        return {"anyOf": [rule, {"type": "null"}]}
    return rule


if __name__ == "__main__":
    sys.stdout.write(render_schema())
