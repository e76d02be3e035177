"""The writer's loop among fakes: nothing lost, nothing twice, and no partition stops another."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from fakes.database import FakeServer
from fakes.events import NOW_MS, TOPIC, garbage, record
from fakes.observer import FakeObserver
from fakes.source import FakeBroker, FakeSource
from ingest_service import ledger
from ingest_service.errors import SetupError
from ingest_service.events.decode import CONTRACT, DEFAULT_LIMITS, decoder
from ingest_service.ledger import Rules
from ingest_service.originals import unpack_originals
from ingest_service.persist.assignment import Duty
from ingest_service.persist.batching import BatchLimits
from ingest_service.persist.segment import Segment
from ingest_service.persist.writer import Writer
from waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from ingest_service.events.record import StoredRecord

RULES = Rules.of(CONTRACT, DEFAULT_LIMITS)
DECODE = decoder()
PROMPT = BatchLimits(linger_seconds=0.002)
PATIENT = BatchLimits(linger_seconds=60.0)


class Worker:
    """A running persister: one or more writers on one member of the group."""

    def __init__(self, source: FakeSource, stopping: asyncio.Event) -> None:
        self.source = source
        self.observer = FakeObserver()
        self.stopping = stopping

    async def polls(self, times: int = 20) -> None:
        """Return when it has polled this often from now on."""
        wanted = self.source.fetches + times
        await until(lambda: self.source.fetches >= wanted)


class Bench:
    """Two partitions and a database."""

    def __init__(self) -> None:
        self.broker = FakeBroker(TOPIC, [[], []])
        self.server = FakeServer()

    def produce(self, partition: int, records: Iterable[StoredRecord]) -> None:
        self.broker.logs[partition] += records

    def rows(self, partition: int) -> list[int]:
        stream = self.stream_id(partition)
        return sorted(r.kafka_offset for of, r in self.server.tables.rows.values() if of == stream)

    def stream_id(self, partition: int) -> int:
        return next(each.id for each in self.server.tables.streams if each.partition == partition)

    def kinds(self, partition: int) -> list[str]:
        return [entry.kind for entry in self.server.tables.ledger[self.stream_id(partition)]]

    def check_chain(self, partition: int) -> None:
        """Assert that the ledger tells the log: each record once, in order, with its digest."""
        entries = self.server.tables.ledger[self.stream_id(partition)]
        digest = entries[0].digest
        for before, entry in pairwise(entries):
            assert entry.previous_hash == before.hash
            assert entry.first_offset == before.next_offset
            packed = self.server.tables.originals[entry.stream_id, entry.sequence]
            kept = unpack_originals(packed, TOPIC, partition)
            offsets = range(entry.first_offset, entry.next_offset)
            assert [each.record.offset for each in kept] == list(offsets)
            digest = ledger.extend_digest(digest, [each.frame for each in kept])
            assert entry.digest == digest

    @asynccontextmanager
    async def worker(self, writers: int = 1, **changes: Any) -> AsyncIterator[Worker]:
        """Run a worker; at the end it is told to stop, and must."""
        async with self.broker.member() as source:
            worker = Worker(source, asyncio.Event())
            duty = Duty(
                **{
                    "source": source,
                    "observer": worker.observer,
                    "decode": DECODE,
                    "rules": RULES,
                    "limits": PROMPT,
                    "garbage_limit": 0,
                    "stopping": worker.stopping,
                }
                | changes
            )
            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                for index in range(writers):
                    writer = Writer(index, writers, self.server.connect(), duty)
                    group.create_task(writer.run())
                yield worker
                worker.stopping.set()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def records(count: int, first: int = 0, partition: int = 0) -> list[StoredRecord]:
    return [record(offset, partition) for offset in range(first, first + count)]


# --- the ordinary way ----------------------------------------------------------------------------


@pytest.mark.parametrize("writers", [1, 2, 3])
async def test_records_of_all_partitions_become_rows(bench: Bench, writers: int):
    """However many connections share the partitions, each record is written once."""
    bench.produce(0, records(50))
    bench.produce(1, [*records(20, partition=1), garbage(20, 1)])
    async with bench.worker(writers) as worker:
        await until(lambda: worker.observer.durable == {0: 50, 1: 21})
        bench.produce(0, records(5, 50))
        await until(lambda: worker.observer.durable == {0: 55, 1: 21})
    assert bench.rows(0) == list(range(55))
    assert bench.rows(1) == list(range(20))
    assert len(worker.observer.rows) == 75
    assert worker.observer.reasons == {"not_json": 1}
    assert worker.observer.delay_count == 76
    assert set(worker.observer.beats) == {f"writer-{n}" for n in range(writers)}
    bench.check_chain(0)
    bench.check_chain(1)


async def test_last_batch_is_told_at_once(bench: Bench):
    """On a quiet topic nobody waits for the next event to learn of the last one's commit."""
    bench.produce(0, records(3))
    async with bench.worker() as worker:
        await until(lambda: len(worker.observer.rows) == 3)
        await until(lambda: worker.observer.durable[0] == 3)


