"""What each view tells an auditor, on either edition."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import pytest

from ingest_service.adapters.migrations import Step, migrate
from logins import login
from schema import COMPLIANCE, OPERATOR, WRITER, connected, copy_events, event
from trail import TOPIC, Trail, value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.database

DOCUMENTATION = Path(__file__).parents[2] / "docs/database.md"
NOTE = "select gateway_audit_note_progress($1, $2, $3, $4, $5)"
NOTE_SINKS = "select gateway_audit_note_sinks($1, $2, $3, $4)"
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=30)


class Archive(NamedTuple):
    """A database with two partitions, the second in its second epoch; a gap in the first."""

    owner: asyncpg.Connection
    trail: Trail
    dsn: str


@pytest.fixture
async def archive(database_dsn: str) -> AsyncIterator[Archive]:
    await migrate(database_dsn)
    async with connected(database_dsn) as owner:
        trail = Trail(owner)
        stream = await trail.open(partition=0)
        await trail.write(stream, [value(n) for n in range(10)])
        await trail.gap(stream, 30)
        await trail.open(partition=1, epoch=1)
        again = await trail.open(partition=1, epoch=2, offset=5)
        await trail.write(again, [value(n) for n in range(100, 103)])
        yield Archive(owner, trail, database_dsn)


@pytest.fixture
async def day(database_dsn: str) -> str:
    """Return a migrated database with events of one hour in it."""
    await migrate(database_dsn)
    async with connected(database_dsn) as owner:
        await owner.execute("select gateway_audit_make_partitions($1)", [HOUR.date()])
        at = HOUR + timedelta(minutes=59)
        a2a = {"event_type": "a2a_communication", "agent_id": "a", "tool_name": None,
               "metadata": json.dumps({"source_type": "s" * 200, "target_type": "t"})}  # fmt: skip
        plain = {"agent_id": None, "tool_name": "t", "metadata": "{}"}
        denied = {"decision": "deny", "user_id": "alice", "reason": "r" * 5000}
        allowed = {"user_id": "alice", "decision": "allow", "reason": ""}
        rows = [
            event(timestamp=at, **plain | denied),
            event(timestamp=at, **plain | denied),
            event(timestamp=at, **plain | allowed),
            event(timestamp=at, **a2a | allowed),
            event(timestamp=HOUR + timedelta(hours=1), **plain | allowed),
            event(timestamp=at, **plain | allowed | {"event_type": "telemetry", "decision": None}),
        ]
        await copy_events(owner, *rows)
    return database_dsn


async def told(dsn: str, question: str, *arguments: object) -> list[tuple[object, ...]]:
    """Return what an auditor is answered."""
    async with connected(dsn, COMPLIANCE) as auditor:
        return [tuple(row) for row in await auditor.fetch(question, *arguments)]


async def test_denials_are_the_denied_decisions(day: str):
    """Nothing that was allowed, and no telemetry."""
    assert await told(day, "select user_id, decision from audit_denials") == [
        ("alice", "deny"),
        ("alice", "deny"),
    ]


async def test_hours_hold_their_own_events_alone(day: str, subtests: pytest.Subtests):
    """Each hourly view counts an event in its hour, once, whatever is in the hours beside it."""
    answers = {
        "audit_denials_hourly": (
            "user_id, tool_name, length(reason), denials",
            [("alice", "t", 200, 2)],
        ),
        "audit_tools_hourly": ("tool_name, events, allowed, denied", [("t", 3, 1, 2)]),
        "audit_a2a_hourly": (
            "agent_id, length(source_type), target_type, events, allowed, denied",
            [("a", 100, "t", 1, 1, 0)],
        ),
        "audit_activity_hourly": (
            "user_id, agent_id, event_type, events, denied",
            [("alice", "a", "a2a_communication", 1, 0), ("alice", None, "tool_invoke", 3, 2)],
        ),
        "audit_ingest_delay_hourly": (
            "events, max_seconds > 100000, mean_seconds > 100000, within_1m",
            [(5, True, True, 0)],
        ),
    }
    for view, (columns, expected) in answers.items():
        with subtests.test(view):
            question = f"select {columns} from {view} where hour = $1 order by 1, 2, 3"
            assert await told(day, question, HOUR) == expected


async def test_a_day_of_an_hourly_view_reads_only_that_day(day: str):
    """A condition on hour reaches the index on time: no other day's chunk or partition is read."""
    async with connected(day) as owner:
        later = [HOUR + timedelta(days=n) for n in (1, 2)]
        await owner.execute("select gateway_audit_make_partitions($1)", [d.date() for d in later])
        await copy_events(owner, *(event(timestamp=each) for each in later))
    lines = await told(
        day,
        "explain (analyze, costs off, timing off) select sum(events) from audit_tools_hourly"
        f" where hour >= '{HOUR.isoformat()}' and hour < '{HOUR.isoformat()}'::timestamptz + interval '1 hour'",
    )
    scans = [line for (line,) in lines if "Scan" in str(line) and " on " in str(line)]
    read = [line for line in scans if "never executed" not in str(line) and "Function" not in str(line)
            and "ChunkAppend" not in str(line)]  # fmt: skip
    assert len(scans) > len(read) == 1


