"""`trace` finds an event wherever it is, and says what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from ingest_service.adapters.migrations import migrate
from ingest_service.adapters.trace_reader import open_traces
from ingest_service.compliance.question import question
from ingest_service.compliance.sighting import Report, Sighting, Standing
from ingest_service.compliance.trace import MOST
from ingest_service.errors import SetupError
from ingest_service.settings import DatabaseSettings, KafkaSettings, Settings
from ingest_service.tracer import trace
from logins import login
from schema import COMPLIANCE, OPERATOR, WRITER, connected
from trail import TOPIC, Trail, event, value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from ingest_service.ledger import Stream

pytestmark = pytest.mark.database

EVENTS, ORIGINALS = "gateway_audit_events", "gateway_audit_originals"
LEDGER, QUARANTINE = "gateway_audit_ledger", "gateway_audit_quarantine"


class Archive(NamedTuple):
    """An honest database: two partitions with every kind of verdict, no broker.

    Partition 0: 0-9 rows, 10 a duplicate of 3, 11 id_reused, 12 a tombstone, 13 not_json, 14-29 a
    gap, 30-39 rows. Partition 1: from 100 on, the first a duplicate of the other's 5.
    """

    dsn: str
    owner: asyncpg.Connection
    trail: Trail
    stream: Stream
    port: int

    async def ask(self, text: object, dsn: str | None = None) -> Report:
        """Trace, with a broker that is not there."""
        settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=f"127.0.0.1:{self.port}"),
            database=DatabaseSettings(dsn=dsn or self.dsn),
        )
        return await trace(settings, question(str(text)), TOPIC)

    async def seen(self, text: object) -> Sighting:
        """Return the one place that a text leads to."""
        [found] = (await self.ask(text)).sightings
        return found


@pytest.fixture
async def archive(database_dsn: str, unused_tcp_port: int) -> AsyncIterator[Archive]:
    await migrate(database_dsn)
    async with connected(database_dsn) as owner:
        await owner.execute("set session_replication_role = replica")  # tampering respects nothing
        trail = Trail(owner)
        stream = await trail.open(partition=0)
        await trail.write(stream, [value(n) for n in range(10)])
        await trail.write(stream, [value(3), value(4, reason="another"), None, b'{"bad-1'])
        await trail.gap(stream, 30)
        await trail.write(stream, [value(n) for n in range(30, 40)])
        other = await trail.open(partition=1, offset=100)
        await trail.write(other, [value(5), *(value(n) for n in range(101, 105))])
        yield Archive(database_dsn, owner, trail, stream, unused_tcp_port)


@pytest.mark.parametrize("asked", [event(7)["id"], "request-7", "0:7"])
async def test_row_is_found_by_id_request_and_place(archive: Archive, asked: str):
    """All three lead to the same row, ledger entry and original, and nothing is wrong."""
    seen = await archive.seen(asked)
    assert (seen.stream, seen.offset, seen.standing) == (archive.stream, 7, Standing.ROW)
    assert seen.row is not None
    assert (seen.row.id, seen.row.gateway_request_id) == (event(7)["id"], "request-7")
    assert seen.entry is not None
    assert (seen.entry.entry.sequence, seen.entry.entry.first_offset) == (1, 0)
    assert seen.record is not None
    assert (seen.record.value, seen.record.key) == (value(7), b"key-7")
    assert seen.wrong == ()


async def test_absent_broker_is_said_and_the_database_answers(archive: Archive):
    """What Kafka knows is missing from the answer, which is therefore not all there is to know."""
    report = await archive.ask("0:7")
    assert report.sightings
    assert report.unasked[0].startswith("Kafka: ")
    assert not report.is_good


STANDINGS = {
    "0:10": Standing.DUPLICATE,
    "1:100": Standing.DUPLICATE,
    "0:11": Standing.QUARANTINED,
    "0:12": Standing.QUARANTINED,
    "0:13": Standing.QUARANTINED,
    "0:20": Standing.GIVEN_UP,
    "0:39": Standing.ROW,
    "1:99": Standing.BEFORE_THE_LEDGER,
    "0:40": Standing.WAITING,
}


async def test_each_place_says_what_became_of_it(archive: Archive, subtests: pytest.Subtests):
    """Row, duplicate, quarantine, gap, before and behind the ledger: told apart, and all in order."""
    for asked, standing in STANDINGS.items():
        with subtests.test(asked):
            seen = await archive.seen(asked)
            assert (seen.standing, seen.wrong) == (standing, ())


async def test_duplicate_leads_to_its_row(archive: Archive):
    """In the same partition or another one, the row that was there first is shown."""
    for asked, offset in {"0:10": 3, "1:100": 5}.items():
        seen = await archive.seen(asked)
        assert seen.duplicate_of == (archive.stream, offset)
        assert seen.row is not None
        assert (seen.row.kafka_offset, seen.row.id) == (offset, event(offset)["id"])


async def test_quarantine_says_why(archive: Archive):
    """The reason is the verdict's, also of what the decoder would have let through."""
    reasons = [(await archive.seen(f"0:{n}")).quarantine.reason for n in (11, 12, 13)]
    assert reasons == ["id_reused", "empty", "not_json"]


