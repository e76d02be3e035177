"""Telemetry travels often enough to be useful and seldom enough to be cheap."""

from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.publisher.gathering import Telemetry
from ingest_service.publisher.riding import Rides

EVENT = GatewayAuditEvent(
    event_type="discovery", decision="allow", reason="", gateway_request_id="r"
)


def rides() -> tuple[Telemetry, Rides]:
    telemetry = Telemetry()
    return telemetry, Rides(telemetry, 15)


def test_the_first_event_takes_what_there_is() -> None:
    """Nothing waits for an interval to pass when none has begun."""
    telemetry, ride = rides()
    telemetry.count("hits", {})
    assert ride.take_for(EVENT, now=0) is not None


def test_an_event_travels_light_when_there_is_nothing_to_tell() -> None:
    """No deltas, no telemetry: a decision's record holds the decision."""
    _, ride = rides()
    assert ride.take_for(EVENT, now=0) is None


def test_events_close_together_share_one_ride() -> None:
    """Within half an interval the counts gather; a busy gateway does not pay on every event."""
    telemetry, ride = rides()
    telemetry.count("hits", {})
    ride.take_for(EVENT, now=100)
    telemetry.count("hits", {})
    assert ride.take_for(EVENT, now=107.4) is None
    assert ride.take_for(EVENT, now=107.5) is not None


def test_a_ride_postpones_the_heartbeat() -> None:
    """The gateway has shown that it is alive: the next heartbeat is a whole interval later."""
    telemetry, ride = rides()
    assert ride.seconds_to_heartbeat(now=100) == 0
    telemetry.count("hits", {})
    ride.take_for(EVENT, now=100)
    assert ride.seconds_to_heartbeat(now=104) == 11
    assert ride.seconds_to_heartbeat(now=120) == 0


def test_an_event_with_telemetry_of_its_own_takes_none_of_ours() -> None:
    """What the caller wrote under that name is not overwritten."""
    telemetry, ride = rides()
    telemetry.count("hits", {})
    own = GatewayAuditEvent(
        event_type="discovery",
        decision="allow",
        gateway_request_id="r",
        metadata={"telemetry": {}},
    )
    assert ride.take_for(own, now=0) is None
    assert telemetry
