"""What the persister counts on from a database: the fake and the real one keep the same promises."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING

import pytest

from contract.stores import NOTHING, Kept, Store
from fakes.events import NOW_MS, garbage, record, row
from ingest_service import ledger
from ingest_service.errors import (
    DatabaseUnavailableError,
    OwnershipLostError,
    PartitionFault,
    PartitionMissingError,
    RowKeyTakenError,
    RowRefusedError,
)
from ingest_service.ledger import Entry, Rules, Stream
from ingest_service.originals import pack_originals
from ingest_service.shapes import Conflict, QuarantineRow

if TYPE_CHECKING:
    from ingest_service.events.record import Row
    from ingest_service.persist.ports import Database

RULES = Rules(1, '{"max_age_seconds":60}')


async def started(database: Database, topic: str) -> tuple[Stream, Entry]:
    """Return a stream that begins at offset 0, with its first entry."""
    stream = await database.stream(topic, 0)
    start = ledger.start_entry(stream, 0, RULES)
    await database.append([start])
    return stream, start


def rows_after(entry: Entry, count: int = 1) -> Entry:
    """Return an entry of rows that continues this one."""
    return ledger.records_entry(entry.stream_id, entry.head, b"d" * 32, [None] * count, RULES)


def quarantine_row(stream: Stream, offset: int) -> QuarantineRow:
    return QuarantineRow(
        stream.id, offset, NOW_MS * 1000, None, b"\x90", b"\x00\xff", "not_json", "why"
    )


# --- streams and heads ---------------------------------------------------------------------------


async def test_first_look_opens_the_first_epoch_for_everybody(store: Store, topic_name: str):
    """Whoever asks first opens a stream; whoever asks later gets the same one."""
    async with store.connect() as one, store.connect() as other:
        opened = await one.stream(topic_name, 3)
        assert (opened.topic, opened.partition, opened.epoch) == (topic_name, 3, 1)
        assert await other.stream(topic_name, 3) == opened
        assert (await other.stream(topic_name, 4)).id != opened.id


async def test_head_is_the_last_entry(store: Store, topic_name: str):
    """A stream without entries has no head; then its head is what the last entry says."""
    async with store.connect() as database:
        stream = await database.stream(topic_name, 0)
        assert await database.heads([stream.id]) == {}
        start = ledger.start_entry(stream, 7, RULES)
        await database.append([start])
        assert await database.heads([stream.id, 32_000]) == {stream.id: start.head}
        entry = rows_after(start, 2)
        await database.append([entry])
        assert await database.heads([stream.id]) == {stream.id: entry.head}
        assert entry.head.next_offset == 9


@pytest.mark.parametrize(
    "mistake",
    [
        lambda start, last: start,
        lambda start, last: rows_after(start),
        lambda start, last: rows_after(last)._replace(previous_hash=b"x" * 32),
        lambda start, last: rows_after(last)._replace(
            first_offset=last.next_offset + 1, next_offset=last.next_offset + 2
        ),
        lambda start, last: rows_after(last)._replace(
            first_offset=last.next_offset - 1, row_count=2
        ),
        lambda start, last: rows_after(last)._replace(sequence=last.sequence + 2),
    ],
    ids=["second start", "fork", "wrong hash", "hole", "overlap", "skipped sequence"],
)
async def test_entry_that_does_not_continue_the_head_is_refused(
    store: Store, topic_name: str, mistake
):
    """Whoever does not know the head cannot append, and what else it wrote is taken back."""
    async with store.connect() as database:
        stream, start = await started(database, topic_name)
        last = rows_after(start, 3)
        await database.append([last])
        with pytest.raises(OwnershipLostError):
            async with database.transaction():
                await database.copy_rows([(stream.id, [row(3)])])
                await database.append([mistake(start, last)])
        assert await store.kept(stream.id) == NOTHING._replace(ledger=["start", "records"])


# --- transactions --------------------------------------------------------------------------------


async def test_transaction_keeps_everything_or_nothing(store: Store, topic_name: str):
    """Rows, originals, quarantine and entries become durable together."""
    async with store.connect() as database:
        stream, start = await started(database, topic_name)
        entry = ledger.records_entry(stream.id, start.head, b"d" * 32, [None, "not_json"], RULES)

        async def write_all() -> None:
            await database.lock([stream.id])
            await database.copy_rows([(stream.id, [row(0)])])
            await database.add_originals([(stream.id, 1, b"packed")])
            await database.add_quarantine([quarantine_row(stream, 1)])
            await database.append([entry])

        with pytest.raises(ZeroDivisionError):
            async with database.transaction():
                await write_all()
                1 / 0  # noqa: B018 - whatever goes wrong
        assert await store.kept(stream.id) == NOTHING._replace(ledger=["start"])
        async with database.transaction():
            await write_all()
        assert await store.kept(stream.id) == Kept([0], ["start", "records"], [1], [1])


async def test_session_is_usable_after_each_refusal(store: Store, topic_name: str):
    """An error inside a transaction leaves no aborted transaction behind."""
    async with store.connect() as database:
        stream, start = await started(database, topic_name)
        for bad in (row(0, metadata=b"{"), row(0, reason="\0"), row(0, id="no uuid")):
            with pytest.raises(RowRefusedError):
                async with database.transaction():
                    await database.copy_rows([(stream.id, [bad])])
        async with database.transaction():
            await database.append([rows_after(start)])
        assert (await database.heads([stream.id]))[stream.id].next_offset == 1


async def test_lost_session_never_writes_outside_its_transaction(store: Store, topic_name: str):
    """A worker whose session was ended in mid-transaction cannot write on by a new one."""
    async with store.connect() as database:
        stream, start = await started(database, topic_name)
        with pytest.raises(DatabaseUnavailableError):
            async with database.transaction():
                await database.lock([stream.id])
                await database.copy_rows([(stream.id, [row(0)])])
                await store.end_holder(stream.id)
                for _ in range(10):  # let the client notice by itself
                    await asyncio.sleep(0)
                await asyncio.sleep(0.05)
                await database.add_originals([(stream.id, 1, b"packed")])
                await database.append([rows_after(start)])
        assert await store.kept(stream.id) == NOTHING._replace(ledger=["start"])


async def test_session_comes_back_by_itself(store: Store, topic_name: str):
    """After a lost session the next transaction is an ordinary one."""
    async with store.connect() as database:
        stream, start = await started(database, topic_name)
        with pytest.raises(DatabaseUnavailableError):
            async with database.transaction():
                await database.lock([stream.id])
                await store.end_holder(stream.id)
                await database.append([rows_after(start)])
        async with database.transaction():
            await database.lock([stream.id])
            await database.copy_rows([(stream.id, [row(0)])])
            await database.append([rows_after(start)])
        assert await store.kept(stream.id) == Kept([0], ["start", "records"], [], [])


# --- locks ---------------------------------------------------------------------------------------


async def test_held_stream_is_waited_for(store: Store, topic_name: str):
    """Two writers of one stream take turns; the second one sees what the first one wrote."""
    async with store.connect() as one, store.connect() as other:
        stream, start = await started(one, topic_name)
        locked = asyncio.Event()

        async def second() -> int:
            async with other.transaction():
                locked.set()
                await other.lock([stream.id])
                return (await other.heads([stream.id]))[stream.id].next_offset

        async with one.transaction():
            await one.lock([stream.id])
            waiting = asyncio.create_task(second())
            await locked.wait()
            await one.append([rows_after(start, 5)])
            assert not waiting.done()
        assert await waiting == 5


async def test_other_streams_are_free(store: Store, topic_name: str):
    """A lock holds its own stream up, and no other."""
    async with store.connect() as one, store.connect() as other:
        mine, theirs = await one.stream(topic_name, 0), await one.stream(topic_name, 1)
        async with one.transaction(), other.transaction():
            await one.lock([mine.id])
            async with asyncio.timeout(5):
                await other.lock([theirs.id])


async def test_frozen_holder_is_ended_and_changes_nothing(store: Store, topic_name: str):
    """Who holds a stream for longer than the takeover time loses it, with all that it wrote."""
    async with store.connect() as frozen, store.connect() as owner:
        stream, start = await started(frozen, topic_name)
        with pytest.raises(DatabaseUnavailableError):
            async with frozen.transaction():
                await frozen.lock([stream.id])
                await frozen.copy_rows([(stream.id, [row(0, reason="zombie")])])
                async with asyncio.timeout(5), owner.transaction():
                    await owner.lock([stream.id])
                    await owner.copy_rows([(stream.id, [row(0), row(1)])])
                    await owner.append([rows_after(start, 2)])
                await frozen.add_originals([(stream.id, 1, b"zombie")])
                await frozen.append([rows_after(start)])
        assert await store.kept(stream.id) == Kept([0, 1], ["start", "records"], [], [])
        assert (await frozen.heads([stream.id]))[stream.id].next_offset == 2


# --- rows ----------------------------------------------------------------------------------------


async def test_copy_of_a_taken_key_leaves_nothing(store: Store, topic_name: str):
    """One taken key refuses the whole copy, whether it was there or comes twice at once."""
    async with store.connect() as database:
        stream = await database.stream(topic_name, 0)
        first = row(0)
        await database.copy_rows([(stream.id, [first])])
        for batch in (
            [row(1), first._replace(kafka_offset=2)],
            [same := row(3), same._replace(kafka_offset=4)],
        ):
            with pytest.raises(RowKeyTakenError):
                await database.copy_rows([(stream.id, batch)])
        assert (await store.kept(stream.id)).rows == [0]


async def test_same_id_at_another_time_is_another_key(store: Store, topic_name: str):
    """The key holds both id and timestamp."""
    async with store.connect() as database:
        stream = await database.stream(topic_name, 0)
        first = row(0)
        await database.copy_rows(
            [(stream.id, [first, first._replace(timestamp_us=first.timestamp_us + 1)])]
        )


SAME = [
    pytest.param({}, id="nothing changed"),
    pytest.param(
        {"metadata": b'{"n":1.10,  "b":{"y":2,"x":1}}'}, id="JSON in another order and spacing"
    ),
]
OTHER = [
    pytest.param({"reason": "other"}, id="a column"),
    pytest.param({"user_id": None}, id="a column that is null"),
    pytest.param({"metadata": b'{"b":{"x":1,"y":2},"n":1.1}'}, id="1.1 for 1.10"),
    pytest.param({"metadata": b'{"b":{"x":1,"y":2}}'}, id="a key less"),
]


@pytest.mark.parametrize(
    ("changes", "same"),
    [(p.values[0], True) for p in SAME] + [(p.values[0], False) for p in OTHER],
    ids=[p.id for p in SAME + OTHER],
)
@pytest.mark.parametrize("earlier", [True, False], ids=["written before", "in the same batch"])
async def test_staging_tells_duplicates_from_reused_ids(
    store: Store, topic_name: str, changes: dict, same: bool, earlier: bool
):
    """A taken key comes back with who took it and whether it says the same; the rest is written."""
    first = row(0, metadata=b'{"b":{"x":1,"y":2},"n":1.10}')
    again = first._replace(kafka_offset=2, **changes)
    async with store.connect() as database:
        stream = await database.stream(topic_name, 0)
        if earlier:
            await database.copy_rows([(stream.id, [first])])
        batch = [row(1), again] if earlier else [first, row(1), again]
        async with database.transaction():
            conflicts = await database.stage_rows([(stream.id, batch)])
        assert conflicts == [Conflict(stream.id, 2, (stream.id, 0), same)]
        assert (await store.kept(stream.id)).rows == [0, 1]


async def test_conflict_names_the_stream_that_has_the_key(store: Store, topic_name: str):
    """A publisher that retried to another partition made a duplicate across streams."""
    first = row(5)
    async with store.connect() as database:
        theirs, mine = await database.stream(topic_name, 0), await database.stream(topic_name, 1)
        await database.copy_rows([(theirs.id, [first])])
        async with database.transaction():
            conflicts = await database.stage_rows([(mine.id, [first._replace(kafka_offset=9)])])
        assert conflicts == [Conflict(mine.id, 9, (theirs.id, 5), True)]


async def test_row_that_is_itself_there_is_no_conflict(store: Store, topic_name: str):
    """A row at its own offset is not a duplicate of itself."""
    first = row(0)
    async with store.connect() as database:
        stream = await database.stream(topic_name, 0)
        await database.copy_rows([(stream.id, [first])])
        async with database.transaction():
            assert await database.stage_rows([(stream.id, [first])]) == []


async def test_each_batch_is_staged_alone(store: Store, topic_name: str):
    """What one transaction staged is not met again by the next one."""
    async with store.connect() as database:
        stream = await database.stream(topic_name, 0)
        for offset in (0, 1):
            async with database.transaction():
                assert await database.stage_rows([(stream.id, [row(offset)])]) == []
        assert (await store.kept(stream.id)).rows == [0, 1]


BAD_ROWS = {
    "broken JSON": row(metadata=b"{"),
    "NUL": row(reason="a\0b"),
    "decision": row(decision="maybe"),
    "no decision": row(decision=None),
    "null": row(reason=None),
    "no uuid": row(id="none"),
}


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
async def test_row_that_no_decoder_should_let_through_is_refused(
    store: Store, topic_name: str, bad: Row
):
    """Both ways of writing refuse it as a row's fault; trying it leaves nothing."""
    async with store.connect() as database:
        stream = await database.stream(topic_name, 0)
        for write in (database.copy_rows, database.stage_rows):
            with pytest.raises(RowRefusedError):
                async with database.transaction():
                    await write([(stream.id, [row(1), bad])])
        assert await database.refuses(stream.id, [row(1), bad])
        assert not await database.refuses(stream.id, [row(1)])
        assert await store.kept(stream.id) == NOTHING


