"""`verify` passes honest data of every shape, and names each tampering by its class and place."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest
from isal import igzip

from ingest_service import ledger, originals
from ingest_service.adapters.evidence import open_evidence
from ingest_service.adapters.evidence_tables import ClaimRefusedError
from ingest_service.adapters.migrations import migrate
from ingest_service.compliance.findings import Class
from ingest_service.compliance.selection import EVERYTHING, Selection
from ingest_service.compliance.verify import Report, verify
from ingest_service.errors import SetupError
from ingest_service.events.decode import decode
from ingest_service.events.record import Row, StoredRecord
from ingest_service.shapes import Claim
from logins import login
from schema import COMPLIANCE, OPERATOR, connected
from trail import TOPIC, Trail, event, value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from ingest_service.ledger import Stream

pytestmark = pytest.mark.database

ROWS, ORIGINALS = "gateway_audit_events", "gateway_audit_originals"
LEDGER, QUARANTINE = "gateway_audit_ledger", "gateway_audit_quarantine"


class Written(NamedTuple):
    """An honest database: two partitions, one in a second epoch, with every kind of verdict."""

    dsn: str
    owner: asyncpg.Connection
    trail: Trail
    stream: Stream
    """Offsets 0-9 rows, 10 a duplicate of 3, 11 id_reused, 12 a tombstone, 13 not_json, 14-19 rows,
    20-29 an accepted gap, 30-39 rows; entries 0 to 5."""
    other: Stream
    """Offsets 100-104, the first a duplicate of the other stream's 5."""


@pytest.fixture
async def written(database_dsn: str) -> AsyncIterator[Written]:
    await migrate(database_dsn)
    async with connected(database_dsn) as owner:
        # Tampering does not respect constraints or triggers.
        await owner.execute("set session_replication_role = replica")
        trail = Trail(owner)
        stream = await trail.open(partition=0)
        await trail.write(stream, [value(n) for n in range(10)])
        await trail.write(stream, [value(3), value(4, reason="another"), None, b"{"])
        await trail.write(stream, [value(n) for n in range(14, 20)])
        await trail.gap(stream, 30)
        await trail.write(stream, [value(n) for n in range(30, 40)])
        other = await trail.open(partition=1, offset=100)
        await trail.write(other, [value(5), *(value(n) for n in range(101, 105))])
        again = await trail.open(partition=1, epoch=2)
        await trail.write(again, [value(n) for n in range(200, 203)])
        yield Written(database_dsn, owner, trail, stream, other)


def wrong(report: Report) -> dict[Class, list[int]]:
    """Return the offsets of what is wrong, by class."""
    found: dict[Class, list[int]] = {}
    for finding in report.findings:
        if not finding.kind.is_notice:
            found.setdefault(finding.kind, []).append(finding.offset)
    return found


async def test_honest_data_passes(written: Written):
    """Rows, duplicates, reused ids, quarantine, gaps, partitions and epochs: nothing is found."""
    report = await verify(written.dsn)
    assert (report.is_good, wrong(report)) == (True, {})
    assert report.counts == {Class.ACCEPTED_GAP: 1}
    first = report.streams[0]
    assert (first.first_offset, first.next_offset, first.entries) == (0, 40, 6)
    assert (first.records, first.rows, first.duplicates, first.quarantined) == (30, 26, 1, 3)
    assert [each.stream.epoch for each in report.streams] == [1, 1, 2]


async def test_empty_database_passes(database_dsn: str):
    """Before anything arrived nothing is wrong."""
    await migrate(database_dsn)
    report = await verify(database_dsn)
    assert (report.is_good, report.streams) == (True, [])