async def test_duplicates_are_counted(bench: Bench):
    """An event that was sent twice is one row; the metrics say that there was another."""
    event = str(uuid4())
    bench.produce(0, [record(0, id=event), record(1, id=event), record(2, id=event, reason="no")])
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable.get(0) == 3)
    assert bench.rows(0) == [0]
    assert worker.observer.duplicate_count == 1
    assert worker.observer.reasons == {"id_reused": 1}


async def test_next_worker_goes_on_where_the_ledger_ends(bench: Bench):
    """A restart writes nothing again, wherever Kafka believes that the group is."""
    bench.produce(0, records(5))
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable.get(0) == 5)
    bench.produce(0, records(2, 5))
    bench.broker.committed = {0: 1}
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable.get(0) == 7)
        assert worker.source.sought[0] == (0, 4)
    assert len(worker.observer.rows) == 2
    assert bench.rows(0) == list(range(7))
    bench.check_chain(0)


async def test_log_that_no_longer_begins_at_zero(bench: Bench):
    """The first look begins at the log's start, which the ledger then says."""
    bench.produce(0, records(5, 100))
    bench.broker.starts[0] = 100
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable.get(0) == 105)
    assert bench.server.tables.ledger[bench.stream_id(0)][0].next_offset == 100


async def test_shutdown_writes_what_has_gathered(bench: Bench):
    """Told to stop, the worker writes what it holds, though it would have lingered."""
    bench.produce(0, records(3))
    async with bench.worker(limits=PATIENT) as worker:
        await until(lambda: worker.source._positions.get(0) == 3)
        assert bench.rows(0) == []
    assert bench.rows(0) == [0, 1, 2]
    assert worker.observer.durable[0] == 3


async def test_batches_keep_their_limit(bench: Bench):
    """A backlog is written in batches, none larger than the limit."""
    bench.produce(0, records(25))
    limits = BatchLimits(max_records=10, linger_seconds=0.002, chunk_records=4)
    async with bench.worker(limits=limits) as worker:
        await until(lambda: worker.observer.durable.get(0) == 25)
    entries = bench.server.tables.ledger[bench.stream_id(0)][1:]
    assert max(entry.next_offset - entry.first_offset for entry in entries) <= 10
    bench.check_chain(0)


# --- fences and rebalances -----------------------------------------------------------------------


async def other_writes(bench: Bench, partition: int, written: list[StoredRecord]) -> None:
    """Write records as another worker does that has this partition too, for a moment."""
    database = bench.server.connect()
    stream = await database.stream(TOPIC, partition)
    head = bench.server.head(stream.id)
    segment = Segment(stream, head.next_offset, head.digest, RULES)
    segment.extend(written, DECODE)
    async with database.transaction():
        entry = segment.entry(head)
        await database.copy_rows([(stream.id, segment.rows)])
        await database.add_originals([(stream.id, entry.sequence, segment.pack())])
        await database.append([entry])


async def test_fenced_partition_goes_on_from_the_new_head(bench: Bench):
    """What somebody else has written meanwhile is not written again; the neighbour is not held."""
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable == {0: 0, 1: 0})
        log = records(6)
        await other_writes(bench, 0, log[:2])
        bench.produce(0, log)
        bench.produce(1, records(3, partition=1))
        await until(lambda: worker.observer.durable == {0: 6, 1: 3})
    assert worker.observer.fences == 1
    assert len(worker.observer.rows) == 7
    assert bench.rows(0) == list(range(6))
    bench.check_chain(0)
    bench.check_chain(1)


