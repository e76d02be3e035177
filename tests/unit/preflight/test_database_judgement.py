from __future__ import annotations

from typing import Any

import pytest

from ingest_service.adapters.database_check import DatabaseSurvey, TableRights
from ingest_service.preflight.database import judge
from ingest_service.preflight.finding import Finding, Verdict

APPENDS = TableRights(select=True, insert=True, change=False)


def surveyed(**changes: Any) -> DatabaseSurvey:
    """Return a database as it should be, but for these changes."""
    return DatabaseSurvey(
        version="17.5",
        timescaledb="2.19.3",
        licence="timescale",
        role="ingest",
        superuser=False,
        standby=False,
        writer=True,
        temporary=True,
        synchronous_commit="on",
        fsync="on",
        revision="0001",
        tables=["gateway_audit_events"],
        rights={"gateway_audit_events": APPENDS},
        retention_policies=[],
        seconds_ahead=0.01,
        latency_seconds=0.001,
    )._replace(**changes)


def faults(found: DatabaseSurvey) -> list[Finding]:
    return [finding for finding in judge(found, "0001") if finding.verdict is not Verdict.RIGHT]


def test_database_as_needed_has_no_fault() -> None:
    """Server, schema, role and clock each get a line, and all are right."""
    findings = judge(surveyed(), "0001")
    assert {finding.verdict for finding in findings} == {Verdict.RIGHT}
    assert [finding.subject for finding in findings] == [
        "database server",
        "database schema",
        "database role ingest",
        "database clock",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "PostgreSQL 17.5 with TimescaleDB 2.19.3 (Community edition)"),
        ({"licence": "apache"}, "PostgreSQL 17.5 with TimescaleDB 2.19.3 (Apache edition)"),
        ({"timescaledb": None, "licence": None}, "PostgreSQL 17.5"),
    ],
)
def test_edition_is_said(changes: dict, said: str) -> None:
    """What compression and policies there can be depends on the edition, so it is shown."""
    assert judge(surveyed(**changes), "0001")[0].said == said


@pytest.mark.parametrize(
    ("changes", "verdict", "advice"),
    [
        ({"standby": True}, Verdict.WRONG, "name the primary"),
        ({"fsync": "off"}, Verdict.WARNING, "switch it on"),
        ({"synchronous_commit": "off"}, Verdict.WARNING, "switch it on"),
        ({"revision": None, "rights": {}}, Verdict.WRONG, "ingest-service migrate"),
        ({"revision": None}, Verdict.WRONG, "grant gateway_audit_writer to ingest"),
        ({"revision": "0000"}, Verdict.WRONG, "ingest-service migrate"),
        ({"superuser": True}, Verdict.WARNING, "gateway_audit_writer"),
        ({"writer": False}, Verdict.WRONG, "grant gateway_audit_writer to ingest"),
        ({"temporary": False}, Verdict.WRONG, "ingest-service migrate"),
        (
            {"rights": {"gateway_audit_events": APPENDS._replace(insert=False)}},
            Verdict.WRONG,
            "ingest-service migrate",
        ),
        (
            {"rights": {"gateway_audit_events": APPENDS._replace(change=True)}},
            Verdict.WARNING,
            "no more",
        ),
        (
            {"retention_policies": ["gateway_audit_events"]},
            Verdict.WRONG,
            "remove_retention_policy('gateway_audit_events')",
        ),
        ({"seconds_ahead": -30.0}, Verdict.WARNING, "NTP"),
        ({"seconds_ahead": 30.0}, Verdict.WARNING, "NTP"),
    ],
)
def test_each_fault_says_what_to_do(changes: dict, verdict: Verdict, advice: str) -> None:
    """One fault gives one line, with its weight and what to run or change."""
    [fault] = faults(surveyed(**changes))
    assert fault.verdict is verdict
    assert advice in fault.advice


def test_rights_that_lack_are_named() -> None:
    """Which table it is, and that temporary tables are needed, is said in one line."""
    rights = {"gateway_audit_events": APPENDS._replace(select=False)}
    [fault] = faults(surveyed(rights=rights, temporary=False))
    assert fault.said.endswith("gateway_audit_events, temporary tables")