async def test_gaps_name_what_was_given_up(archive: Archive):
    """A gap shows its offsets and how many records they were, and has an index of its own."""
    assert await told(
        archive.dsn, "select partition, epoch, first_offset, next_offset, records from audit_gaps"
    ) == [(0, 1, 10, 30, 20)]
    async with connected(archive.dsn, COMPLIANCE) as auditor:
        await auditor.execute("set enable_seqscan = off")
        plan = await auditor.fetch("explain select * from audit_gaps")
    assert "ix_gateway_audit_ledger_decisions" in str(plan)


async def test_streams_show_every_life_of_a_partition(archive: Archive):
    """Epochs with who opened them and why, and how far each is durable."""
    assert await told(
        archive.dsn,
        "select topic, partition, epoch, reason, next_offset, entries from audit_streams"
        " order by 2, 3",
    ) == [(TOPIC, 0, 1, "test", 30, 3), (TOPIC, 1, 1, "test", 0, 1), (TOPIC, 1, 2, "test", 8, 2)]


async def note(dsn: str, at: datetime, partitions: int, ends: dict[int, int]) -> None:
    """Note as a worker does that these logs ended there at this time."""
    async with connected(dsn, WRITER) as writer:
        await writer.execute(NOTE, TOPIC, at, partitions, list(ends), list(ends.values()))


async def test_complete_until_is_the_least_of_all_partitions(archive: Archive):
    """A minute before the oldest question; not known while a partition has never been asked for."""
    question = "select complete_until, known_partitions, partitions, last_partition from audit_complete_until"
    noon, later = HOUR, HOUR + timedelta(hours=1)
    assert await told(archive.dsn, question) == [(None, 0, 2, 0)]
    await note(archive.dsn, later, 2, {0: 30})
    assert await told(archive.dsn, question) == [(None, 1, 2, 1)]
    await note(archive.dsn, noon, 2, {1: 8})
    assert await told(archive.dsn, question) == [(noon - timedelta(minutes=1), 2, 2, 1)]
    # The topic got a third partition, which nobody has looked at.
    await note(archive.dsn, later, 3, {1: 8})
    assert await told(archive.dsn, question) == [(None, 2, 3, None)]


async def test_complete_until_never_says_more_than_is_durable(archive: Archive):
    """A log whose end is beyond the ledger is not noted, nor one of an epoch that is over."""
    await note(archive.dsn, HOUR, 2, {0: 31, 1: 9})
    question = "select partition, epoch, next_offset, log_end, complete_until from audit_progress order by 1"
    assert await told(archive.dsn, question) == [(0, 1, 30, None, None), (1, 2, 8, None, None)]
    await note(archive.dsn, HOUR, 2, {0: 30, 1: 8, 7: 0})
    until = HOUR - timedelta(minutes=1)
    assert await told(archive.dsn, question) == [(0, 1, 30, 30, until), (1, 2, 8, 8, until)]


async def test_complete_until_never_goes_back(archive: Archive):
    """A worker that was frozen and notes an older answer changes nothing."""
    await note(archive.dsn, HOUR, 2, {0: 30})
    await note(archive.dsn, HOUR - timedelta(hours=1), 2, {0: 10})
    [(log_end, asked_at)] = await told(
        archive.dsn, "select log_end, asked_at from audit_progress where partition = 0"
    )
    assert (log_end, asked_at) == (30, HOUR)


async def test_nobody_notes_the_future(archive: Archive):
    """A worker whose idea of the time is ahead is refused: it would promise what may still come."""
    with pytest.raises(asyncpg.DatetimeFieldOverflowError):
        await note(archive.dsn, datetime.now(UTC) + timedelta(hours=1), 2, {0: 30})


