"""The event as a gateway makes it. Light on purpose: the publisher imports this and little else."""

import time
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from ingest_service.events.v1.bounds import (
    EVENT_TYPE_PATTERN,
    MAX_EVENT_TYPE_CHARACTERS,
    MAX_NAME_CHARACTERS,
)

Decision = Literal["allow", "deny"]
EventType = Annotated[
    str, Meta(max_length=MAX_EVENT_TYPE_CHARACTERS, pattern=f"^{EVENT_TYPE_PATTERN}$")
]
Name = Annotated[str, Meta(max_length=MAX_NAME_CHARACTERS)]


def _now() -> float:
    """Return the Unix time to the microsecond, which is all that is kept."""
    return round(time.time(), 6)


class GatewayAuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One decision of the gateway, or its telemetry; `msgspec.json.encode` makes the value to send.

    Give an `id` when the same event may be sent by more than one process; otherwise the publisher
    does. Nothing is validated here: what the contract bounds, the publisher trims.
    """

    id: UUID | None = None
    event_type: EventType
    user_id: Name | None = None
    agent_id: Name | None = None
    server_name: Name | None = None
    tool_name: Name | None = None
    decision: Decision | None = None
    reason: str = ""
    timestamp: float = msgspec.field(default_factory=_now)
    gateway_request_id: Name
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
