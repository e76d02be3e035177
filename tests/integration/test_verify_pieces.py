"""`verify` at scale: in pieces, by several processes, of one time, resumed, in bounded memory."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import psutil
import pytest

from ingest_service.adapters.evidence import open_evidence
from ingest_service.adapters.migrations import migrate
from ingest_service.compliance import checking, plan, timespan
from ingest_service.compliance.findings import Class
from ingest_service.compliance.selection import Selection
from ingest_service.compliance.verify import Manner, Report, verify
from ingest_service.errors import DatabaseUnavailableError, SetupError
from logins import login
from schema import COMPLIANCE, OPERATOR, connected
from trail import BEGAN, TOPIC, Trail, event, value
from waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

    from ingest_service.ledger import Stream

pytestmark = pytest.mark.database

ROWS, ORIGINALS = "gateway_audit_events", "gateway_audit_originals"
LEDGER, QUARANTINE = "gateway_audit_ledger", "gateway_audit_quarantine"


class Written(NamedTuple):
    """An honest database: record n reached Kafka n seconds after `BEGAN`, and says that time.

    Two partitions, 60 records each, ten an entry; of partition 0 the second ten are a gap.
    """

    dsn: str
    owner: asyncpg.Connection
    trail: Trail
    streams: list[Stream]


@pytest.fixture
async def written(database_dsn: str) -> AsyncIterator[Written]:
    await migrate(database_dsn)
    async with connected(database_dsn) as owner:
        await owner.execute("set session_replication_role = replica")
        trail = Trail(owner)
        streams = [await trail.open(partition=number) for number in (0, 1)]
        await trail.write(streams[0], [value(n) for n in range(10)])
        await trail.gap(streams[0], 20)
        for stream, first in ((streams[0], 20), (streams[1], 0)):
            for start in range(first, 70 if first else 60, 10):
                numbers = range(start, start + 10)
                await trail.write(
                    stream, [value(n, id=None, reason=f"p{stream.partition}") for n in numbers]
                )
        yield Written(database_dsn, owner, trail, streams)  # fmt: skip


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pieces of one entry or two."""
    monkeypatch.setattr(plan, "PIECE_RECORDS", 15)


def found(report: Report) -> set[tuple]:
    return {
        (each.kind, each.stream, each.offset, each.sequence, each.columns, each.times)
        for each in report.findings
    }


async def tamper(written: Written) -> None:
    """Do a bit of everything, at the edges of entries and in their middle."""
    await written.owner.execute(f"""
        update {ROWS} set reason = 'x' where kafka_offset in (29, 30, 45) and stream_id = 1;
        update {ROWS} set id = gen_random_uuid() where kafka_offset in (22, 58) and stream_id = 1;
        update {ROWS} set kafka_offset = 15 where kafka_offset = 35 and stream_id = 1;
        delete from {ROWS} where kafka_offset in (9, 40) and stream_id = 2;
        delete from {ORIGINALS} where stream_id = 2 and sequence = 3;
        update {ORIGINALS} set sequence = 99 where stream_id = 2 and sequence = 6;
        update {LEDGER} set digest = sha256('x') where stream_id = 1 and sequence = 4;
        delete from {LEDGER} where stream_id = 2 and sequence = 5""")


@pytest.mark.parametrize("jobs", [1, 2])
async def test_pieces_find_what_one_walk_finds(written: Written, jobs: int):
    """However a stream is cut, and whoever checks the pieces: the same findings, counts, reports."""
    for change in (None, tamper):
        if change is not None:
            await change(written)
        whole = await verify(written.dsn)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(plan, "PIECE_RECORDS", 15)
            steps: list[tuple[int, int]] = []
            report = await verify(
                written.dsn,
                progress=lambda done, total, to=steps: to.append((done, total)),
                manner=Manner(jobs),
            )
        assert report.is_good is (change is None)
        assert report.counts == whole.counts
        assert found(report) == found(whole)
        assert report.streams == whole.streams
        assert steps == sorted(steps)
    assert steps[-1][0] == sum(each.records for each in whole.streams) - 20, "of two entries"


async def test_a_process_that_dies_proves_nothing(written: Written, small_pieces: None):
    """A child that the system killed is an error, and the others end with the run."""
    killed: list[int] = []

    def kill(_done: int, _total: int) -> None:
        if not killed:
            for child in psutil.Process().children():
                if "ingest_service.compliance.crew_member" in child.cmdline():
                    killed.append(child.pid)
                    child.kill()

    with pytest.raises(SetupError, match="ended by itself"):
        await verify(written.dsn, progress=kill, manner=Manner(2))
    assert killed
    assert not any(map(psutil.pid_exists, killed))


