"""The gateway's side of the audit: publish events, and know which of them are recorded."""

from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.publisher.audit_publisher import AuditPublisher
from ingest_service.publisher.outcome import BufferFull, NotRecorded, PublisherForked

__all__ = ["AuditPublisher", "BufferFull", "GatewayAuditEvent", "NotRecorded", "PublisherForked"]
