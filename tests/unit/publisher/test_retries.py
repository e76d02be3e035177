"""The same object again has the id it had; nothing else has."""

from uuid import uuid4

from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.publisher.retries import Retries


def event() -> GatewayAuditEvent:
    return GatewayAuditEvent(event_type="discovery", decision="allow", gateway_request_id="r")


def test_a_remembered_event_has_its_id_again() -> None:
    """An event whose fate is unknown goes out under one id, however often."""
    retries, one, audit_id = Retries(), event(), uuid4()
    retries.remember(one, audit_id)
    assert retries.id_of(one) == audit_id
    assert retries.id_of(event()) is None


def test_a_settled_event_is_forgotten() -> None:
    """Once its caller knows, nothing is kept."""
    retries, one = Retries(), event()
    retries.remember(one, uuid4())
    retries.forget(one)
    retries.forget(one)
    assert retries.id_of(one) is None


def test_memory_is_bounded_and_keeps_the_newest() -> None:
    """A long outage does not fill the gateway's memory with events that nobody tries again."""
    retries = Retries()
    events = [event() for _ in range(1001)]
    for one in events:
        retries.remember(one, uuid4())
    assert retries.id_of(events[0]) is None
    assert retries.id_of(events[1]) is not None
