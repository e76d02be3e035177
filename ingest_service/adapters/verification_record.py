"""Writes down what a run of `verify` found, and when: dashboards and alerts look there."""

from datetime import datetime
from typing import NamedTuple

from ingest_service.adapters.sessions import in_role, open_session

_INSERT = """
insert into gateway_audit_verifications (
    began_at, result, whole, scope, streams, entries, records, anchors,
    findings, notices, counts, first_bad, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""


class Verification(NamedTuple):
    """A finished run, as the table has it."""

    began_at: datetime
    result: str
    whole: bool
    scope: str
    streams: int
    entries: int
    records: int
    anchors: int
    findings: int
    notices: int
    counts: str
    """Findings and notices by class, as a JSON object."""
    first_bad: str | None
    version: str


async def record(dsn: str, verification: Verification) -> None:
    """Append one row.

    Raises `SetupError`, on a replica or where a right is missing, or `DatabaseUnavailableError`.
    """
    with in_role("gateway_audit_operator"):
        async with open_session(dsn, "verify") as connection:
            await connection.execute(_INSERT, *verification)
