"""What the runbooks ask the database is answered to whoever may ask."""

from __future__ import annotations

import re

import pytest

from ingest_service.adapters.migrations import migrate
from schema import COMPLIANCE, connected
from stack.state import REPOSITORY

QUERIES = [
    (page.stem, query)
    for page in sorted((REPOSITORY / "docs" / "runbooks").glob("*.md"))
    for query in re.findall(r"```sql\n(.*?)```", page.read_text(), re.DOTALL)
]

pytestmark = pytest.mark.database


async def test_queries_run_as_compliance(database_dsn: str, subtests: pytest.Subtests) -> None:
    """Each query of a runbook runs with the rights of the compliance role."""
    await migrate(database_dsn)
    assert QUERIES
    async with connected(database_dsn, COMPLIANCE) as session:
        for runbook, query in QUERIES:
            with subtests.test(runbook):
                await session.fetch(query)