async def test_taken_key_is_no_refusal(store: Store, topic_name: str):
    """The search for a bad row is not led astray by a duplicate."""
    first = row(0)
    async with store.connect() as database:
        stream = await database.stream(topic_name, 0)
        await database.copy_rows([(stream.id, [first])])
        assert not await database.refuses(stream.id, [first._replace(kafka_offset=1)])


async def test_missing_partition_is_made_on_demand(partitioned_store: Store, topic_name: str):
    """A day without a partition is told from a row's fault, and is writable once it is made."""
    day = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=400)
    far = row(0, timestamp_us=(day - dt.date(1970, 1, 1)).days * 86_400_000_000)
    async with partitioned_store.connect() as database:
        stream = await database.stream(topic_name, 0)
        for write in (database.copy_rows, database.stage_rows):
            with pytest.raises(PartitionMissingError):
                async with database.transaction():
                    await write([(stream.id, [far])])
        await database.make_partitions([day])
        await database.copy_rows([(stream.id, [far])])
        assert (await partitioned_store.kept(stream.id)).rows == [0]


# --- what assignment asks ------------------------------------------------------------------------


async def test_last_frame_is_the_record_before_the_head(store: Store, topic_name: str):
    """The frame comes back byte for byte, whatever was in the record."""
    frames = [ledger.frame(each) for each in (record(0), garbage(1))]
    async with store.connect() as database:
        stream, start = await started(database, topic_name)
        assert await database.last_frame(stream, start.head) is None
        entry = ledger.records_entry(stream.id, start.head, b"d" * 32, [None, "not_json"], RULES)
        async with database.transaction():
            packed = pack_originals(frames, [None, "not_json"])
            await database.add_originals([(stream.id, entry.sequence, packed)])
            await database.append([entry])
        assert await database.last_frame(stream, entry.head) == frames[1]


