"""`migrate` brings any database to the schema, once, whole, and says what it did."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from ingest_service.adapters import migrations
from ingest_service.adapters.migrations import Step, migrate
from ingest_service.errors import DatabaseUnavailableError, SetupError
from schema import COMPLIANCE, OPERATOR, WRITER, append, blocked_by, connected, entry, open_stream
from stack import postgres
from stack.state import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    FreshDatabase = Callable[[str], AbstractAsyncContextManager[str]]

pytestmark = pytest.mark.database

HEAD = "0003"
# db/sql/0001 in v0.1.0
RELEASED = "9fba1a532788d6a7b7d00edec28b52933892c6648adebf69d7d1073c41adf068"
DOWN = Step("base", down=True)
# Everything of ours that a catalog says about the schema, one line each; no object identifiers.
CATALOG = (Path(__file__).parent / "catalog.sql").read_text(encoding="utf-8")
INDEXES = {
    f"ix_gateway_audit_{name}"
    for name in (
        "user_id",
        "timestamp",
        "decision",
        "event_type",
        "server_name",
        "tool_name",
        "request_id",
    )
}


async def catalog(dsn: str) -> list[str]:
    """Return the schema, one line for each thing in it."""
    async with connected(dsn) as session:
        return [row["line"] for row in await session.fetch(CATALOG)]


async def test_first_run_makes_everything(database_dsn: str):
    """An empty database gets all tables and the seven named indexes, and the report says so."""
    report = await migrate(database_dsn)
    async with connected(database_dsn) as session:
        found = await session.fetch(
            "select c.relname as name, c.relkind in ('r', 'p') as is_table from pg_class c"
            " where relnamespace = 'public'::regnamespace"
        )
    assert (report.before, report.after, report.changed) == (None, HEAD, True)
    assert {row["name"] for row in found if not row["is_table"]} >= INDEXES
    assert {row["name"] for row in found if row["is_table"]} >= {
        "gateway_audit_events",
        "gateway_audit_ledger",
        "gateway_audit_originals",
        "gateway_audit_quarantine",
        "gateway_audit_streams",
    }


async def test_edition_decides_how_tables_are_split(fresh_database: FreshDatabase):
    """TimescaleDB gets hypertables, PostgreSQL alone native partitions; the report names it."""
    split = (
        "select relkind = 'p' from pg_class where relname in"
        " ('gateway_audit_events', 'gateway_audit_originals')"
    )
    async with fresh_database("timescaledb") as dsn, connected(dsn) as session:
        report = await migrate(dsn)
        assert "TimescaleDB" in report.server
        assert [row[0] for row in await session.fetch(split)] == [False, False]
        assert await session.fetchval("select count(*) from _timescaledb_catalog.hypertable") == 2
    async with fresh_database("plain") as dsn, connected(dsn) as session:
        report = await migrate(dsn)
        assert "TimescaleDB" not in report.server
        assert [row[0] for row in await session.fetch(split)] == [True, True]


async def test_missing_extension_is_created(fresh_database: FreshDatabase):
    """A server that has TimescaleDB loaded gets the extension where the database lacks it."""
    async with fresh_database("timescaledb") as dsn:
        async with connected(dsn) as session:
            await session.execute("drop extension if exists timescaledb")
        assert "TimescaleDB" in (await migrate(dsn)).server


async def test_time_is_indexed_once(database_dsn: str):
    """TimescaleDB's own index on time is not made beside ours."""
    await migrate(database_dsn)
    async with connected(database_dsn) as session:
        on_time = await session.fetch(
            "select indexrelid::regclass::text as name from pg_index"
            " where indrelid = 'gateway_audit_events'::regclass"
            " and pg_get_indexdef(indexrelid, 1, true) = '\"timestamp\"'"
        )
    assert [row["name"] for row in on_time] == ["ix_gateway_audit_timestamp"]


async def test_second_run_changes_nothing(database_dsn: str):
    """Migrating again leaves every object as it is, even its identity, and says so."""
    await migrate(database_dsn)
    identity = "select oid::int, relname::text, xmin::text from pg_class order by oid"
    async with connected(database_dsn) as session:
        before = await session.fetch(identity)
        report = await migrate(database_dsn)
        assert await session.fetch(identity) == before
    assert (report.before, report.after, report.changed) == (HEAD, HEAD, False)