CHANGES = {
    0: ("event_type", "'discovery'"),
    1: ("user_id", "null"),
    2: ("agent_id", "'somebody'"),
    4: ("server_name", "null"),
    5: ("metadata", """'{"latency_ms": 5.0, "params": {"path": "/p/5"}}'"""),
    6: ("decision", "'deny'"),
    7: ("reason", "''"),
    8: ("gateway_request_id", "'x'"),
    9: ("metadata", """metadata || '{"_ingest": 1}'"""),
    14: ("id", "gen_random_uuid()"),
    15: ("timestamp", """ "timestamp" + interval '1 microsecond'"""),
    16: ("timestamp", """ "timestamp" + interval '1 day'"""),
    17: ("tool_name", "'other'"),
}


async def test_changed_columns_are_named(written: Written):
    """A row that says anything else than its original is found, by column; 5.0 is not 5."""
    await written.owner.execute(
        f"create temp table taken as select * from {ROWS} where stream_id = 1"
    )
    for offset, (column, changed) in CHANGES.items():
        await written.owner.execute(
            f'update taken set "{column}" = {changed} where kafka_offset = {offset}'
        )
    # Taken out and put back: another day is another chunk.
    await written.owner.execute(f"delete from {ROWS} where stream_id = 1")
    await written.owner.execute(f"insert into {ROWS} select * from taken")
    report = await verify(written.dsn, Selection(partition=0))
    assert wrong(report) == {Class.ROW_DIFFERS: sorted(CHANGES)}
    found = {finding.offset: finding for finding in report.findings}
    assert {offset: found[offset].columns for offset in CHANGES} == {
        offset: (column,) for offset, (column, _) in CHANGES.items()
    }
    assert [found[offset].sequence for offset in (0, 9, 14, 17)] == [1, 1, 3, 3]
    assert all(found[offset].stream == written.stream for offset in CHANGES)


async def test_deleted_row_is_missing(written: Written):
    """A row that is gone is found, in the last entry as well as in the first."""
    await written.owner.execute(f"delete from {ROWS} where kafka_offset in (0, 39)")
    assert wrong(await verify(written.dsn, Selection(partition=0))) == {Class.ROW_MISSING: [0, 39]}


async def test_added_rows_are_found(written: Written):
    """A row that no verdict accounts for is found: before, between, in a gap, beyond the head."""
    offsets = [-1, 10, 12, 25, 40, 10**12]
    for offset in offsets:
        await add_row(written, f"stream_id, {offset}")
    assert wrong(await verify(written.dsn)) == {Class.ROW_ADDED: offsets}


async def add_row(written: Written, place: str) -> None:
    """Add what the row at offset 5 says at another place, under an id of its own."""
    await written.owner.execute(
        f"insert into {ROWS} select gen_random_uuid(), event_type, user_id, agent_id, server_name,"
        ' tool_name, decision, reason, "timestamp", gateway_request_id, metadata, created_at,'
        f" {place} from {ROWS} where kafka_offset = 5"
    )


async def test_row_of_no_stream_is_found(written: Written):
    """A row that claims a stream which does not exist cannot hide."""
    await add_row(written, "99, 7")
    assert wrong(await verify(written.dsn)) == {Class.ROW_ADDED: [7]}


async def test_copied_row_under_another_id_is_found(written: Written):
    """The same content at the same offset again, under an id of its own, is one row too many."""
    await add_row(written, "stream_id, kafka_offset")
    assert wrong(await verify(written.dsn)) == {Class.ROW_ADDED: [5]}


async def test_exact_copy_of_a_row_is_found(written: Written):
    """Where the key does not hold, an exact copy is both an extra row and a key that is twice."""
    await written.owner.execute("set session_replication_role = origin")  # for TimescaleDB's
    await written.owner.execute(f"alter table {ROWS} drop constraint gateway_audit_events_pkey")
    await written.owner.execute(
        f"insert into {ROWS} select * from {ROWS} where kafka_offset = 5 and stream_id = $1",
        written.stream.id,
    )
    found = wrong(await verify(written.dsn))
    assert found == {Class.ROW_ADDED: [5], Class.KEY_TWICE: [5]}


