"""What could be no row, and what a sink refused for good: how much, why, and the last ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.look import areas, rows
from boards.queries import over_time, sql

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Panel


def refused() -> list[Panel]:
    """Return the row's panels."""
    return [_quarantined(), _dead_letters(), _last()]


def _quarantined() -> Panel:
    return areas(
        "Quarantined by reason",
        "Records a second that went to quarantine. docs/events.md says what each reason means to "
        "a publisher.",
        over_time("sark:audit_quarantined:rate5m > 0", "{{reason}}"),
        unit="ops",
    )


def _dead_letters() -> Panel:
    return areas(
        "Dead letters by reason",
        "Records that a sink refused for good within 15 minutes, by its answer.",
        over_time("sark:siem_dead_letters:increase15m", "{{siem_platform}}: {{reason}}"),
        unit="short",
    )


def _last() -> Panel:
    return rows(
        "Last in quarantine",
        "Where they stand in Kafka, and what was wrong with them; never their content.",
        sql("quarantined"),
        width=24,
    )
