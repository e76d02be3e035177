"""From the gateways to Kafka, as their publishers see it: needs the gateways' own /metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.look import GREEN, RED, YELLOW, areas, coloured, lines
from boards.queries import over_time

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Panel

OUTCOMES = {"recorded": GREEN, "unknown": YELLOW, "refused": RED, "not_sent": "dark-red"}


def publishing() -> list[Panel]:
    """Return the row's panels."""
    return [_outcomes(), _buffer(), _acknowledged(), _telemetry()]


def _outcomes() -> Panel:
    panel = areas(
        "Published by outcome",
        "Audit events a second. Only `recorded` is safe; `unknown` may have arrived.",
        over_time(
            "sum by (outcome) (rate(sark_audit_publisher_events_total[$__rate_interval]))",
            "{{outcome}}",
        ),
        unit="ops",
        width=6,
    )
    return coloured(panel, OUTCOMES)


def _buffer() -> Panel:
    return lines(
        "Buffer filled",
        "Which part of each publisher's buffer is taken. When it is full, it refuses.",
        over_time("sark_audit_queue_depth / sark_audit_queue_capacity", "{{instance}}"),
        unit="percentunit",
        width=6,
    )


def _acknowledged() -> Panel:
    return lines(
        "Time to acknowledgement",
        "How long until all replicas had 99 % of the events: what a fail-closed decision waits.",
        over_time(
            """histogram_quantile(0.99, sum by (le) (
                rate(sark_audit_publisher_acknowledge_seconds_bucket[$__rate_interval])))""",
            "P99",
        ),
        unit="s",
        width=6,
    )


def _telemetry() -> Panel:
    return lines(
        "Telemetry left out",
        "Values a second of the gateways' own telemetry that no metric shows, by why: "
        "schemas/telemetry.json says what there is. The events themselves are rows all the same.",
        over_time(
            "sum by (reason) (rate(sark_audit_telemetry_ignored_total[$__rate_interval])) > 0",
            "{{reason}}",
        ),
        unit="ops",
        width=6,
    )