async def test_row_moved_to_another_offset_is_found(written: Written):
    """A row that stands elsewhere is named at its own offset, and extra where it stands."""
    await written.owner.execute(f"update {ROWS} set kafka_offset = 25 where kafka_offset = 5")
    report = await verify(written.dsn, Selection(partition=0))
    assert wrong(report) == {Class.ROW_DIFFERS: [5], Class.ROW_ADDED: [25]}
    assert report.findings[0].columns == ("kafka_offset",)


async def test_row_swapped_with_a_deleted_one_is_found(written: Written):
    """One row gone and one added leave every count as it was, and are both found."""
    await written.owner.execute(
        f"update {ROWS} set id = gen_random_uuid(), kafka_offset = 10 where kafka_offset = 5"
    )
    found = wrong(await verify(written.dsn, Selection(partition=0)))
    assert found == {Class.ROW_MISSING: [5], Class.ROW_ADDED: [10]}


async def test_changed_target_of_a_duplicate_is_found_at_both(written: Written):
    """The row of which a record is a duplicate must say what that record says."""
    await written.owner.execute(f"update {ROWS} set reason = 'x' where kafka_offset = 3")
    assert wrong(await verify(written.dsn)) == {Class.ROW_DIFFERS: [3, 10]}


async def test_deleted_target_of_a_duplicate_is_found_in_another_stream(written: Written):
    """A duplicate's row is looked for where the verdict says, even when that is not selected."""
    await written.owner.execute(f"delete from {ROWS} where kafka_offset = 5")
    report = await verify(written.dsn, Selection(partition=1))
    assert wrong(report) == {Class.ROW_MISSING: [100]}


async def test_deleted_row_that_took_an_id_is_found_at_both(written: Written):
    """`id_reused` means that another row has the key: without it the verdict has no ground."""
    await written.owner.execute(f"delete from {ROWS} where kafka_offset = 4")
    assert wrong(await verify(written.dsn)) == {Class.ROW_MISSING: [4, 11]}


# --- quarantine ----------------------------------------------------------------------------------


async def test_changed_quarantine_is_named(written: Written):
    """Quarantine holds the record's own bytes, its time and its reason; else the column is named."""
    await written.owner.execute(f"""
        update {QUARANTINE} set value = 'x' where kafka_offset = 11;
        update {QUARANTINE} set key = null, kafka_timestamp = now() where kafka_offset = 12;
        update {QUARANTINE} set headers = 'x', reason = 'empty' where kafka_offset = 13""")
    report = await verify(written.dsn)
    assert wrong(report) == {Class.QUARANTINE_DIFFERS: [11, 12, 13]}
    assert [finding.columns for finding in report.findings if not finding.kind.is_notice] == [
        ("value",),
        ("kafka_timestamp", "key"),
        ("headers", "reason"),
    ]


async def test_deleted_quarantine_is_missing(written: Written):
    """A quarantined record whose row is gone is found."""
    await written.owner.execute(f"delete from {QUARANTINE} where kafka_offset = 12")
    assert wrong(await verify(written.dsn)) == {Class.QUARANTINE_MISSING: [12]}


async def test_added_quarantine_is_found(written: Written):
    """Quarantine of a record that became a row, or of none at all, is found."""
    await written.owner.execute(f"""
        update {QUARANTINE} set kafka_offset = 5 where kafka_offset = 11;
        update {QUARANTINE} set kafka_offset = 25 where kafka_offset = 12;
        update {QUARANTINE} set kafka_offset = 40 where kafka_offset = 13""")
    found = wrong(await verify(written.dsn))
    assert found[Class.QUARANTINE_MISSING] == [11, 12, 13]
    assert found[Class.QUARANTINE_ADDED] == [5, 25, 40]


# --- the ledger ----------------------------------------------------------------------------------