async def test_damaged_originals_stop_their_partition(store: Store, topic_name: str):
    """Originals that cannot be read are that partition's fault, not the worker's end."""
    async with store.connect() as database:
        stream, start = await started(database, topic_name)
        entry = rows_after(start)
        async with database.transaction():
            packed = pack_originals([ledger.frame(record(0))], [None])
            await database.add_originals([(stream.id, 1, packed)])
            await database.append([entry])
        await store.damage_originals(stream.id)
        with pytest.raises(PartitionFault) as fault:
            await database.last_frame(stream, entry.head)
        assert (fault.value.topic, fault.value.partition) == (topic_name, 0)


async def test_rejections_are_counted_back_to_the_last_row(store: Store, topic_name: str):
    """Entries of nothing but rejections add up until one has a row or a duplicate."""
    async with store.connect() as database:
        stream, entry = await started(database, topic_name)
        counts = []
        for verdicts in (["empty"] * 2, [None], ["empty"] * 3, ["empty"], [(stream.id, 1)]):
            entry = ledger.records_entry(stream.id, entry.head, b"d" * 32, verdicts, RULES)
            await database.append([entry])
            counts.append(await database.rejected_in_a_row(stream.id))
        assert counts == [2, 0, 3, 4, 0]


async def test_odd_records_can_be_kept_aside(store: Store, topic_name: str):
    """Quarantine takes nulls, NULs and bytes that are no text."""
    async with store.connect() as database:
        stream = await database.stream(topic_name, 0)
        bare = QuarantineRow(stream.id, 0, 0, None, b"\x90", None, "empty", "no value")
        await database.add_quarantine(
            [bare, bare._replace(kafka_offset=1, key=b"\0\xff", value=b"\0")]
        )
        assert (await store.kept(stream.id)).quarantine == [0, 1]
