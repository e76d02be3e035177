"""The workers themselves: which answer, which restarted, what they take of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.look import GREEN, RED, lines, rows, states
from boards.queries import now_as_table, over_time

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Panel

WORKER = "{{job}} {{instance}}"


def processes() -> list[Panel]:
    """Return the row's panels."""
    return [_answering(), _versions(), _memory(), _processor()]


def _answering() -> Panel:
    return states(
        "Workers that answer",
        "Whether Prometheus gets metrics from each worker.",
        over_time('up{job=~"ingest-.*"}', WORKER),
        meanings={"0": ("does not answer", RED), "1": ("answers", GREEN)},
        width=12,
    )


def _versions() -> Panel:
    panel = rows(
        "Versions and restarts",
        "What each worker is, and how often it restarted in the range.",
        now_as_table(
            """changes(process_start_time_seconds{job=~"ingest-.*"}[$__range])
            * on (job, instance) group_left (role, version) sark_audit_worker_info"""
        ),
        names={
            "instance": "Worker",
            "role": "Role",
            "version": "Version",
            "Value": "Restarts",
        },
    )
    assert panel.grid_pos is not None
    panel.grid_pos.h = 6
    return panel


def _memory() -> Panel:
    return lines(
        "Memory",
        "Resident memory; a worker stays under 400 MiB whatever arrives.",
        over_time('process_resident_memory_bytes{job=~"ingest-.*"}', WORKER),
        unit="bytes",
    )


def _processor() -> Panel:
    return lines(
        "Processor",
        "Processors that a worker keeps busy; decoding and the event loop share one.",
        over_time('rate(process_cpu_seconds_total{job=~"ingest-.*"}[$__rate_interval])', WORKER),
        unit="short",
    )