async def test_swapped_entries_break_the_chain(written: Written):
    """Two entries that changed places are named where they stand; their rows are still compared."""
    await written.owner.execute(
        f"update {LEDGER} set sequence = case sequence when 1 then 2 when 2 then 1"
        " else sequence end + 1000 where stream_id = $1 and sequence in (1, 2)",
        written.stream.id,
    )
    await written.owner.execute(
        f"update {LEDGER} set sequence = sequence - 1000 where sequence > 999"
    )
    found = wrong(await verify(written.dsn, Selection(partition=0)))
    assert found.keys() == {Class.BROKEN_LINK, Class.CHANGED_BYTES, Class.CHANGED_ENTRY}
    assert min(found[Class.BROKEN_LINK]) == 0


async def test_removed_entry_breaks_the_chain(written: Written):
    """An entry that is gone from the middle leaves a broken link, and rows nobody accounts for."""
    await written.owner.execute(f"delete from {LEDGER} where stream_id = 1 and sequence = 3")
    found = wrong(await verify(written.dsn))
    assert found[Class.BROKEN_LINK] == [20, 20]
    assert found[Class.ORIGINALS_ADDED] == [14]
    assert found[Class.ROW_ADDED] == [14, 15, 16, 17, 18, 19]


async def test_removed_start_breaks_the_chain(written: Written):
    """A chain without its beginning is no chain."""
    await written.owner.execute(f"delete from {LEDGER} where stream_id = 1 and sequence = 0")
    assert wrong(await verify(written.dsn)) == {Class.BROKEN_LINK: [0]}


@pytest.mark.parametrize(
    ("change", "sequence", "kinds"),
    [
        ("digest = sha256('x')", 1, {Class.CHANGED_BYTES: [0], Class.CHANGED_ENTRY: [0]}),
        ("digest = sha256('x')", 4, {Class.CHANGED_ENTRY: [20, 20]}),
        ("digest = sha256('x')", 0, {Class.CHANGED_ENTRY: [0, 0]}),
        ("hash = sha256('x')", 1, {Class.CHANGED_ENTRY: [0], Class.BROKEN_LINK: [10]}),
        ("previous_hash = sha256('x')", 2, {Class.CHANGED_ENTRY: [10], Class.BROKEN_LINK: [10]}),
        ("row_count = 9, duplicate_count = 1", 1, {Class.CHANGED_ENTRY: [0, 0]}),
        ("limits = '{\"max_age_seconds\": 2591999}'", 1, {Class.CHANGED_ENTRY: [0]}),
    ],
)
async def test_changed_entry_is_found(
    written: Written, change: str, sequence: int, kinds: dict[Class, list[int]]
):
    """Whatever an entry says is under its hash, and one changed entry accuses no other's bytes."""
    await written.owner.execute(
        f"update {LEDGER} set {change} where stream_id = 1 and sequence = $1", sequence
    )
    assert wrong(await verify(written.dsn)) == kinds


async def test_unknown_contract_is_said(written: Written):
    """A newer service's entries are not called wrong: this version says that it cannot tell."""
    await written.owner.execute(f"update {LEDGER} set contract = 9 where sequence = 3")
    found = wrong(await verify(written.dsn))
    assert found == {Class.CHANGED_ENTRY: [14], Class.UNDECODABLE: [14]}


async def test_row_missing_of_an_entry_that_cannot_be_decoded(written: Written):
    """Where rows cannot be compared they are still counted, offset by offset."""
    await written.owner.execute(f"update {LEDGER} set limits = '[]' where sequence = 3")
    await written.owner.execute(f"delete from {ROWS} where kafka_offset = 16")
    found = wrong(await verify(written.dsn))
    assert found[Class.ROW_MISSING] == [16]
    assert found[Class.UNDECODABLE] == [14]


# --- the originals -------------------------------------------------------------------------------


async def test_cut_tail_of_the_originals_is_found(written: Written):
    """Originals that are gone are missing; the rows, which may be untouched, are not accused."""
    await written.owner.execute(f"delete from {ORIGINALS} where stream_id = 1 and sequence >= 3")
    found = wrong(await verify(written.dsn))
    assert found == {Class.ORIGINALS_MISSING: [14, 30]}