async def test_rebalance_voids_what_has_gathered(bench: Bench):
    """Records of a partition that went to another worker are not written by this one."""
    bench.produce(0, records(3))
    bench.produce(1, records(3, partition=1))
    async with bench.worker(limits=PATIENT) as worker:
        await until(lambda: worker.source._positions == {0: 3, 1: 3})
        async with bench.broker.member() as other:
            assert (worker.source.assigned, other.assigned) == ((0,), (1,))
            await until(lambda: worker.source._positions == {0: 3})
            await worker.polls()
            worker.stopping.set()
            await until(lambda: worker.observer.durable.get(0) == 3)
    assert bench.rows(0) == [0, 1, 2]
    assert bench.rows(1) == []
    assert worker.observer.forgotten == [1]


async def test_two_workers_that_come_and_go_write_each_record_once(bench: Bench):
    """A storm of rebalances costs time, and nothing else."""
    log = {n: records(60, partition=n) for n in (0, 1)}
    async with bench.worker() as one, bench.worker() as other:
        for step in range(20):
            for n in (0, 1):
                bench.produce(n, log[n][3 * step : 3 * step + 3])
            bench.broker.members.reverse()
            bench.broker.rebalance()
            await one.polls(2)
        await until(
            lambda: all(bench.server.head(bench.stream_id(n)).next_offset == 60 for n in (0, 1))
        )
        del other
    for n in (0, 1):
        assert bench.rows(n) == list(range(60))
        bench.check_chain(n)


async def test_two_workers_that_begin_a_stream_together(bench: Bench):
    """While a group forms both may begin it: the second one goes on from the first one's start."""
    bench.produce(0, records(2))

    def other_begins() -> None:
        stream = bench.server.tables.streams[0]
        bench.server.tables.append(ledger.start_entry(stream, 0, RULES))

    bench.server.before_commit = other_begins
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable.get(0) == 2)
    assert bench.kinds(0)[0] == "start"
    assert bench.rows(0) == [0, 1]


async def test_role_that_may_not_begin_a_stream_ends_with_a_message(bench: Bench):
    """Grants that are missing are a person's business."""
    bench.server.refuses_entries = True
    with pytest.raises(ExceptionGroup) as group:
        async with bench.worker() as worker:
            await until(worker.stopping.is_set)
    [error] = group.value.exceptions
    assert isinstance(error, SetupError)
    assert "gateway_audit_writer" in str(error)


# --- outages -------------------------------------------------------------------------------------


async def test_database_outage_pauses_and_polls(bench: Bench):
    """While the database is away the worker holds what it has, polls, and goes on afterwards."""
    limits = BatchLimits(max_records=2, linger_seconds=0.002)
    async with bench.worker(limits=limits) as worker:
        await until(lambda: worker.observer.durable == {0: 0, 1: 0})
        bench.server.available = False
        bench.produce(0, records(10))
        await until(lambda: worker.source.is_paused(0))
        beats = worker.observer.beats["writer-0"]
        await worker.polls()
        assert worker.source._positions[0] <= 5
        assert worker.observer.beats["writer-0"] > beats
        assert not worker.observer.is_available
        bench.server.available = True
        await until(lambda: worker.observer.durable[0] == 10)
    assert bench.rows(0) == list(range(10))
    bench.check_chain(0)


async def test_rebalance_during_a_database_outage_keeps_the_membership(bench: Bench):
    """A write that cannot end does not keep the worker from polling for what it has now."""
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable == {0: 0, 1: 0})
        bench.server.available = False
        bench.produce(0, records(3))
        await until(lambda: worker.observer.unavailable)
        bench.broker.rebalance()
        beats = worker.observer.beats["writer-0"]
        await worker.polls()
        assert worker.observer.beats["writer-0"] > beats
        bench.server.available = True
        await until(lambda: worker.observer.durable[0] == 3)
    assert bench.rows(0) == [0, 1, 2]
    bench.check_chain(0)


async def test_worker_that_loses_everything_during_an_outage_stands_by(bench: Bench):
    """Without any partition left it keeps its membership, and still ends when told to."""
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable == {0: 0, 1: 0})
        bench.server.available = False
        bench.produce(0, records(3))
        await until(lambda: worker.observer.unavailable)
        worker.source.reassign(())
        beats = worker.observer.beats["writer-0"]
        await until(lambda: worker.observer.beats["writer-0"] > beats + 5)
        bench.server.available = True
        await until(lambda: bench.rows(0) == [0, 1, 2])
        await until(lambda: sorted(worker.observer.forgotten) == [0, 1])


async def test_database_that_is_away_at_the_start_is_waited_for(bench: Bench):
    """Nothing is read before the durable offset is known; polling goes on."""
    bench.server.available = False
    bench.produce(0, records(3))
    async with bench.worker() as worker:
        await worker.polls()
        assert worker.source.sought == []
        assert not worker.observer.is_available
        bench.server.available = True
        await until(lambda: worker.observer.durable.get(0) == 3)
    assert bench.rows(0) == [0, 1, 2]


