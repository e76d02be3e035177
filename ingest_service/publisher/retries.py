"""The ids of events whose fate was unknown when their caller was told."""

from collections import OrderedDict
from uuid import UUID

from ingest_service.events.audit_event import GatewayAuditEvent

_MAX_REMEMBERED = 1_000


class Retries:
    """Gives the very same event the same id again, so that it is written once.

    Remembers the newest thousand: each was told to its caller, who tries again soon or never.
    """

    def __init__(self) -> None:
        # By address: the event is kept, so that no other object can have it meanwhile.
        self._ids: OrderedDict[int, tuple[GatewayAuditEvent, UUID]] = OrderedDict()

    def id_of(self, event: GatewayAuditEvent) -> UUID | None:
        """Return the id under which this event was sent before."""
        _, audit_id = self._ids.get(id(event), (None, None))
        return audit_id

    def remember(self, event: GatewayAuditEvent, audit_id: UUID) -> None:
        """Keep the id of an event that may still arrive."""
        self._ids[id(event)] = event, audit_id
        if len(self._ids) > _MAX_REMEMBERED:
            self._ids.popitem(last=False)

    def forget(self, event: GatewayAuditEvent) -> None:
        """Drop an event whose caller knows its fate."""
        self._ids.pop(id(event), None)
