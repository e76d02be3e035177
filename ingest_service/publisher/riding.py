"""When telemetry travels: with the next queued event, or by itself every interval."""

import math

from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.publisher.gathering import Telemetry


class Rides:
    """Decides which event carries what was gathered; `now` is monotonic seconds."""

    def __init__(self, telemetry: Telemetry, interval_seconds: float) -> None:
        self._telemetry = telemetry
        self.interval_seconds = interval_seconds
        self._left_at = -math.inf

    def take_for(self, event: GatewayAuditEvent, now: float) -> Telemetry | None:
        """Return what this event shall carry: half an interval after the last, it is worth it."""
        due = now - self._left_at >= self.interval_seconds / 2
        if not (due and self._telemetry and _has_place(event)):
            return None
        return self.take_alone(now)

    def take_alone(self, now: float) -> Telemetry:
        """Return what a heartbeat carries, be it nothing: so a quiet gateway shows it is alive."""
        self._left_at = now
        return self._telemetry.take()

    def seconds_to_heartbeat(self, now: float) -> float:
        """Return how long there is still to wait for an event that takes the telemetry along."""
        return max(0.0, self._left_at + self.interval_seconds - now)

    def put_back(self, taken: Telemetry | None) -> None:
        """Take back what did not arrive."""
        if taken is not None:
            self._telemetry.put_back(taken)


def _has_place(event: GatewayAuditEvent) -> bool:
    return not (isinstance(event.metadata, dict) and "telemetry" in event.metadata)