async def test_cut_tail_with_its_rows_is_counted(written: Written):
    """Without originals the ledger still says how many rows there must be."""
    await written.owner.execute(f"delete from {ORIGINALS} where stream_id = 1 and sequence >= 3")
    await written.owner.execute(f"delete from {ROWS} where kafka_offset between 30 and 32")
    report = await verify(written.dsn)
    assert wrong(report) == {Class.ORIGINALS_MISSING: [14, 30], Class.ROW_MISSING: [30]}
    assert report.counts[Class.ROW_MISSING] == 3


async def test_row_added_where_originals_are_missing_is_counted(written: Written):
    """A missing original does not open a place for another row."""
    await written.owner.execute(f"delete from {ORIGINALS} where stream_id = 1 and sequence = 3")
    await written.owner.execute(
        f"update {ROWS} set kafka_offset = 15 where kafka_offset = 35 and stream_id = 1"
    )
    found = wrong(await verify(written.dsn))
    assert found[Class.ROW_ADDED] == [14]
    assert found[Class.ROW_DIFFERS] == [35]


async def change_originals(written: Written, sequence: int, change) -> None:
    """Replace an entry's originals by what `change` makes of their frames and verdicts."""
    where = "where stream_id = $1 and sequence = $2"
    packed = await written.owner.fetchval(
        f"select records from {ORIGINALS} {where}", written.stream.id, sequence
    )
    kept = originals.unpack_originals(packed, written.stream.topic, written.stream.partition)
    frames, verdicts = change([each.frame for each in kept], [each.verdict for each in kept])
    await written.owner.execute(
        f"update {ORIGINALS} set records = $3 {where}",
        written.stream.id,
        sequence,
        originals.pack_originals(frames, verdicts),
    )


async def test_changed_original_is_found(written: Written):
    """A byte that changed in the originals is found by the digest, and in the row that it denies."""

    def change(frames, verdicts):
        return [frame.replace(b"policy", b"palicy") for frame in frames[:1]] + frames[1:], verdicts

    await change_originals(written, 3, change)
    found = wrong(await verify(written.dsn))
    assert found == {Class.CHANGED_BYTES: [14], Class.ROW_DIFFERS: [14]}


async def test_original_and_row_changed_together_are_found(written: Written):
    """A forger who changes both still cannot make the digest."""

    def change(frames, verdicts):
        return [frame.replace(b"policy", b"palicy") for frame in frames], verdicts

    await change_originals(written, 3, change)
    await written.owner.execute(
        f"update {ROWS} set reason = 'palicy' where kafka_offset between 14 and 19"
    )
    assert wrong(await verify(written.dsn)) == {Class.CHANGED_BYTES: [14]}


async def test_cut_original_is_found(written: Written):
    """The last record missing inside an entry's originals is found; its row is not accused."""
    await change_originals(written, 3, lambda frames, verdicts: (frames[:-1], verdicts[:-1]))
    found = wrong(await verify(written.dsn))
    assert found == {Class.CHANGED_BYTES: [14], Class.CHANGED_ENTRY: [14, 14]}


async def test_reordered_originals_are_found(written: Written):
    """Records in another order are not what arrived."""
    await change_originals(written, 3, lambda frames, verdicts: (frames[::-1], verdicts))
    assert wrong(await verify(written.dsn)) == {Class.CHANGED_BYTES: [14]}


async def test_unreadable_originals_are_found(written: Written):
    """Bytes that are no originals at all are found, and the rest is still checked."""
    await written.owner.execute(f"update {ORIGINALS} set records = 'x' where sequence = 3")
    await written.owner.execute(f"delete from {ROWS} where kafka_offset = 30")
    found = wrong(await verify(written.dsn))
    assert found == {Class.CHANGED_BYTES: [14], Class.ROW_MISSING: [30]}


