"""What rules and dashboards ask, and which of it has no answer while all is well."""

from __future__ import annotations

import promql_parser as ast

from dashboards import as_prometheus_reads, promql
from promql import parts_of, rules

SILENT_WHEN_HEALTHY = {
    'ALERTS{alertstate="firing"': "nothing fires",
    "sark_audit_partition_stopped": "no partition waits for an operator",
    "sark_siem_partition_stopped": "the same, of a sink",
    "sark_siem_dead_letters_total": "no sink has refused an event",
    "sark:siem_dead_letters:increase15m": "the same",
    "sark:audit_quarantined:rate5m > 0": "every record was an event",
    "sark_audit_telemetry_ignored_total": "every gateway's telemetry was understood",
    "sark_audit_write_errors_total": "no write has failed",
    "sark_siem_retries_total": "no request was sent again",
}
"""How an expression begins, or what it is about, and why nothing answers it."""


def asked() -> set[str]:
    """Return every expression of dashboards and recording rules, and what the alerts look at."""
    found = {as_prometheus_reads(each.text, span="5m") for each in promql()}
    for rule in rules():
        if "record" in rule:
            found.add(rule["expr"])
        else:
            found |= set(_selectors(rule["expr"]))
    return found


def silent(expr: str) -> bool:
    """Tell whether the expression is one of those: it has that part, and no way to answer 0."""
    return (
        "or 0 *" not in expr
        and "or vector(0)" not in expr
        and any(part in expr for part in SILENT_WHEN_HEALTHY)
    )


def _selectors(expr: str) -> list[str]:
    parts = [part for part in parts_of(ast.parse(expr)) if isinstance(part, ast.VectorSelector)]
    return [part.prettify() for part in parts]
