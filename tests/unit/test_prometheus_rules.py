"""The rules hang together: names, labels, runbooks, and a promtool case for everything that matters."""

from __future__ import annotations

import re
from typing import Any

import promql_parser as ast
import pytest
import yaml

from dashboards import promql as asked_by_dashboards
from promql import Series, parts_of, rules
from stack.state import REPOSITORY

ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDS = {rule["record"]: rule for rule in rules() if "record" in rule}
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
CASES = [
    case
    for path in sorted((REPOSITORY / "prometheus" / "tests").glob("*.yaml"))
    for case in yaml.safe_load(path.read_text())["tests"]
]
# Name, what its expression must hold, duration, severity: as they were agreed.
AGREED = [
    ("HighGatewayAuthorizationLatency", "p95_rate5m > 0.05", "5m", "warning"),
    ("CriticalGatewayAuthorizationLatency", "p95_rate5m > 0.1", "2m", "critical"),
    ("GatewayClientErrors", "ratio_rate5m > 0.1", "5m", "critical"),
    ("HighDenyRate", "ratio_rate5m > 0.3", "10m", "warning"),
    ("LowPolicyCacheHitRate", "ratio_rate5m < 0.8", "10m", "warning"),
    ("ZeroCacheHits", "sark_gateway_cache_hits_total[5m]", "5m", "critical"),
    ("HighGatewayRequestVolume", "rate5m > 1000", "5m", "warning"),
    ("NoGatewayRequests", "rate5m == 0", "10m", "warning"),
    ("AuditEventLoggingFailed", "sark:audit_durable_offset:max[3m]", "2m", "critical"),
    ("HighA2ADenyRate", "ratio_rate5m > 0.5", "10m", "warning"),
]
FIXED = {"sark_gateway_tool_invocation_rate", "sark_audit_events_per_second"}
"""Recorded because the catalogue names them, whoever reads them."""
NEEDS_NO_SERIES = {"AuditTopicUnwatched", "Watchdog"}
EACH = pytest.mark.parametrize("name", sorted(ALERTS))


@pytest.fixture(scope="module")
def series() -> Series:
    """Return what series there are."""
    return Series()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_names_exist(rule: dict[str, Any], series: Series):
    """Each metric and label is declared or recorded, and a text names labels of the alert."""
    labels = series.answer_of(ast.parse(rule["expr"]))
    texts = " ".join(rule.get("annotations", {}).values())
    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= labels


@pytest.mark.parametrize(("name", "threshold", "duration", "severity"), AGREED)
def test_agreed_alerts_are_as_agreed(name: str, threshold: str, duration: str, severity: str):
    """Ten names, thresholds and durations are fixed: people rely on them."""
    rule = ALERTS[name]
    assert threshold in rule["expr"]
    assert (rule["for"], rule["labels"]["severity"]) == (duration, severity)


@EACH
def test_alert_says_what_whom_and_where_to_read(name: str):
    """Whoever is paged gets a severity, a part, two sentences and a page that exists."""
    rule = ALERTS[name]
    assert set(rule["labels"]) == {"severity", "component"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    assert (RUNBOOKS / f"{name}.md").is_file()


def test_table_of_alerts_is_as_the_rules_are():
    """The page lists every alert once, with its duration and severity."""
    page = (REPOSITORY / "prometheus" / "README.md").read_text()
    listed = re.findall(r"^\| ([A-Z]\w+) \| .* \| (\S+) \| (\w+) \|$", page, re.MULTILINE)
    assert sorted(listed) == sorted(
        (name, rule.get("for", "0m"), rule["labels"]["severity"]) for name, rule in ALERTS.items()
    )


def test_every_runbook_is_an_alerts():
    """No page is left of an alert that is gone, and each is in the index."""
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(ALERTS)
    assert set(re.findall(r"\[(\w+)\]\(\1\.md\)", (RUNBOOKS / "README.md").read_text())) == pages


@EACH
def test_runbook_answers_four_questions(name: str):
    """What it means, how to see it, what to do, how to know it is over."""
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "What it means",
        "How to see it",
        "What to do",
        "How to know it is over",
    ]


@EACH
def test_runbook_asks_what_prometheus_can_answer(name: str, series: Series):
    """Each PromQL block of a runbook names what is exported or recorded."""
    text = (RUNBOOKS / f"{name}.md").read_text()
    for block in re.findall(r"```promql\n(.*?)```", text, re.DOTALL):
        for line in filter(None, block.splitlines()):
            series.answer_of(ast.parse(line))


def test_alerts_on_the_gateways_events_ask_whether_ingest_is_current(series: Series):
    """A backlog that drains is no flood, a dead persister no silent gateway."""
    gateway = {name for name, rule in ALERTS.items() if rule["labels"]["component"] == "gateway"}
    asking = {
        name
        for name, rule in ALERTS.items()
        if "and on () sark:audit_ingest_current == 1" in rule["expr"]
    }
    assert gateway == asking == {name for name, *_ in AGREED} - {"AuditEventLoggingFailed"}


def test_what_is_recorded_is_used():
    """A recording rule that no alert, dashboard or other rule reads costs and tells nothing."""
    expressions = [rule["expr"] for rule in rules()] + [
        asked.text.replace("$__rate_interval", "1m").replace("$__range", "1h")
        for asked in asked_by_dashboards()
    ]
    used = {
        part.name
        for expression in expressions
        for part in parts_of(ast.parse(expression))
        if isinstance(part, ast.VectorSelector)
    }
    assert set(RECORDS) <= used | FIXED


@EACH
def test_promtool_sees_it_fire(name: str):
    """A case expects it, with its labels and texts; it begins with the alert's name."""
    firing = [case for case in CASES if case["name"].startswith(f"{name} fires")]
    if name in NEEDS_NO_SERIES:
        firing += [case for case in CASES if f"{name[0].lower()}{name[1:]} fires" in case["name"]]
        firing += [case for case in CASES if "the watchdog fires always" in case["name"]]
    assert any(expected(case, name) for case in firing)


@EACH
def test_promtool_sees_it_hold_back(name: str):
    """A case just under its threshold, one without traffic and one without series expect nothing."""
    if name in NEEDS_NO_SERIES:
        return
    under = [case for case in CASES if case["name"].startswith(f"{name} just under")]
    no_series = [case for case in CASES if case["name"].startswith("no series")]
    assert under
    assert all(expected(case, name) == [] for case in under)
    assert any(expected(case, name) == [] for case in no_series)
    if name != "NoGatewayRequests":
        no_traffic = [case for case in CASES if case["name"].startswith("no traffic")]
        assert any(expected(case, name) == [] for case in no_traffic)


def expected(case: dict[str, Any], name: str) -> list[Any] | None:
    """Return what a case expects of an alert at last; None when it does not ask."""
    asked = [each for each in case.get("alert_rule_test", []) if each["alertname"] == name]
    found = [each.get("exp_alerts", []) for each in asked]
    return next(filter(None, found), []) if found else None