async def test_bomb_among_the_originals_is_found(written: Written):
    """Originals that would unpack to a gigabyte are changed bytes, and the rest is still checked."""
    bomb = igzip.compress(bytes(1 << 30), 1)
    await written.owner.execute(f"update {ORIGINALS} set records = $1 where sequence = 3", bomb)
    await written.owner.execute(f"delete from {ROWS} where kafka_offset = 30")
    found = wrong(await verify(written.dsn))
    assert found == {Class.CHANGED_BYTES: [14], Class.ROW_MISSING: [30]}


async def test_second_originals_of_an_entry_are_found(written: Written):
    """An entry has one original text, not two to choose from."""
    await written.owner.execute(
        f"insert into {ORIGINALS} select stream_id, sequence, records, created_at"
        f" + interval '1 s' from {ORIGINALS} where stream_id = 1 and sequence = 3"
    )
    assert wrong(await verify(written.dsn)) == {Class.ORIGINALS_ADDED: [14]}


@pytest.mark.parametrize("verdict", ["not_json", "secret", "nul\0", (1, 0), (-1, 2**62)])
async def test_changed_verdict_is_found(written: Written, verdict: object):
    """A verdict is under the entry's hash, and must be what the decoder and the tables say."""
    await change_originals(written, 3, lambda frames, verdicts: (frames, [verdict, *verdicts[1:]]))
    report = await verify(written.dsn)
    found = wrong(report)
    assert found[Class.CHANGED_ENTRY] == [14, 14]
    assert found[Class.ROW_ADDED] == [14], "its row has lost its ground"
    assert not any("secret" in finding.detail for finding in report.findings)


async def test_forged_verdict_under_a_right_hash_is_found(written: Written):
    """Who can write the whole chain anew still cannot call a good record bad."""
    await written.trail.write(written.stream, [value(40)])
    await change_originals(written, 6, lambda frames, _: (frames, ["not_json"]))
    await reseal(written, 6, ["not_json"], (0, 0, 1))
    found = wrong(await verify(written.dsn))
    assert found == {
        Class.WRONG_VERDICT: [40],
        Class.ROW_ADDED: [40],
        Class.QUARANTINE_MISSING: [40],
    }


async def test_wrongly_called_row_is_found(written: Written):
    """A record that decodes to a rejection cannot be called a row."""
    await written.trail.write(written.stream, [b"[]"])
    await change_originals(written, 6, lambda frames, _: (frames, [None]))
    await reseal(written, 6, [None], (1, 0, 0))
    found = wrong(await verify(written.dsn))
    assert found == {
        Class.WRONG_VERDICT: [40],
        Class.ROW_MISSING: [40],
        Class.QUARANTINE_ADDED: [40],
    }


async def test_wrongly_called_reuse_is_found(written: Written):
    """`id_reused` of a record that says what the row says is a wrong verdict."""
    await written.trail.write(written.stream, [value(3)])
    await change_originals(written, 6, lambda frames, _: (frames, ["id_reused"]))
    await reseal(written, 6, ["id_reused"], (0, 0, 1))
    found = wrong(await verify(written.dsn))
    assert found == {Class.WRONG_VERDICT: [40], Class.QUARANTINE_MISSING: [40]}


async def reseal(
    written: Written, sequence: int, verdicts: list, counts: tuple[int, int, int]
) -> None:
    """Give an entry these verdicts' counts, and the hash that covers them."""
    tail = written.trail.tail(written.stream)
    entry = tail._replace(
        row_count=counts[0], duplicate_count=counts[1], quarantine_count=counts[2]
    )
    await written.owner.execute(
        f"update {LEDGER} set row_count = $3, duplicate_count = $4, quarantine_count = $5,"
        " hash = $6 where stream_id = $1 and sequence = $2",
        written.stream.id,
        sequence,
        *counts,
        ledger.entry_hash(entry, ledger.encode_verdicts(verdicts)),
    )


# --- what surrounds ------------------------------------------------------------------------------