async def test_a_process_says_why_it_cannot_go_on(written: Written, small_pieces: None):
    """A session that ends in a child is the same message as in the parent."""

    async def end_the_others() -> None:
        ours = "select pg_terminate_backend(pid) from pg_stat_activity where application_name"
        await written.owner.execute(f"{ours} = 'ingest-service verify' and state <> 'active'")

    loop, ending = asyncio.get_running_loop(), []

    def once(_done: int, _total: int) -> None:
        if not ending:
            ending.append(loop.create_task(end_the_others()))

    with pytest.raises((DatabaseUnavailableError, SetupError)):
        await verify(written.dsn, progress=once, manner=Manner(2))
    await ending[0]


# --- resumed -------------------------------------------------------------------------------------


async def test_a_run_that_was_broken_off_goes_on(
    written: Written, small_pieces: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What was checked is not checked again; what is new is, and whole tables are asked anew."""
    notes = tmp_path / "notes"
    await written.owner.execute(f"update {ROWS} set reason = 'x' where kafka_offset = 5")
    checked: list[int] = []
    honest = checking.check

    async def break_off(evidence, piece, tell):
        if len(checked) == 3:
            raise DatabaseUnavailableError("gone")
        checked.append(piece.first)
        return await honest(evidence, piece, tell)

    monkeypatch.setattr("ingest_service.compliance.verify.check", break_off)
    with pytest.raises(DatabaseUnavailableError):
        await verify(written.dsn, manner=Manner(1, notes))
    assert notes.stat().st_mode & 0o777 == 0o600
    await written.trail.write(written.streams[1], [value(n, id=None) for n in range(60, 65)])
    await written.owner.execute(f"delete from {ROWS} where kafka_offset = 8 and stream_id = 1")
    again: list[int] = []

    async def go_on(evidence, piece, tell):
        again.append(piece.first)
        return await honest(evidence, piece, tell)

    monkeypatch.setattr("ingest_service.compliance.verify.check", go_on)
    began = datetime.now(UTC)
    report = await verify(written.dsn, manner=Manner(1, notes))
    assert len(checked) == 3
    assert 0 < len(again) < len(checked) + len(again)
    assert not set(again[:1]) & set(checked[1:])
    assert report.began_at < began, "its oldest part is older than this run"
    assert report.streams[1].next_offset == 65
    assert report.counts[Class.ROW_DIFFERS] == 2, "found by the run that was broken off"
    assert (Class.ROW_MISSING, 8) in {(each.kind, each.offset) for each in report.findings}, (
        "gone since: whole tables are asked anew"
    )
    assert not notes.exists()


# --- one time ------------------------------------------------------------------------------------


@pytest.fixture
def exact_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for rows of a time offset by offset: ordinarily all of these would be one run."""
    monkeypatch.setattr(timespan, "TIME_BITS", 0)


def second(number: float) -> datetime:
    return BEGAN + timedelta(seconds=number)


async def test_a_time_is_the_entries_that_arrived_in_it(written: Written, exact_times: None):
    """From 25 s to 45 s: the entries that hold those records, in each partition, and no others."""
    report = await verify(written.dsn, Selection(since=second(25), until=second(45)))
    assert (report.is_good, report.counts) == (True, {})
    assert [(each.first_offset, each.next_offset) for each in report.streams] == [
        (20, 50),
        (20, 50),
    ]
    assert [each.records for each in report.streams] == [30, 30]


@pytest.mark.parametrize(
    ("since", "until_", "offsets"),
    [(None, 15, (0, 20)), (55, None, (50, 70)), (-100, -50, (0, 0)), (1000, None, (0, 0))],
)
async def test_a_time_may_be_open(
    written: Written,
    exact_times: None,
    since: int | None,
    until_: int | None,
    offsets: tuple[int, int],
):
    """Without a beginning or an end it reaches to the stream's own; outside it is empty."""
    selection = Selection(
        partition=0,
        since=None if since is None else second(since),
        until=None if until_ is None else second(until_),
    )
    report = await verify(written.dsn, selection)
    assert report.is_good
    assert (report.streams[0].first_offset, report.streams[0].next_offset) == offsets


async def test_rows_that_say_a_time_are_checked_whenever_they_arrived(
    written: Written, exact_times: None
):
    """Whoever asks for a time is shown what says so: a late event's entry is checked, too."""
    late = value(200, timestamp=event(5)["timestamp"])
    await written.trail.write(written.streams[1], [late])
    report = await verify(written.dsn, Selection(until=second(9)))
    assert report.is_good
    assert report.streams[1].records == 11
    await written.owner.execute(f"update {ROWS} set reason = 'x' where kafka_offset = 60")
    report = await verify(written.dsn, Selection(since=second(5), until=second(6)))
    assert [(each.kind, each.offset) for each in report.findings if not each.kind.is_notice] == [
        (Class.ROW_DIFFERS, 60)
    ], "of the late one, and not of the other partition's"


@pytest.mark.parametrize("place", ["1, 15", "1, 1000000", "99, 3"])
async def test_a_row_added_to_a_time_is_found_wherever_it_says_to_stand(
    written: Written, place: str
):
    """In a gap, behind the end, in a stream that does not exist."""
    await written.owner.execute(
        f"insert into {ROWS} select gen_random_uuid(), event_type, user_id, agent_id, server_name,"
        ' tool_name, decision, reason, "timestamp", gateway_request_id, metadata, created_at,'
        f" {place} from {ROWS} where kafka_offset = 35 and stream_id = 1"
    )
    report = await verify(written.dsn, Selection(since=second(35), until=second(36)))
    assert [each.kind for each in report.findings if not each.kind.is_notice] == [Class.ROW_ADDED]
    assert (await verify(written.dsn, Selection(until=second(9)))).is_good


async def test_findings_of_another_time_are_not_told(written: Written, exact_times: None):
    """A row that is missing in one hour does not make the next hour red."""
    await written.owner.execute(f"delete from {ROWS} where kafka_offset = 55")
    assert not (await verify(written.dsn, Selection(since=second(50)))).is_good
    assert (await verify(written.dsn, Selection(until=second(45)))).is_good


async def test_originals_that_cannot_be_read_do_not_mislead_the_search(
    written: Written, exact_times: None
):
    """Times are read off the originals; forged ones are passed over, and found where they are."""
    await written.owner.execute(f"update {ORIGINALS} set records = 'x' where sequence in (3, 4)")
    report = await verify(written.dsn, Selection(since=second(55), until=second(56)))
    assert report.is_good
    assert [each.records for each in report.streams] == [10, 10]
    assert not (await verify(written.dsn, Selection(until=second(45)))).is_good


async def test_a_time_that_cannot_be_found_is_said(
    written: Written, monkeypatch: pytest.MonkeyPatch
):
    """With all originals forged there is no time to be read off: no result, and no endless search."""
    monkeypatch.setattr(timespan, "_MOST_UNREADABLE", 3)
    await written.owner.execute(f"update {ORIGINALS} set records = 'x'")
    with pytest.raises(SetupError, match="without --from"):
        await verify(written.dsn, Selection(since=second(55)))


async def test_a_time_that_ends_before_it_begins_is_refused(written: Written):
    """Nothing would be checked, and nothing found."""
    with pytest.raises(SetupError, match="must be before"):
        await verify(written.dsn, Selection(since=second(5), until=second(5)))


# --- memory --------------------------------------------------------------------------------------


async def test_a_forged_original_is_not_even_fetched(
    written: Written, monkeypatch: pytest.MonkeyPatch
):
    """What is larger than any entry's originals is changed bytes by its size alone."""
    await written.owner.execute(
        f"update {ORIGINALS} set records = convert_to(repeat('x', 120000000), 'utf8')"
        " where stream_id = 1 and sequence = 3"
    )
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from ingest_service.compliance.verify import verify\n"
        "report = asyncio.run(verify(sys.argv[1]))\n"
        # Not `ru_maxrss`: it begins with what the parent took when this process was forked.
        "peak = Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]\n"
        "print(report.counts, int(peak) // 1024)\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, written.dsn], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "CHANGED_BYTES: 'changed bytes'>: 1" in done.stdout
    assert int(done.stdout.split()[-1]) < 200, "120 MB were fetched"


async def test_many_large_originals_are_fetched_in_turns(
    written: Written, monkeypatch: pytest.MonkeyPatch
):
    """However they are grouped, each is met once, by its own entry; copies of a key, too."""
    monkeypatch.setattr("ingest_service.adapters.evidence._FETCH_BYTES", 1)
    monkeypatch.setattr("ingest_service.adapters.evidence._ORIGINALS_A_FETCH", 2)
    assert (await verify(written.dsn)).is_good
    await written.owner.execute(
        f"insert into {ORIGINALS} select stream_id, sequence, records, created_at"
        f" + n * interval '1 s' from {ORIGINALS}, generate_series(1, 3) n"
        " where stream_id = 1 and sequence = 3"
    )
    report = await verify(written.dsn)
    assert {each.kind: each.detail for each in report.findings if not each.kind.is_notice} == {
        Class.ORIGINALS_ADDED: "3 more than the entry accounts for"
    }


async def test_two_evidences_see_one_moment(written: Written):
    """A child sees what its parent saw, whatever was committed in between."""
    async with open_evidence(written.dsn) as parent:
        await written.owner.execute(f"delete from {LEDGER} where stream_id = 2 and sequence = 6")
        async with open_evidence(written.dsn, parent.snapshot) as child:
            assert await child.last_sequence(2) == await parent.last_sequence(2) == 6
    async with open_evidence(written.dsn) as later:
        assert await later.last_sequence(2) == 5


# --- the command ---------------------------------------------------------------------------------


def command(dsn: str, *arguments: str) -> subprocess.Popen[str]:
    kept = {name: text for name, text in os.environ.items() if "INGEST_" not in name}
    return subprocess.Popen(
        [sys.executable, "-m", "ingest_service", "verify", *arguments],
        env=kept | {"INGEST_DATABASE__DSN": dsn},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def told(dsn: str, *arguments: str) -> tuple[int, str, str]:
    running = command(dsn, *arguments)
    out, err = await asyncio.to_thread(running.communicate)
    return running.returncode, out, err


async def test_results_are_noted_for_dashboards(written: Written):
    """Each finished run is a row that compliance can read: when, what, how it ended."""
    async with login(written.owner, written.dsn, OPERATOR) as operator:
        assert (await told(operator))[0] == 0
        await written.owner.execute(f"update {ROWS} set reason = 'canary' where kafka_offset = 5")
        code, out, _ = await told(
            operator, "--json", "--partition", "0", "--from", second(0).isoformat(), "--to",
            second(20).isoformat(), "--jobs", "1",
        )  # fmt: skip
        assert (code, json.loads(out)["scope"][:15]) == (1, "any topic/0 fro")
    async with (
        login(written.owner, written.dsn, COMPLIANCE) as reader,
        connected(reader) as session,
    ):
        good, bad = await session.fetch("select * from audit_verifications order by id")
    assert (good["result"], good["whole"], good["findings"], good["notices"]) == (
        "good",
        True,
        0,
        1,
    )
    assert (good["records"], good["streams"], good["scope"]) == (120, 2, "everything")
    assert (bad["result"], bad["whole"], bad["findings"]) == ("bad", False, 1)
    assert bad["first_bad"] == f"{TOPIC}/0@1 offset 5: row differs"
    assert json.loads(bad["counts"])["row differs"] == 1
    assert "canary" not in str(bad)


async def test_a_login_that_may_not_note_still_proves(written: Written):
    """On a replica nothing can be written: the verdict stands, and that it was not noted is said."""
    await written.owner.execute("revoke insert on gateway_audit_verifications from public")
    async with login(written.owner, written.dsn, OPERATOR) as operator:
        name = operator.split("//")[1].split(":")[0]
        await written.owner.execute(f"alter role {name} set default_transaction_read_only = on")
        code, out, err = await told(operator)
    assert (code, "✓ nothing wrong" in out) == (0, True)
    assert "not noted" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "March"], "write 2025-03-01"),
        (["--from", "2025-03-02", "--to", "2025-03-01"], "must be before"),
        (["--anchors", "x"], "go together"),
        (["--public-key", "x"], "go together"),
        (["--anchors", "x", "--public-key", "/none.pub"], "cannot be read"),
        (["--resume", "/none/way"], "cannot be opened"),
    ],
)
async def test_wrong_use_is_said(written: Written, arguments: list[str], said: str):
    """One message, exit code 2, and nothing noted."""
    code, out, err = await told(written.dsn, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert await written.owner.fetchval("select count(*) from gateway_audit_verifications") == 0


async def test_ctrl_c_leaves_nothing_behind_but_the_notes(written: Written, tmp_path: Path):
    """Children end with their parent; what was done is kept; the next run ends with a result."""
    notes = tmp_path / "notes"
    await written.owner.execute(
        f"lock table {QUARANTINE} in access exclusive mode"
    ) if False else None
    async with connected(written.dsn) as blocker:
        # The comparison of quarantine waits for this lock: the run is under way for as long.
        await blocker.execute(f"begin; lock table {QUARANTINE} in access exclusive mode")
        running = command(written.dsn, "--jobs", "2", "--resume", str(notes))
        waiting = "select count(*) from pg_stat_activity where application_name like '%verify' and wait_event_type = 'Lock'"
        while not await written.owner.fetchval(waiting):
            assert running.poll() is None
            await asyncio.sleep(0.01)
        children = psutil.Process(running.pid).children()
        running.send_signal(signal.SIGINT)
        _, err = await asyncio.to_thread(running.communicate)
        await blocker.execute("rollback")
    assert (running.returncode, "Traceback" in err) == (130, False)
    await until(lambda: not any(child.is_running() for child in children))
    assert (await told(written.dsn, "--resume", str(notes)))[0] == 0
    assert not notes.exists()