async def test_opening_one_partition_after_the_other_is_progress(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    """Taking over many partitions from a slow database is no loop that hangs: no restart for it."""
    released, connection = asyncio.Event(), type(bench.server.connect())
    stream = connection.stream

    async def slow(self: Any, topic: str, partition: int) -> Any:
        if partition == 1:
            await released.wait()
        return await stream(self, topic, partition)

    monkeypatch.setattr(connection, "stream", slow)
    async with bench.worker() as worker:
        await until(lambda: 0 in worker.observer.durable)
        assert worker.source.fetches == 0
        assert worker.observer.beats["writer-0"] == 2
        released.set()


async def test_broker_outage_loses_nothing(bench: Bench):
    """After a failed fetch the worker reads on where it stands."""
    bench.produce(0, records(3))
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable.get(0) == 3)
        bench.broker.available = False
        await worker.polls(5)
        bench.produce(0, records(3, 3))
        bench.broker.available = True
        await until(lambda: worker.observer.durable[0] == 6)
    assert bench.rows(0) == list(range(6))


async def test_broker_and_database_away_together(bench: Bench):
    """A fetch that fails while a write waits is no reason to end."""
    limits = BatchLimits(max_records=2, linger_seconds=0.002)
    async with bench.worker(limits=limits) as worker:
        await until(lambda: worker.observer.durable == {0: 0, 1: 0})
        bench.server.available = False
        bench.produce(0, records(6))
        await until(lambda: worker.source.is_paused(0))
        bench.broker.available = False
        await worker.polls()
        bench.server.available = bench.broker.available = True
        await until(lambda: worker.observer.durable[0] == 6)
    assert bench.rows(0) == list(range(6))


async def test_lost_answer_to_commit_counts_once(bench: Bench):
    """The metrics count what is durable, whether or not the answer came."""
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable == {0: 0, 1: 0})
        bench.server.lose_commit_answers = 1
        bench.produce(0, records(4))
        await until(lambda: worker.observer.durable[0] == 4)
    assert bench.rows(0) == [0, 1, 2, 3]
    assert len(worker.observer.rows) == 4
    assert worker.observer.fences == 0
    bench.check_chain(0)


# --- partitions that must stop -------------------------------------------------------------------


async def test_records_that_the_consumer_forgot_are_fetched_again(bench: Bench):
    """One hole is looked at twice before it is believed."""
    bench.produce(0, records(6))
    bench.broker.dropped_once = {(0, 3)}
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable.get(0) == 6)
        assert (0, 3) in worker.source.sought
    assert worker.observer.stopped == {}
    assert bench.rows(0) == list(range(6))


async def neighbour_goes_on(bench: Bench, worker: Worker, match: str) -> None:
    """Assert that partition 0 has stopped for this reason, and that partition 1 has not."""
    await until(lambda: 0 in worker.observer.stopped)
    assert match in worker.observer.stopped[0]
    assert worker.source.is_paused(0)
    end = bench.broker.bounds(1).end
    bench.produce(1, records(3, end, partition=1))
    await until(lambda: worker.observer.durable.get(1) == end + 3)
    assert list(worker.observer.stopped) == [0]


async def test_hole_in_the_log_stops_its_partition_alone(bench: Bench):
    """What came before the hole is durable, nothing after it is, and the operator is told."""
    bench.produce(0, [*records(3), *records(3, 4)])
    async with bench.worker() as worker:
        await neighbour_goes_on(bench, worker, "ledger accept-gap")
        assert "3 to 3" in worker.observer.stopped[0]
    assert bench.rows(0) in ([], [0, 1, 2])
    bench.check_chain(0)


async def persisted(bench: Bench, count: int) -> None:
    """Have records 0 to count of partition 0 persisted by an earlier worker."""
    bench.produce(0, records(count))
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable.get(0) == count)


async def test_recreated_topic_stops_its_partition(bench: Bench):
    """Other records at the same offsets are noticed, and nothing of them is written."""
    await persisted(bench, 5)
    bench.broker.logs[0] = records(9)
    async with bench.worker() as worker:
        await neighbour_goes_on(bench, worker, "ledger new-epoch")
    assert bench.kinds(0) == ["start", "records"]