@pytest.mark.parametrize(("asked", "offset"), [("bad-1", 13), ("key-12", 12)])
async def test_quarantined_record_is_found_by_what_it_holds(
    archive: Archive, asked: str, offset: int
):
    """What became no row is found by its key, or by a text in its value."""
    assert (await archive.seen(asked)).offset == offset


@pytest.mark.parametrize(
    "asked",
    [
        "nothing",
        "9:1",
        "0190a3c2-0000-7000-8000-00000000beef",
        "'; drop table gateway_audit_events; --",
        "%",
        "\\x00",
    ],
)
async def test_unknown_is_not_found(archive: Archive, asked: str):
    """No id, request or partition of that name: nothing, whatever stands in the question."""
    report = await archive.ask(asked)
    assert (list(report.sightings), report.is_good) == ([], False)


async def test_every_offset_finds_its_entry(archive: Archive):
    """However entries are cut, the halving finds the one that a search from the start finds."""
    stream = await archive.trail.open(partition=2, offset=5)
    number = 1000
    for count in (1, 2, 1, 5, 3, 1, 1, 4):
        await archive.trail.write(stream, [value(number + n) for n in range(count)])
        number += count
    ranges = await archive.owner.fetch(
        f"select sequence, first_offset, next_offset from {LEDGER} where stream_id = $1", stream.id
    )
    async with open_traces(archive.dsn) as reader:
        for offset in range(3, 5 + 18 + 2):
            found = await reader.entry_covering(stream, offset)
            right = [row[0] for row in ranges if row[1] <= offset < row[2]]
            assert ([found.entry.sequence] if found else []) == right


async def test_many_events_of_a_request_are_cut(archive: Archive):
    """The first are shown, and that there are more is said."""
    await archive.trail.write(
        archive.stream, [value(n, gateway_request_id="busy") for n in range(200, 200 + MOST + 3)]
    )
    report = await archive.ask("busy")
    assert (len(report.sightings), report.more) == (MOST, True)
    assert [each.offset for each in report.sightings] == list(range(40, 40 + MOST))


async def test_each_life_of_a_partition_is_shown(archive: Archive):
    """An offset that two epochs have is two records."""
    await archive.trail.open(partition=0, epoch=2)
    seen = (await archive.ask("0:7")).sightings
    assert [(each.stream.epoch, each.standing) for each in seen] == [
        (2, Standing.WAITING),
        (1, Standing.ROW),
    ]


TAMPERED = {
    f"update {EVENTS} set reason = 'x', metadata = '{{}}' where kafka_offset = 7": (
        "the row differs from its record in reason, metadata"
    ),
    f"update {EVENTS} set kafka_offset = 8 where kafka_offset = 7": (
        "the row differs from its record in kafka_offset"
    ),
    f"update {EVENTS} set stream_id = 2 where kafka_offset = 7": "the row says another stream",
    f"delete from {EVENTS} where kafka_offset = 7": (
        "the row is not there under its record's id and time"
    ),
    f"update {ORIGINALS} set records = '\\x00'": "originals cannot be read",
    f"delete from {ORIGINALS}": "the originals of this entry are not there",
    f"update {LEDGER} set hash = sha256('x') where sequence = 1": (
        "the entry's hash does not cover what it says"
    ),
    f"update {LEDGER} set digest = sha256('x') where sequence = 0": (
        "the entry's digest does not cover its originals"
    ),
    f"delete from {LEDGER} where sequence = 0": "the entry before is not there",
    f"delete from {LEDGER} where sequence = 1": "the ledger has a hole here",
    f"update {LEDGER} set contract = 99 where sequence = 1": "this version cannot decode it",
}


