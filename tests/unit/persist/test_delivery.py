"""Writing a batch: the reaction to each error, and never anything twice."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from random import Random
from uuid import uuid4

import pytest

from fakes.database import FakeDatabase, FakeServer
from fakes.events import NOW_MS, garbage, record
from fakes.observer import FakeObserver
from ingest_service import ledger
from ingest_service.errors import DatabaseUnavailableError, RowRefusedError, SetupError
from ingest_service.events.decode import CONTRACT, decoder
from ingest_service.events.record import Limits, StoredRecord
from ingest_service.ledger import Rules
from ingest_service.originals import unpack_originals
from ingest_service.persist.delivery import Delivery, deliver
from ingest_service.persist.segment import Segment
from waiting import until

LIMITS = Limits(max_age_seconds=3000 * 86_400)
RULES = Rules.of(CONTRACT, LIMITS)
DECODE = decoder(CONTRACT, LIMITS)


class Bench:
    """A database, and what is delivered to it."""

    def __init__(self) -> None:
        self.server = FakeServer()
        self.observer = FakeObserver()
        self.database: FakeDatabase = self.server.connect()

    async def segment(self, records: list[StoredRecord], partition: int = 0) -> Segment:
        """Return a segment of these records behind the head of their stream."""
        stream = await self.database.stream("events", partition)
        if not await self.database.heads([stream.id]):
            await self.database.append([ledger.start_entry(stream, 0, RULES)])
        head = self.server.head(stream.id)
        segment = Segment(stream, head.next_offset, head.digest, RULES)
        assert segment.extend(records, DECODE) == len(records)
        return segment

    async def deliver(self, *segments: Segment) -> Delivery:
        async with asyncio.timeout(10):
            return await deliver(self.database, segments, self.observer, Random(1))

    def offsets(self) -> list[tuple[int, int]]:
        return sorted((of, row.kafka_offset) for of, row in self.server.tables.rows.values())

    def reasons(self) -> dict[int, str]:
        return {row.kafka_offset: row.reason for row in self.server.tables.quarantine.values()}

    def verdicts(self, stream_id: int) -> list:
        """Return every verdict of a stream, as the originals keep them."""
        return [
            original.verdict
            for (of, _), packed in sorted(self.server.tables.originals.items())
            if of == stream_id
            for original in unpack_originals(packed, "events", 0)
        ]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_records_become_rows_quarantine_originals_and_an_entry(bench: Bench):
    """One transaction moves all of it, and the head is the durable offset."""
    segment = await bench.segment([record(0), garbage(1), record(2)])
    delivery = await bench.deliver(segment)
    [(committed, entry)] = delivery.committed
    assert committed is segment
    assert delivery.lost == []
    assert bench.offsets() == [(1, 0), (1, 2)]
    assert bench.reasons() == {1: "not_json"}
    assert bench.verdicts(1) == [None, "not_json", None]
    assert bench.server.head(1) == entry.head
    assert entry.next_offset == 3
    assert bench.server.commits == 1


async def test_quarantine_keeps_the_record_as_it_was(bench: Bench):
    """Key, headers, bytes and Kafka time are kept, so that it can be replayed."""
    odd = garbage(0)._replace(key=b"\0k", value=b"\xff", headers=[("h", None)])
    await bench.deliver(await bench.segment([odd]))
    [kept] = bench.server.tables.quarantine.values()
    assert (kept.key, kept.value, kept.kafka_timestamp_us) == (b"\0k", b"\xff", NOW_MS * 1000)
    assert kept.headers == ledger.encode_headers(odd.headers)
    assert kept.message


async def test_duplicate_is_counted_and_reused_id_is_kept_aside(bench: Bench):
    """The same event again is no row; another event under the same id is quarantined."""
    first, other = str(uuid4()), str(uuid4())
    await bench.deliver(await bench.segment([record(0, id=first), record(1, id=other)]))
    again = [record(2, id=first), record(3, id=other, reason="changed"), record(4)]
    await bench.deliver(await bench.segment(again))
    assert bench.offsets() == [(1, 0), (1, 1), (1, 4)]
    assert bench.reasons() == {3: "id_reused"}
    assert bench.verdicts(1) == [None, None, (1, 0), "id_reused", None]
    assert bench.server.tables.ledger[1][-1][5:8] == (1, 1, 1)


async def test_duplicate_within_a_batch_and_across_partitions(bench: Bench):
    """A retry of the publisher may land beside the first try, or in another partition."""
    event = str(uuid4())
    mine = await bench.segment([record(0, id=event), record(1, id=event)])
    theirs = await bench.segment([record(0, partition=1, id=event)], partition=1)
    await bench.deliver(mine, theirs)
    assert bench.offsets() == [(1, 0)]
    assert bench.verdicts(1) == [None, (1, 0)]
    assert bench.verdicts(2) == [(1, 0)]


async def test_moved_stream_is_left_out_and_the_rest_is_written_at_once(bench: Bench):
    """Somebody else moved one head: that stream is lost, its neighbour is durable."""
    mine = await bench.segment([record(0), record(1)])
    theirs = await bench.segment([record(0, partition=1)], partition=1)
    await bench.deliver(await bench.segment([record(0)]))
    delivery = await bench.deliver(mine, theirs)
    assert [segment for segment, _ in delivery.committed] == [theirs]
    assert delivery.lost == [mine]
    assert bench.offsets() == [(1, 0), (2, 0)]
    assert bench.observer.fences == 1
    assert bench.observer.errors == {}


async def test_head_that_moves_under_the_write_changes_nothing(bench: Bench):
    """The loser of a race finds out at its append, takes all back, and writes what is left."""
    mine = await bench.segment([record(0), record(1)])
    theirs = await bench.segment([record(0, partition=1)], partition=1)
    winner = (await bench.segment([record(0)])).entry(bench.server.head(1))
    bench.server.before_commit = lambda: bench.server.tables.append(winner)
    delivery = await bench.deliver(mine, theirs)
    assert delivery.lost == [mine]
    assert bench.offsets() == [(2, 0)]
    assert bench.observer.errors == {"fenced": 1}


async def test_lost_answer_to_commit_is_not_written_twice(bench: Bench):
    """What was committed after all is found by its head, and counts as committed."""
    segment = await bench.segment([record(0), garbage(1)])
    bench.server.lose_commit_answers = 1
    delivery = await bench.deliver(segment)
    assert [each for each, _ in delivery.committed] == [segment]
    assert delivery.lost == []
    assert bench.offsets() == [(1, 0)]
    assert [entry.kind for entry in bench.server.tables.ledger[1]] == ["start", "records"]
    assert bench.observer.errors == {"unavailable": 1}
    assert bench.observer.is_available


async def test_lost_answer_keeps_what_the_attempt_found(bench: Bench):
    """The verdicts of the attempt that was committed are the ones that are reported."""
    event = str(uuid4())
    await bench.deliver(await bench.segment([record(0, id=event)]))
    segment = await bench.segment([record(1, id=event)])
    bench.server.lose_commit_answers = 1
    delivery = await bench.deliver(segment)
    [(_, entry)] = delivery.committed
    assert segment.verdicts == [(1, 0)]
    assert entry == bench.server.tables.ledger[1][-1]
    assert entry.duplicate_count == 1


async def test_outage_is_waited_out(bench: Bench):
    """The batch is tried again, as it is, until the database takes it."""
    segment = await bench.segment([record(0)])
    bench.server.available = False
    delivering = asyncio.create_task(bench.deliver(segment))
    await until(lambda: len(bench.observer.unavailable) >= 3)
    assert not bench.observer.is_available
    bench.server.available = True
    delivery = await delivering
    assert len(delivery.committed) == 1
    assert bench.observer.is_available
    assert bench.offsets() == [(1, 0)]


async def test_conflict_that_went_away_is_a_row_after_all(bench: Bench):
    """After a failover that lost the first row, the duplicate is what remains of the event."""
    event = str(uuid4())
    await bench.deliver(await bench.segment([record(0, id=event)]))
    segment = await bench.segment([record(1, id=event)])

    def lose_the_row() -> None:
        bench.server.tables.rows.clear()
        bench.server.available = False
        asyncio.get_running_loop().call_soon(setattr, bench.server, "available", True)
        raise DatabaseUnavailableError("failover")

    bench.server.before_commit = lose_the_row
    await bench.deliver(segment)
    assert segment.verdicts == [None]
    assert bench.offsets() == [(1, 1)]


# --- partitions of the table ---------------------------------------------------------------------


def old_records(days: int) -> list[StoredRecord]:
    return [record(n, timestamp=NOW_MS // 1000 - n * 86_400) for n in range(days)]


async def test_missing_partitions_are_made(bench: Bench):
    """Exactly the days of the batch; nothing is quarantined."""
    bench.server.tables.days = set()
    await bench.deliver(await bench.segment(old_records(3)))
    today = date(1970, 1, 1) + timedelta(days=NOW_MS // 86_400_000)
    assert bench.server.tables.days == {today - timedelta(days=n) for n in range(3)}
    assert len(bench.offsets()) == 3
    assert bench.reasons() == {}


async def test_more_days_than_the_database_makes_at_once(bench: Bench):
    """A backfill of years is a batch like any other."""
    bench.server.tables.days = set()
    await bench.deliver(await bench.segment(old_records(900)))
    assert len(bench.offsets()) == 900


async def test_outage_while_partitions_are_made_is_waited_out(bench: Bench):
    """The database may go away at any step of the reaction, too."""
    bench.server.tables.days = set()
    segment = await bench.segment([record(0)])
    make = bench.database.make_partitions
    bench.database.make_partitions = failing_once(bench, make)
    await bench.deliver(segment)
    assert bench.offsets() == [(1, 0)]
    assert bench.observer.errors == {"unavailable": 1}


async def test_partitions_that_go_as_fast_as_they_are_made_are_waited_for(bench: Bench):
    """Making them again and again does not spin: after a few times it waits, as in an outage."""
    bench.server.tables.days = set()
    segment = await bench.segment([record(0)])
    make, asked = bench.database.make_partitions, []

    async def useless_at_first(days):
        asked.append(days)
        if len(asked) > 5:
            await make(days)

    bench.database.make_partitions = useless_at_first
    await bench.deliver(segment)
    assert bench.offsets() == [(1, 0)]
    assert bench.observer.errors == {"unavailable": 3}


def failing_once(bench: Bench, call):
    """Return the call, before which the database is away for a moment."""

    async def failing(*arguments):
        bench.server.available = bool(bench.observer.errors)
        try:
            return await call(*arguments)
        finally:
            bench.server.available = True

    return failing


# --- rows that the database refuses ---------------------------------------------------------------


@pytest.mark.parametrize("bad", [{3}, {0}, {7}, {0, 7}, {2, 3, 5}, set(range(8))])
async def test_refused_rows_are_isolated(bench: Bench, bad: set[int]):
    """A row that only the database refuses is kept aside, and costs no other row its place."""
    bench.server.refuses_row = lambda row: row.kafka_offset in bad
    delivery = await bench.deliver(await bench.segment([record(n) for n in range(8)]))
    assert len(delivery.committed) == 1
    assert [offset for _, offset in bench.offsets()] == [n for n in range(8) if n not in bad]
    assert bench.reasons() == dict.fromkeys(sorted(bad), "refused_by_database")
    assert [n for n, verdict in enumerate(bench.verdicts(1)) if verdict] == sorted(bad)


async def test_refused_row_among_duplicates_and_missing_partitions(bench: Bench):
    """Whatever else is in the way of the same batch is put right as well."""
    event = str(uuid4())
    await bench.deliver(await bench.segment([record(0, id=event)]))
    bench.server.tables.days = set()
    bench.server.refuses_row = lambda row: row.kafka_offset == 2
    await bench.deliver(await bench.segment([record(1, id=event), record(2), record(3)]))
    assert bench.offsets() == [(1, 0), (1, 3)]
    assert bench.verdicts(1) == [None, (1, 0), "refused_by_database", None]


async def test_outage_while_rows_are_isolated_is_waited_out(bench: Bench):
    """The search begins again when the database is back."""
    bench.server.refuses_row = lambda row: row.kafka_offset == 1
    segment = await bench.segment([record(0), record(1)])
    bench.database.refuses = failing_once(bench, bench.database.refuses)
    await bench.deliver(segment)
    assert bench.reasons() == {1: "refused_by_database"}
    assert bench.observer.errors == {"unavailable": 1}


class Blind(FakeDatabase):
    async def refuses(self, stream_id, rows) -> bool:
        return False


async def test_refusal_that_no_row_explains_ends_the_worker(bench: Bench):
    """Nothing is tried for ever at full speed: what nobody understands stops, offsets kept."""
    segment = await bench.segment([record(0)])
    bench.server.refuses_row = lambda row: True
    bench.database = Blind(bench.server, 0.1)
    with pytest.raises(RowRefusedError):
        await bench.deliver(segment)
    assert bench.server.head(1).next_offset == 0


async def test_refusal_of_the_straight_way_alone_takes_the_staged_one(bench: Bench):
    """When no row is refused on the way of the trial, that way is taken."""
    segment = await bench.segment([record(0)])

    async def copy_rows(rows) -> None:
        raise RowRefusedError("refused")

    bench.database.copy_rows = copy_rows
    await bench.deliver(segment)
    assert bench.offsets() == [(1, 0)]
    assert bench.reasons() == {}


async def test_role_that_may_not_append_is_told_so(bench: Bench):
    """A ledger that refuses although nobody moved it is a matter of grants, and is said once."""
    segment = await bench.segment([record(0)])
    bench.server.refuses_entries = True
    with pytest.raises(SetupError, match="grant it gateway_audit_writer"):
        await bench.deliver(segment)
    assert bench.offsets() == []