async def test_shorter_topic_stops_its_partition(bench: Bench):
    """A log that ends before the head is not waited for."""
    await persisted(bench, 5)
    bench.broker.logs[0] = records(3)
    async with bench.worker() as worker:
        await neighbour_goes_on(bench, worker, "ledger new-epoch")


async def test_records_that_left_kafka_stop_their_partition(bench: Bench):
    """A log that begins behind the head has lost records, and that is never passed over."""
    await persisted(bench, 5)
    bench.produce(0, records(5, 5))
    bench.broker.starts[0] = 8
    async with bench.worker() as worker:
        await neighbour_goes_on(bench, worker, "ledger accept-gap")
        assert "5 to 7" in worker.observer.stopped[0]


async def test_damaged_originals_stop_their_partition(bench: Bench):
    """The record before the head cannot be compared: somebody has to look."""
    await persisted(bench, 5)
    bench.server.tables.originals = dict.fromkeys(bench.server.tables.originals, b"damaged")
    async with bench.worker() as worker:
        await neighbour_goes_on(bench, worker, "originals")


async def test_publishers_clock_stops_its_partition(bench: Bench):
    """A topic that is set up wrongly is a fault of set-up: nothing is quarantined."""
    bench.produce(0, records(2))
    bench.broker.log_append_time = False
    async with bench.worker() as worker:
        await until(lambda: 0 in worker.observer.stopped)
        assert "LogAppendTime" in worker.observer.stopped[0]
    assert bench.server.tables.quarantine == {}
    assert bench.rows(0) == []


async def test_stopped_partition_goes_on_when_the_operator_has_decided(bench: Bench):
    """The decision is noticed without a restart."""
    await persisted(bench, 5)
    missing, bench.broker.logs[0] = bench.broker.logs[0], []
    async with bench.worker() as worker:
        await until(lambda: 0 in worker.observer.stopped)
        bench.broker.logs[0] = missing + records(2, 5)
        await until(lambda: worker.observer.durable.get(0) == 7)
    assert bench.rows(0) == list(range(7))


async def test_flood_of_garbage_stops_its_partition(bench: Bench):
    """A broken publisher fills no quarantine for ever; what was taken is durable."""
    bench.produce(0, [*records(2), *(garbage(n) for n in range(2, 30))])
    limits = BatchLimits(max_records=5, linger_seconds=0.002)
    async with bench.worker(garbage_limit=10, limits=limits) as worker:
        await neighbour_goes_on(bench, worker, "INGEST_EVENTS__GARBAGE_LIMIT")
        stopped_at = bench.server.head(bench.stream_id(0)).next_offset
        await worker.polls()
    assert 12 <= stopped_at < 30
    assert bench.server.head(bench.stream_id(0)).next_offset == stopped_at


async def test_garbage_is_counted_from_the_ledger(bench: Bench):
    """A restart does not begin to count anew; a higher limit goes on."""
    bench.produce(0, [record(0)])
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable.get(0) == 1)
    bench.produce(0, [garbage(n) for n in range(1, 13)])
    async with bench.worker() as worker:
        await until(lambda: worker.observer.durable.get(0) == 13)
    bench.produce(0, [record(13)])
    async with bench.worker(garbage_limit=10) as worker:
        await neighbour_goes_on(bench, worker, "12 records in a row")
    assert bench.rows(0) == [0]
    async with bench.worker(garbage_limit=20) as worker:
        await until(lambda: worker.observer.durable.get(0) == 14)
    assert bench.rows(0) == [0, 13]


async def test_single_garbage_harms_nobody(bench: Bench):
    """The limit counts rejections in a row: a row between them begins anew."""
    bench.produce(0, [(record if n % 3 == 0 else garbage)(n) for n in range(30)])
    async with bench.worker(garbage_limit=3) as worker:
        await until(lambda: worker.observer.durable.get(0) == 30)
    assert worker.observer.stopped == {}
    assert worker.observer.reasons == {"not_json": 20}


async def test_oldest_record_that_is_held_is_told():
    """While the database is away the record's Kafka time is known; once all is durable, none is."""
    bench = Bench()
    bench.produce(0, [record(0)])
    async with bench.worker() as worker:
        held = worker.observer.oldest_ms
        await until(lambda: bench.server.tables.rows and set(held.values()) == {None})
        bench.server.available = False
        bench.produce(0, [record(1), record(2)])
        await until(lambda: NOW_MS in held.values())
        bench.server.available = True
        await until(lambda: bench.rows(0) == [0, 1, 2] and set(held.values()) == {None})