async def test_id_at_two_times_is_a_notice(written: Written):
    """The same id with another time is a publisher's fault, not a forger's: reported, not wrong."""
    again = value(7, timestamp=event(7)["timestamp"] + 0.5)
    await written.trail.write(written.stream, [again])
    report = await verify(written.dsn)
    assert report.is_good
    assert report.counts[Class.ID_AT_TWO_TIMES] == 1
    assert [f.offset for f in report.findings if f.kind is Class.ID_AT_TWO_TIMES] == [40]


async def test_first_bad_offset_is_the_first_by_place(written: Written):
    """Many findings of several classes: the report leads with the lowest offset."""
    await written.owner.execute(f"delete from {ROWS} where kafka_offset = 39")
    await written.owner.execute(f"delete from {QUARANTINE} where kafka_offset = 12")
    await written.owner.execute(f"update {ROWS} set reason = 'x' where kafka_offset = 17")
    found = (await verify(written.dsn)).first_bad
    assert found is not None
    assert (found.kind, found.offset) == (Class.QUARANTINE_MISSING, 12)


async def test_selection_leaves_the_others_out(written: Written):
    """One partition can be checked alone, in all its epochs."""
    await written.owner.execute(f"delete from {ROWS} where kafka_offset = 15")
    assert not (await verify(written.dsn, Selection(partition=0))).is_good
    report = await verify(written.dsn, Selection(written.stream.topic, 1))
    assert report.is_good
    assert [each.stream.partition for each in report.streams] == [1, 1]


async def test_selecting_nothing_is_refused(written: Written):
    """A misspelt topic must not look like a good result."""
    with pytest.raises(SetupError, match="no such topic"):
        await verify(written.dsn, Selection("gateway.audit.event"))


async def test_reading_is_enough(written: Written):
    """The operator, who cannot write a row, can verify."""
    async with login(written.owner, written.dsn, OPERATOR) as dsn:
        assert (await verify(dsn, EVERYTHING)).is_good


async def test_missing_right_is_said(written: Written):
    """Without the right to read the tables: one message that says what to grant."""
    async with login(written.owner, written.dsn, COMPLIANCE) as dsn:
        with pytest.raises(SetupError, match="grant gateway_audit_operator to"):
            await verify(dsn)


async def test_unmigrated_database_is_said(database_dsn: str):
    """Without tables: one message that says what to run."""
    with pytest.raises(SetupError, match="ingest-service migrate"):
        await verify(database_dsn)


async def test_verify_sees_one_moment_beside_a_writer(written: Written):
    """What others commit while it runs, honest or not, is not half seen: it is not seen at all."""
    told: list[int] = []

    async def write_and_delete() -> None:
        async with connected(written.dsn) as other:
            written.trail.connection = other
            await written.trail.write(written.stream, [value(50)])
            await other.execute(f"delete from {ROWS} where kafka_offset = 101")

    def between(done: int, _total: int) -> None:
        if not told:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(asyncio.run, write_and_delete()).result()
        told.append(done)

    report = await verify(written.dsn, progress=between)
    assert report.is_good
    assert (report.streams[0].next_offset, told[-1]) == (40, 38)
    report = await verify(written.dsn)
    assert report.streams[0].next_offset == 41
    assert wrong(report) == {Class.ROW_MISSING: [101]}


async def test_search_by_place_is_bounded(written: Written, monkeypatch: pytest.MonkeyPatch):
    """A table whose ids were all changed does not fill the memory: the rest is counted."""
    monkeypatch.setattr("ingest_service.compliance.comparison.MOST_PENDING", 2)
    await written.owner.execute(
        f"update {ROWS} set id = gen_random_uuid() where kafka_offset between 30 and 33"
    )
    found = wrong(await verify(written.dsn))
    assert found == {
        Class.ROW_DIFFERS: [30, 31],
        Class.ROW_MISSING: [32, 33],
        Class.ROW_ADDED: [32, 33],
    }


