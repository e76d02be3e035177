"""The committed dashboards as Grafana reads them: their panels, and what these ask of whom."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"


class Asked(NamedTuple):
    """One query; `where` is a dashboard, a panel and the query's letter."""

    where: str
    text: str
    legend: str = ""


def dashboards() -> dict[str, dict[str, Any]]:
    """Return each dashboard by its file's name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels that show something, without the rows' titles."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def promql() -> list[Asked]:
    """Return every PromQL expression of panels and annotations, as written."""
    asked = [
        Asked(f"{where} {target['refId']}", target["expr"], target.get("legendFormat", ""))
        for where, target in _targets()
        if "expr" in target
    ]
    marks = [
        Asked(f"{name}: annotation {mark['name']}", mark["expr"])
        for name, dashboard in dashboards().items()
        for mark in dashboard["annotations"]["list"]
    ]
    return asked + marks


def sql() -> list[Asked]:
    """Return every SQL query, as written."""
    return [
        Asked(f"{where} {target['refId']}", target["rawSql"])
        for where, target in _targets()
        if "rawSql" in target
    ]


def as_prometheus_reads(expr: str, *, span: str = "1h", rate: str = "1m") -> str:
    """Fill in what Grafana fills in: every server and action, the range, and the rates' window."""
    filled = expr.replace("$__rate_interval", rate).replace("$__range", span)
    return re.sub(r"\$(server|action)\b", ".*", filled)


def as_postgres_reads(query: str, since: datetime, until: datetime) -> str:
    """Fill in Grafana's macros as its PostgreSQL data source does, without TimescaleDB's own."""
    times = {"since": since.isoformat(), "until": until.isoformat()}
    filled = re.sub(
        r"\$__timeFilter\(([^)]*)\)", r"\1 BETWEEN '{since}' AND '{until}'", query
    ).format(**times)
    assert "$" not in filled, f"no macro that this knows: {filled}"
    return filled


def _targets() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target
