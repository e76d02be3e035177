"""The last step before the buffer: trimmed, and judged as the persister will judge it."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import structs

from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.events.decode import CONTRACT, decode
from ingest_service.events.record import Limits, Row, StoredRecord
from ingest_service.events.rejection import Rejection
from ingest_service.events.v1.bounds import MAX_NAME_CHARACTERS, TELEMETRY
from ingest_service.publisher.plain import encode, is_ordinary
from ingest_service.publisher.trimming import trim


class Sealed(NamedTuple):
    """A record for Kafka that will decode to a row with this id."""

    audit_id: str
    key: bytes
    value: bytes
    trimmed: int


def seal(
    event: GatewayAuditEvent,
    fallback_id: UUID,
    telemetry: Mapping[str, Any] | None,
    now_ms: int,
    limits: Limits,
) -> Sealed:
    """Return the event's record; raise `ValueError` when the caller broke the contract.

    `fallback_id` is for an event that has no id, or none that is a UUID.

    That can only be `event_type`, `decision` or `timestamp`: everything else is mended.
    """
    if event.id is None:
        event = structs.replace(event, id=fallback_id)
    audit_id = _audit_id(event, fallback_id)
    if telemetry is None and is_ordinary(event.metadata):
        with suppress(Exception):  # what msgspec cannot encode, trimming can
            value = encode(event)
            judged = _judge(value, now_ms, limits)
            if isinstance(judged, Row) and judged.id == audit_id:
                return Sealed(audit_id, _key(judged), value, 0)
    trimmed = trim(event, audit_id, telemetry)
    judged = _judge(trimmed.value, now_ms, limits)
    if isinstance(judged, Rejection):
        raise ValueError(f"{judged.reason}: {judged.message}")  # noqa: TRY004 - of the contract
    return Sealed(audit_id, _key(judged), trimmed.value, trimmed.changes)


def _judge(value: bytes, now_ms: int, limits: Limits) -> Row | Rejection:
    return decode(StoredRecord("", 0, 0, now_ms, None, value), CONTRACT, limits)


def _key(row: Row) -> bytes:
    return (row.gateway_request_id or row.id).encode()


def _audit_id(event: GatewayAuditEvent, fallback_id: UUID) -> str:
    try:
        return str(event.id if type(event.id) is UUID else UUID(str(event.id)))
    except Exception:  # noqa: BLE001 - whatever it is, the event is recorded
        return str(fallback_id)


def heartbeat(instance: str) -> GatewayAuditEvent:
    """Return the event that telemetry travels in by itself; it decides nothing."""
    return GatewayAuditEvent(
        event_type=TELEMETRY,
        gateway_request_id=f"telemetry-{instance}"[:MAX_NAME_CHARACTERS],
    )