async def test_many_odd_blocks_are_counted(written: Written, monkeypatch: pytest.MonkeyPatch):
    """Beyond a bound the extra rows of a block are told by their number, at its first offset."""
    monkeypatch.setattr("ingest_service.compliance.completeness.MOST_BLOCKS", 1)
    await add_row(written, "stream_id, 11")
    await add_row(written, f"stream_id, {16384 * 5 + 7}")
    await add_row(written, f"stream_id, {16384 * 5 + 9}")
    report = await verify(written.dsn)
    assert wrong(report) == {Class.ROW_ADDED: [11, 16384 * 5]}
    assert report.counts[Class.ROW_ADDED] == 3


async def test_claim_that_the_database_cannot_read_does_not_end_the_snapshot(written: Written):
    """Only a forged original decodes to such a row: it is told apart, and the walk goes on."""
    row = decode(StoredRecord(TOPIC, 0, 5, 1_748_908_795_000, None, value(5)))
    assert isinstance(row, Row)
    good = Claim(written.stream.id, 5, row)
    bad = [good._replace(row=row._replace(metadata=b'"')), good._replace(offset=2**63)]
    async with open_evidence(written.dsn) as evidence:
        await written.owner.execute(f"delete from {ROWS} where kafka_offset = 5")
        for claim in bad:
            with pytest.raises(ClaimRefusedError):
                await evidence.tables.unconfirmed([good, claim])
        assert await evidence.tables.unconfirmed([good]) == [], "it still sees the row"


# --- the command ---------------------------------------------------------------------------------


def command(
    dsn: str, *arguments: str, terminal: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run `ingest-service verify`."""
    kept = {name: text for name, text in os.environ.items() if "INGEST_" not in name}
    return subprocess.run(
        [sys.executable, "-m", "ingest_service", "verify", *arguments],
        env=kept | {"INGEST_DATABASE__DSN": dsn, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        timeout=60,
        check=False,
    )


async def test_command_exits_by_what_it_found(written: Written):
    """0: good; 1: something is wrong, the first bad offset named; 2: it could not be checked."""
    good = await asyncio.to_thread(command, written.dsn)
    assert (good.returncode, good.stderr) == (0, "")
    assert "3 streams, 10 entries, 38 records" in good.stdout
    assert "✓ nothing wrong" in good.stdout
    await written.owner.execute(f"update {ROWS} set reason = 'canary' where kafka_offset = 5")
    bad = await asyncio.to_thread(command, written.dsn, "--topic", TOPIC, "--partition", "0")
    assert bad.returncode == 1
    assert f"first bad offset: {TOPIC}/0@1 offset 5 (entry 1): row differs [reason]" in bad.stdout
    machine = await asyncio.to_thread(command, written.dsn, "--json")
    assert machine.returncode == 1
    assert json.loads(machine.stdout)["first_bad"]["columns"] == ["reason"]
    assert "canary" not in bad.stdout + machine.stdout
    unknown = await asyncio.to_thread(command, written.dsn, "--partition", "9")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "no such topic or partition" in unknown.stderr


async def test_command_shows_progress_on_a_terminal(written: Written):
    """A person sees how far it is, apart from the report."""
    master, terminal = pty.openpty()
    reading = asyncio.create_task(asyncio.to_thread(all_of, master))
    try:
        done = await asyncio.to_thread(command, written.dsn, terminal=terminal)
    finally:
        os.close(terminal)
        shown = await reading
        os.close(master)
    assert "38/38" in shown
    assert "✓ nothing wrong" in done.stdout


def all_of(master: int) -> str:
    """Read a terminal until nobody writes to it any more; unread, it would hold up the writer."""
    shown = b""
    with suppress(OSError):  # EIO: the other end is closed
        while more := os.read(master, 4096):
            shown += more
    return shown.decode()


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://u:canary@127.0.0.1:1/audit", "nothing was proved"),
        ("canary://127.0.0.1", "not a PostgreSQL address"),
    ],
)
def test_command_without_a_database_proves_nothing(dsn: str, said: str):
    """A network fault or a wrong address is one message and exit code 2: no finding, no secret."""
    done = command(dsn)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stderr
