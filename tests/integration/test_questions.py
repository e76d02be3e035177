"""The questions that compliance asks are answered from an index."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ingest_service.adapters.migrations import migrate
from schema import COMPLIANCE, WRITER, connected, copy_events, event

if TYPE_CHECKING:
    import asyncpg

pytestmark = pytest.mark.database

QUESTIONS = {
    "user_id": "user_id = 'alice'",
    "server_name": "server_name = 'github'",
    "tool_name": "tool_name = 'delete_repository'",
    "request_id": "gateway_request_id = 'r1'",
    "timestamp": "\"timestamp\" between now() - interval '1 hour' and now()",
    "decision": "decision = 'deny'",
    "event_type": "event_type = 'a2a_communication'",
}


def index_names(plan: Any) -> set[str]:
    """Return every index that a plan uses."""
    if isinstance(plan, list):
        return set().union(*map(index_names, plan))
    if not isinstance(plan, dict):
        return set()
    here = {plan["Index Name"]} if "Index Name" in plan else set()
    return here.union(*map(index_names, plan.values()))


async def named(session: asyncpg.Connection, index: str) -> str:
    """Return the name of the table's index that a chunk's or partition's index belongs to."""
    parent = await session.fetchval(
        "select inhparent::regclass::text from pg_inherits join pg_class c on c.oid = inhrelid"
        " where c.relname = $1",
        index,
    )
    return parent or "ix_" + index.partition("_ix_")[2]


async def test_question_uses_its_index(database_dsn: str, subtests: pytest.Subtests):
    """An auditor's condition on one field, asked through the view, can use that field's index."""
    await migrate(database_dsn)
    async with connected(database_dsn, WRITER) as writer:
        await copy_events(writer, event())
    async with connected(database_dsn, COMPLIANCE) as auditor:
        # One row would be read whole; what matters is that the index can answer.
        await auditor.execute("set enable_seqscan = off")
        for field, condition in QUESTIONS.items():
            with subtests.test(field):
                plan = await auditor.fetchval(
                    f"explain (format json) select id from audit_events where {condition}"
                )
                used = {await named(auditor, index) for index in index_names(json.loads(plan))}
                assert f"ix_gateway_audit_{field}" in used