async def test_sinks_show_how_far_each_is(archive: Archive):
    """Offsets by sink and partition, what waits, and the newest note alone."""
    async with connected(archive.dsn, WRITER) as writer:
        await writer.execute(NOTE_SINKS, TOPIC, ["splunk", "datadog"], [0, 0], [10, 30])
        await writer.execute(NOTE_SINKS, TOPIC, ["splunk"], [0], [25])
        await writer.execute(NOTE_SINKS, TOPIC, ["splunk"], [9], [1])  # no such partition
    assert await told(
        archive.dsn,
        "select sink, partition, passed_before, next_offset, waiting from audit_sink_progress"
        " order by sink",
    ) == [("datadog", 0, 30, 30, 0), ("splunk", 0, 25, 30, 5)]


async def test_only_the_writer_notes(archive: Archive):
    """Progress is written through the functions alone, and by the writer alone."""
    for role in (OPERATOR, COMPLIANCE):
        async with connected(archive.dsn, role) as session:
            for statement in (NOTE, NOTE_SINKS):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    nothing = statement.replace("$5", "'{}'").replace("$4", "'{}'")
                    nothing = nothing.replace("$3", "'{}'" if "sinks" in statement else "1")
                    nothing = nothing.replace("$2", "'{}'" if "sinks" in statement else "now()")
                    await session.execute(nothing.replace("$1", "'t'"))
    async with connected(archive.dsn, WRITER) as writer:
        for table in ("gateway_audit_progress", "gateway_audit_sink_progress"):
            await writer.fetch(f"select * from {table}")
            for statement in ("insert into {} (stream_id) values (1)", "delete from {}",
                              "update {} set noted_at = now()"):  # fmt: skip
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await writer.execute(statement.format(table))


async def test_every_view_is_explained(database_dsn: str):
    """Each view has its comment in the database, and its place in docs/database.md."""
    await migrate(database_dsn)
    views = await told(
        database_dsn,
        "select relname::text, obj_description(oid) from pg_class"
        " where relkind = 'v' and relnamespace = 'public'::regnamespace and relname like 'audit%'",
    )
    docs = DOCUMENTATION.read_text(encoding="utf-8")
    assert len(views) >= 15
    assert [name for name, comment in views if not comment or f"`{name}`" not in docs] == []


async def test_compliance_reads_every_view_and_nothing_else(database_dsn: str):
    """Of all that is in the schema, the role may select exactly the audit views."""
    await migrate(database_dsn)
    readable = await told(
        database_dsn,
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind in ('r', 'p', 'v', 'm') and has_table_privilege(oid, 'select')"
        " and not exists (select from pg_depend d where d.objid = pg_class.oid and d.deptype = 'e')",
    )
    async with connected(database_dsn) as owner:
        views = await owner.fetch(
            "select relname::text from pg_class where relkind = 'v'"
            " and relnamespace = 'public'::regnamespace and relname like 'audit\\_%'"
        )
    assert sorted(readable) == sorted(tuple(row) for row in views)


async def test_schema_of_the_first_release_is_brought_up_with_its_data(database_dsn: str):
    """What 0.1.0 wrote is in the views of the next revision, and survives the way down and up."""
    await migrate(database_dsn, Step("0001"))
    async with connected(database_dsn) as owner:
        trail = Trail(owner)
        stream = await trail.open()
        await trail.write(stream, [value(n) for n in range(10)])
        await trail.gap(stream, 30)
    report = await migrate(database_dsn)
    assert (report.before, report.changed) == ("0001", True)
    counts = "select (select count(*) from audit_events), (select sum(records) from audit_gaps)"
    assert await told(database_dsn, counts) == [(10, 20)]
    await migrate(database_dsn, Step("0001", down=True))
    await migrate(database_dsn)
    assert await told(database_dsn, counts) == [(10, 20)]


async def test_nobody_reads_nothing(database_dsn: str):
    """A login without a role of ours sees no table and no view, and can run none of the functions."""
    await migrate(database_dsn)
    async with connected(database_dsn) as owner, login(owner, database_dsn, "pg_monitor") as dsn:
        async with connected(dsn) as nobody:
            allowed = await nobody.fetch(
                "select relname from pg_class where relnamespace = 'public'::regnamespace"
                " and relkind in ('r', 'p', 'v', 'm') and has_table_privilege(oid, 'select')"
                " and relname ~ '^(gateway_)?audit'"
                " union all select proname from pg_proc where proname like 'gateway_audit%'"
                " and has_function_privilege(oid, 'execute')"
            )
    assert allowed == []
