"""`check` against real servers: what is there, what is missing, who may do what."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from ingest_service.adapters.database_check import survey
from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.adapters.migrations import migrate, newest_revision
from ingest_service.errors import SetupError
from ingest_service.preflight.check import check
from ingest_service.preflight.database import judge
from ingest_service.preflight.finding import Finding, Verdict
from ingest_service.preflight.topics import dead_letter_topic, events_topic
from ingest_service.settings import DatabaseSettings, KafkaSettings, Settings
from schema import WRITER, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.database

PASSWORD = "canary-of-a-password"


@pytest.fixture
async def user(database_dsn: str) -> AsyncIterator[str]:
    """Yield a role that may sign in to the fresh database and nothing more."""
    name = f"user_{uuid4().hex[:12]}"
    async with connected(database_dsn) as owner:
        await owner.execute(f"create role {name} login password '{PASSWORD}'")
        yield name
        await owner.execute(f"drop owned by {name}")
        await owner.execute(f"drop role {name}")


def as_user(dsn: str, user: str, password: str = PASSWORD) -> str:
    parts = urlsplit(dsn)
    address = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}:{password}@{address}").geturl()


async def execute(dsn: str, statement: str) -> None:
    async with connected(dsn) as owner:
        await owner.execute(statement)


async def faults(dsn: str) -> list[Finding]:
    """Return what is not right, apart from how a test server treats its disk."""
    findings = judge(await survey(dsn), newest_revision())
    return [f for f in findings if f.verdict is not Verdict.RIGHT and f.said != "fsync=off"]


async def test_writer_on_a_migrated_database_has_no_fault(database_dsn: str, user: str) -> None:
    """A role with gateway_audit_writer and no more is what `check` wants to see."""
    await migrate(database_dsn)
    await execute(database_dsn, f"grant {WRITER} to {user}")
    assert await faults(as_user(database_dsn, user)) == []


async def test_empty_database_says_to_migrate(database_dsn: str) -> None:
    """Missing tables are one line that names the command."""
    [schema] = [f for f in await faults(database_dsn) if f.subject == "database schema"]
    assert schema.verdict is Verdict.WRONG
    assert "ingest-service migrate" in schema.advice


async def test_role_without_grants_says_what_to_grant(database_dsn: str, user: str) -> None:
    """Tables are there, the role may do nothing: the grant is named."""
    await migrate(database_dsn)
    found = await faults(as_user(database_dsn, user))
    assert found
    assert all(f"grant {WRITER} to {user}" in fault.advice for fault in found)


async def test_missing_right_is_named(database_dsn: str, user: str) -> None:
    """Somebody revoked one right of the writer's: the table is named."""
    await migrate(database_dsn)
    await execute(database_dsn, f"grant {WRITER} to {user}")
    await execute(database_dsn, f"revoke select on gateway_audit_originals from {WRITER}")
    [fault] = await faults(as_user(database_dsn, user))
    assert fault.said == "may not read and insert: gateway_audit_originals"


async def test_right_too_many_is_a_warning(database_dsn: str, user: str) -> None:
    """A writer that may delete could hide what it did: it works, and deserves a thought."""
    await migrate(database_dsn)
    await execute(database_dsn, f"grant {WRITER} to {user}")
    await execute(database_dsn, f"grant delete on gateway_audit_ledger to {user}")
    [fault] = await faults(as_user(database_dsn, user))
    assert fault.verdict is Verdict.WARNING
    assert "gateway_audit_ledger" in fault.said


async def test_superuser_is_a_warning(database_dsn: str) -> None:
    """Nothing is wrong, but a superuser could rewrite history."""
    await migrate(database_dsn)
    [fault] = await faults(database_dsn)
    assert fault.verdict is Verdict.WARNING
    assert "superuser" in fault.said


@pytest.mark.parametrize(
    ("change", "said"),
    [("user", "refuses"), ("database", "no such database")],
)
async def test_refused_login_is_a_fault_of_the_setting(
    database_dsn: str, user: str, change: str, said: str
) -> None:
    """An unknown user or database is said in words, without the password."""
    dsn = as_user(database_dsn, user)
    if change == "user":
        dsn = as_user(database_dsn, "nobody_of_this_name")
    else:
        dsn = urlsplit(dsn)._replace(path="/no_such_database").geturl()
    with pytest.raises(SetupError, match=said) as caught:
        await survey(dsn)
    assert PASSWORD not in str(caught.value)


@pytest.mark.kafka
async def test_everything_there_is_all_right(
    database_dsn: str, user: str, kafka_bootstrap: str, topic_name: str
) -> None:
    """With topics made, schema migrated and the role granted, nothing is wrong."""
    kafka = KafkaSettings(
        bootstrap_servers=kafka_bootstrap, topic=topic_name, dead_letter_topic=f"{topic_name}.dead"
    )
    database = DatabaseSettings(dsn=as_user(database_dsn, user))
    settings = Settings(kafka=kafka, database=database)
    before = await check(settings)
    assert sum("topics create" in finding.advice for finding in before) == 2
    async with KafkaAdmin(kafka) as admin:
        await admin.create(
            [events_topic(topic_name, 1), dead_letter_topic(f"{topic_name}.dead", 1)]
        )
    await migrate(database_dsn)
    await execute(database_dsn, f"grant {WRITER} to {user}")
    findings = await check(settings)
    assert [f for f in findings if f.verdict is Verdict.WRONG] == []
    assert {f.subject for f in findings} >= {
        "Kafka",
        f"topic {topic_name}",
        f"topic {topic_name}.dead",
        "consumer group gateway-audit-persister",
        "database",
        "database server",
        "database schema",
        f"database role {user}",
        "database clock",
    }
    assert PASSWORD not in repr(findings)
