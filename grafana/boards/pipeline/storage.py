"""How large the audit tables are, how fast they grow, and what retention took away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.look import GREEN, GREY, RED, YELLOW, lines, stat_panel
from boards.queries import now, over_time

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Panel


def storage() -> list[Panel]:
    """Return the row's panels."""
    return [_size(), _utilization(), _full_in(), _rotations(), _purges()]


def _size() -> Panel:
    return lines(
        "Size of the audit tables",
        "All of them, with their indexes.",
        over_time("max(sark_audit_log_size_bytes)", "tables and indexes"),
        unit="bytes",
        width=8,
    )


def _utilization() -> Panel:
    return stat_panel(
        "Capacity used",
        "That size as a part of INGEST_DATABASE__CAPACITY_BYTES.",
        now("max(sark_audit_storage_utilization_ratio)"),
        unit="percentunit",
        limits=((None, GREEN), (0.6, YELLOW), (0.8, RED)),
        missing=("no capacity set", GREY),
        height=8,
    )


def _full_in() -> Panel:
    return stat_panel(
        "Full in",
        "When the capacity is used up, if the tables grow as in the last 6 hours.",
        now(
            """(1 - max(sark_audit_storage_utilization_ratio))
            / (max(deriv(sark_audit_storage_utilization_ratio[6h])) > 0)"""
        ),
        unit="s",
        limits=((None, RED), (4 * 86_400, YELLOW), (30 * 86_400, GREEN)),
        missing=("not growing, or no capacity set", GREY),
        height=8,
    )


def _rotations() -> Panel:
    return stat_panel(
        "Chunks made",
        "Chunks or partitions that were made in the range: about one a day for the events.",
        now("round(max(increase(sark_audit_log_rotations_total[$__range])))"),
        unit="short",
        limits=((None, "blue"),),
        missing=("no persister", GREY),
        height=8,
    )


def _purges() -> Panel:
    return stat_panel(
        "Purges by retention",
        "Purges of the range that the ledger records.",
        now("round(max(increase(sark_audit_retention_purges_total[$__range])))"),
        unit="short",
        limits=((None, "blue"),),
        missing=("no persister", GREY),
        height=8,
    )