async def test_down_removes_everything_and_up_makes_it_again(database_dsn: str):
    """After down nothing is left but the empty record of versions; up again is as the first up."""
    await migrate(database_dsn)
    first = await catalog(database_dsn)
    report = await migrate(database_dsn, DOWN)
    left = await catalog(database_dsn)
    await migrate(database_dsn)
    assert (report.before, report.after) == (HEAD, None)
    assert left
    assert all(migrations.VERSION_TABLE in line for line in left)
    assert await catalog(database_dsn) == first


async def test_down_leaves_the_clusters_roles(database_dsn: str):
    """Another database may use the roles, so they outlive this one's schema, without rights."""
    await migrate(database_dsn)
    await migrate(database_dsn, DOWN)
    async with connected(database_dsn) as session:
        roles = await session.fetch(
            "select rolname from pg_roles where rolname = any ($1)", [WRITER, OPERATOR, COMPLIANCE]
        )
    assert len(roles) == 3


async def test_down_refuses_to_destroy_an_audit(database_dsn: str):
    """A ledger that holds something is dropped only by force."""
    await migrate(database_dsn)
    async with connected(database_dsn, WRITER) as writer:
        await append(writer, entry(await open_stream(writer)))
    with pytest.raises(SetupError, match=r"ledger is not empty.*--force"):
        await migrate(database_dsn, DOWN)
    async with connected(database_dsn) as session:
        assert await session.fetchval("select count(*) from gateway_audit_ledger") == 1
    assert (await migrate(database_dsn, DOWN._replace(force=True))).after is None


async def test_runs_at_the_same_time_take_turns(database_dsn: str):
    """Of several runs at once one migrates; the others wait, then find nothing to do."""
    reports = await asyncio.gather(*(migrate(database_dsn) for _ in range(3)))
    assert sorted(report.changed for report in reports) == [False, False, True]
    assert {report.after for report in reports} == {HEAD}


async def test_waiting_run_says_so_and_goes_on(database_dsn: str):
    """A run that finds another at work tells the person, and ends when the other has."""
    said: asyncio.Queue[str] = asyncio.Queue()
    async with connected(database_dsn) as other:
        await other.execute(f"select pg_advisory_lock({migrations._LOCK})")
        waiting = asyncio.create_task(migrate(database_dsn, tell=said.put_nowait))
        assert "waiting" in await said.get()
        assert await other.fetchval("select to_regclass('gateway_audit_ledger')") is None
    assert (await waiting).after == HEAD


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[str]:
    """Yield a superuser's DSN to a cluster in which nobody has made our roles yet."""
    server = postgres.start(State(tmp_path, State.shared().downloads))
    yield server.address
    server.stop()


async def test_role_that_another_database_is_just_making_is_taken(own_cluster: str):
    """Two databases of one cluster may be migrated at once although roles belong to both."""
    dsn = own_cluster
    async with connected(dsn) as elsewhere:
        making = elsewhere.transaction()
        await making.start()
        await elsewhere.execute(f"create role {WRITER} nologin")
        run = asyncio.create_task(migrate(dsn))
        async with connected(dsn) as observer:
            await blocked_by(observer, elsewhere.get_server_pid())
        await making.commit()
        assert (await run).after == HEAD


async def test_failed_run_leaves_nothing_behind(database_dsn: str):
    """A migration that cannot be finished is undone whole."""
    async with connected(database_dsn) as session:
        await session.execute("create view audit_ledger as select 1 as mine")
    before = await catalog(database_dsn)
    with pytest.raises(SetupError, match="already exists"):
        await migrate(database_dsn)
    assert await catalog(database_dsn) == before


@asynccontextmanager
async def login(dsn: str, attributes: str = "") -> AsyncIterator[str]:
    """Yield the same database's DSN for a fresh login role."""
    name = f"login_{uuid4().hex[:12]}"
    place = urlsplit(dsn)
    async with connected(dsn) as admin:
        await admin.execute(f"create role {name} login password 'secret' {attributes}")
        try:
            yield place._replace(netloc=f"{name}:secret@{place.hostname}:{place.port}").geturl()
        finally:
            await admin.execute(f"reassign owned by {name} to current_user; drop owned by {name}")
            await admin.execute(f"drop role {name}")


