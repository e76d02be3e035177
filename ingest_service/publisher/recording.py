"""What a gateway tells beside its decisions, in its own words."""

from ingest_service.publisher.gathering import Telemetry


class Recording:
    """Gathers counts, latencies and last values; they travel with events, or by themselves.

    What an event says (`latency_ms`, `cache_hit`, `error`) is counted from the event: record only
    what has none. How many decisions there were is counted from events alone; what is recorded of
    them stands beside it, to compare. `schemas/telemetry.json` lists every name with its labels.
    Names of servers and the like may come from callers: their number and length are bounded, and
    no user id belongs here.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def record_authorization(
        self, decision: str, action: str, server: str, latency_seconds: float | None = None
    ) -> None:
        """Count an authorisation, and how long it took if its event does not say so."""
        labels = {"decision": decision, "action": action, "server": server}
        self._telemetry.count("authorizations", labels)
        if latency_seconds is not None:
            name = "authorization_latency_seconds"
            self._telemetry.observe(name, {"action": action}, latency_seconds)

    def record_a2a_authorization(self, decision: str, source_type: str, target_type: str) -> None:
        """Count an authorisation between agents."""
        labels = {"decision": decision, "source_type": source_type, "target_type": target_type}
        self._telemetry.count("a2a_authorizations", labels)

    def record_cache_hit(self) -> None:
        """Count a decision that was in the cache, and whose event does not say so."""
        self._telemetry.count("cache_hits", {})

    def record_cache_miss(self) -> None:
        """Count a decision that was not in the cache, and whose event does not say so."""
        self._telemetry.count("cache_misses", {})

    def record_client_error(self, operation: str, error_type: str) -> None:
        """Count a failed call of the gateway's client that no event tells of."""
        self._telemetry.count("client_errors", {"operation": operation, "error_type": error_type})

    def record_audit_event(self, event_type: str, decision: str) -> None:
        """Count an event that the gateway means to publish: to compare with what is recorded."""
        self._telemetry.count("audit_events", {"event_type": event_type, "decision": decision})

    def record_counter(self, name: str, amount: float = 1, /, **labels: str) -> None:
        """Add to a counter, such as `errors` or `policy_updates`."""
        self._telemetry.count(name, labels, amount)

    def record_duration(self, name: str, seconds: float, /, **labels: str) -> None:
        """Add one observation to a histogram, such as `request_duration_seconds`."""
        self._telemetry.observe(name, labels, seconds)

    def record_gauge(self, name: str, value: float, **labels: str) -> None:
        """Remember the last value of a gauge, such as `active_connections`."""
        self._telemetry.set(name, labels, value)