@pytest.mark.parametrize("statement", TAMPERED)
async def test_what_was_changed_is_said(archive: Archive, statement: str):
    """Each way to change what is kept of a record is named, on the record itself."""
    await archive.owner.execute(statement)
    report = await archive.ask("0:7")
    wrong = [wrong for each in report.sightings for wrong in each.wrong]
    assert any(each.startswith(TAMPERED[statement]) for each in wrong), wrong
    assert not report.is_good


async def test_quarantine_that_was_changed_is_said(archive: Archive):
    """A verdict without its quarantine row, or with another reason, is named."""
    await archive.owner.execute(f"update {QUARANTINE} set reason = 'x' where kafka_offset = 12")
    await archive.owner.execute(f"delete from {QUARANTINE} where kafka_offset = 13")
    assert (await archive.seen("0:12")).wrong == (
        "the verdict is empty, and quarantine says otherwise",
    )
    assert (await archive.seen("0:13")).wrong == (
        "the verdict is not_json, and quarantine has no such record",
    )


PLANTED = {
    "stream_id, 7": "a row stands here that is not its record's",
    "stream_id, 10": "a row stands here, and the verdict is a duplicate",
    "stream_id, 12": "a row stands here, and the verdict is a rejection",
    "stream_id, 20": "a row stands in a gap",
    "stream_id, 1000": "a row stands here, and no entry of the ledger says so",
    "99, 7": "this row belongs to no stream",
}


@pytest.mark.parametrize("place", PLANTED)
async def test_row_that_somebody_planted_is_said(archive: Archive, place: str):
    """A row under an id of its own is found by that id, and is told to be nobody's."""
    planted = await archive.owner.fetchval(
        f"insert into {EVENTS} select gen_random_uuid(), event_type, user_id, agent_id, server_name,"
        ' tool_name, decision, reason, "timestamp", gateway_request_id, metadata, created_at,'
        f" {place} from {EVENTS} where kafka_offset = 5 returning id"
    )
    report = await archive.ask(planted)
    [seen] = report.sightings
    assert any(wrong.startswith(PLANTED[place]) for wrong in seen.wrong), seen.wrong
    assert not report.is_good


async def test_bomb_of_originals_is_not_fetched(archive: Archive, monkeypatch: pytest.MonkeyPatch):
    """Originals larger than any entry's stay in the database."""
    monkeypatch.setattr("ingest_service.adapters.trace_reader._MOST_PACKED_BYTES", 10)
    [wrong] = (await archive.seen("0:7")).wrong
    assert wrong.startswith("the originals of this entry are not there (or no entry's)")


async def test_search_of_quarantine_is_bounded(archive: Archive, monkeypatch: pytest.MonkeyPatch):
    """What takes too long is given up, said, and the rest is answered."""
    monkeypatch.setattr("ingest_service.adapters.trace_reader._SEARCH_SECONDS", 0.05)
    async with connected(archive.dsn) as other, other.transaction():
        await other.execute(f"lock table {QUARANTINE} in access exclusive mode")
        report = await archive.ask("nothing")
    assert report.unasked[0] == "quarantine is too large to be searched: ask by PARTITION:OFFSET"


async def test_roles(archive: Archive):
    """Operator and writer may trace; compliance is told what to grant."""
    for role in (OPERATOR, WRITER):
        async with login(archive.owner, archive.dsn, role) as dsn:
            assert (await archive.ask("0:7", dsn)).sightings
    async with login(archive.owner, archive.dsn, COMPLIANCE) as dsn:
        with pytest.raises(SetupError, match="grant gateway_audit_operator to"):
            await archive.ask("0:7", dsn)