async def test_owner_needs_no_superuser(database_dsn: str):
    """The database's owner with CREATEROLE can migrate up and down."""
    async with login(database_dsn, "createrole") as dsn:
        owner, database = urlsplit(dsn).username, urlsplit(dsn).path[1:]
        async with connected(database_dsn) as admin:
            await admin.execute(f"alter database {database} owner to {owner}")
        assert (await migrate(dsn)).after == HEAD
        assert (await migrate(dsn, DOWN)).after is None


async def test_stranger_is_refused(database_dsn: str):
    """A role that does not own the tables is told which role does."""
    await migrate(database_dsn)
    async with login(database_dsn) as dsn:
        with pytest.raises(SetupError, match="belong to the role postgres: migrate as that role"):
            await migrate(dsn)


async def test_role_without_rights_is_told_which(database_dsn: str):
    """A role that may create nothing is told what an administrator has to do."""
    async with login(database_dsn) as dsn:
        with pytest.raises(SetupError, match=r"permission denied.*Migrate as the database's owner"):
            await migrate(dsn)


async def test_wrong_password_is_not_repeated(database_dsn: str):
    """A failed login names the user, never the password."""
    async with login(database_dsn) as dsn:
        with pytest.raises(SetupError, match="password authentication failed") as failure:
            await migrate(dsn.replace(":secret@", ":hunter2@"))
    assert "hunter2" not in str(failure.value)


async def test_server_without_a_free_connection_is_unavailable(database_dsn: str):
    """A server that is full is a matter of waiting, not of settings."""
    async with login(database_dsn, "connection limit 0") as dsn:
        with pytest.raises(DatabaseUnavailableError, match="too many connections"):
            await migrate(dsn)


async def test_old_server_is_refused(database_dsn: str, monkeypatch: pytest.MonkeyPatch):
    """A server older than what was tried is not left half working."""
    monkeypatch.setattr(migrations, "OLDEST_SERVER", 99)
    with pytest.raises(SetupError, match="too old: 99 or newer"):
        await migrate(database_dsn)
    assert await catalog(database_dsn) == []


async def test_unreachable_server_is_unavailable(unused_tcp_port: int):
    """Nobody listening is a matter of waiting, not of settings."""
    with pytest.raises(DatabaseUnavailableError, match="cannot reach the database"):
        await migrate(f"postgresql://nobody:hunter2@127.0.0.1:{unused_tcp_port}/nowhere")


@pytest.mark.parametrize(
    "dsn", ["hunter2", "mysql://u:hunter2@h/d", "postgresql://u:hunter2@h:x/d"]
)
async def test_bad_address_is_refused_and_not_repeated(dsn: str):
    """A DSN that is none is a mistake in the settings, and its password stays out of the message."""
    with pytest.raises(SetupError, match="INGEST_DATABASE__DSN") as failure:
        await migrate(dsn)
    assert "hunter2" not in str(failure.value)


async def test_schema_of_a_later_release_is_left_alone(database_dsn: str):
    """A release refuses a database that a later one migrated, and says what it knows."""
    await migrate(database_dsn)
    async with connected(database_dsn) as session:
        await session.execute(f"update {migrations.VERSION_TABLE} set version_num = '9999'")
    with pytest.raises(SetupError, match=f"9999.*knows revisions up to {HEAD}"):
        await migrate(database_dsn)


async def test_worker_that_holds_a_table_is_not_waited_for_for_ever(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
):
    """Down gives up on a locked table, so that the writers behind it go on."""
    await migrate(database_dsn)
    monkeypatch.setitem(migrations._SESSION, "lock_timeout", "50ms")
    async with connected(database_dsn) as worker, worker.transaction():
        await worker.execute("lock table gateway_audit_ledger in row exclusive mode")
        with pytest.raises(SetupError, match="stop the workers"):
            await migrate(database_dsn, DOWN)


async def test_released_revisions_are_never_edited():
    """A database that 0.1.0 migrated must be what today's 0001 would make."""
    folder = Path(__file__).parents[2] / "db/sql/0001"
    files = sorted(folder.glob("*.sql"))
    together = hashlib.sha256(b"".join(each.name.encode() + each.read_bytes() for each in files))
    assert together.hexdigest() == RELEASED
