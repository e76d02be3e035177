"""I1 to I5 and I7 of the fault matrix, asserted from what was produced and what the database holds.

They are computed here from the journal and plain SQL, without the code under test, but for
`verify`, which has to agree.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import asyncpg

from ingest_service.compliance.verify import verify

if TYPE_CHECKING:
    from collections.abc import Collection

    from stage.journal import Position
    from stage.stage import Stage

MEMORY_CAP_MIB = 400

_ROWS = """
select s.partition, e.kafka_offset, e.id::text, e.metadata::text
from gateway_audit_events e join gateway_audit_streams s on s.id = e.stream_id where s.topic = $1 and s.epoch = $2
"""
_QUARANTINE = """
select s.partition, q.kafka_offset, q.value, q.reason
from gateway_audit_quarantine q join gateway_audit_streams s on s.id = q.stream_id
where s.topic = $1 and s.epoch = $2
"""
_LEDGER = """
select s.partition, l.first_offset, l.next_offset, l.kind, l.row_count, l.duplicate_count,
    l.quarantine_count
from gateway_audit_ledger l join gateway_audit_streams s on s.id = l.stream_id
where s.topic = $1 and s.epoch = $2 order by s.id, l.sequence
"""


async def assert_invariants(
    stage: Stage,
    *,
    duplicates: int | None = 0,
    given_up: Collection[Position] = (),
    epoch: int = 1,
) -> None:
    """Assert that nothing is lost, twice, or changed.

    `duplicates` were produced on purpose; None takes the ledger's word, which `verify` checks.
    What an operator has given up was produced and is nowhere; the journal is of this epoch.
    """
    connection = await asyncpg.connect(stage.dsn)
    try:
        rows = await connection.fetch(_ROWS, stage.topic, epoch)
        quarantine = await connection.fetch(_QUARANTINE, stage.topic, epoch)
        ledger = await connection.fetch(_LEDGER, stage.topic, epoch)
    finally:
        await connection.close()
    if duplicates is None:
        duplicates = sum(entry["duplicate_count"] for entry in ledger)
    written = [(row["partition"], row["kafka_offset"]) for row in rows]
    aside = [(row["partition"], row["kafka_offset"]) for row in quarantine]
    twice = [position for position, count in Counter(written + aside).items() if count > 1]
    assert not twice, f"I2: offsets that are there twice: {twice[:5]}"
    _assert_nothing_lost(stage, written, aside, duplicates, given_up)
    _assert_unchanged(stage, rows, quarantine)
    _assert_contiguous(stage, ledger, len(written), len(aside), duplicates)
    await _assert_group_behind(stage)
    _assert_memory_bounded(stage)
    await _assert_verified(stage)


def _assert_nothing_lost(
    stage: Stage, written: list, aside: list, duplicates: int, given_up: Collection[Position]
) -> None:
    there = set(written) | set(aside)
    assert not there & set(given_up), "I1: something is there that was given up"
    missing = stage.journal.records.keys() - there - set(given_up)
    assert len(missing) == duplicates, f"I1: lost {sorted(missing)[:5]} of {len(missing)}"
    assert there <= stage.journal.records.keys(), "I1: something is there that nobody produced"


def _assert_unchanged(stage: Stage, rows: list, quarantine: list) -> None:
    for row in rows:
        _, value = stage.journal.records[row["partition"], row["kafka_offset"]]
        sent = json.loads(value)
        if sent.get("id") is not None:
            assert row["id"] == sent["id"].lower(), "I1: a row stands at another event's offset"
        if "_ingest" not in row["metadata"] and "_extra" not in row["metadata"]:
            assert _exactly(row["metadata"]) == _sent_metadata(value), "I4: changed"
    for row in quarantine:
        _, value = stage.journal.records[row["partition"], row["kafka_offset"]]
        assert _hash(row["value"]) == _hash(value), "I4: quarantine holds other bytes"


def _sent_metadata(value: bytes | None) -> object:
    return _exactly(value or b"").get("metadata") or {}


def _exactly(text: str | bytes) -> dict:
    """Parse without floats: to them 1e308 and the same number in 309 digits are different."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def _hash(value: bytes | None) -> str | None:
    return None if value is None else hashlib.sha256(value).hexdigest()


def _assert_contiguous(stage: Stage, ledger: list, rows: int, aside: int, duplicates: int) -> None:
    position: dict[int, int] = {}
    for entry in ledger:
        partition = entry["partition"]
        if entry["kind"] == "records":
            assert entry["first_offset"] == position[partition], "I3: a hole in the ledger"
        position[partition] = entry["next_offset"]
    for partition, end in stage.journal.ends().items():
        assert position[partition] == end, f"I3: partition {partition} ends elsewhere"
    assert sum(entry["row_count"] for entry in ledger) == rows
    assert sum(entry["quarantine_count"] for entry in ledger) == aside
    assert sum(entry["duplicate_count"] for entry in ledger) == duplicates


async def _assert_group_behind(stage: Stage) -> None:
    committed = await stage.committed()
    heads = await stage.heads()
    ahead = [partition for partition, offset in committed.items() if offset > heads[partition]]
    assert not ahead, f"I5: Kafka was told more than is durable of {ahead}"


def _assert_memory_bounded(stage: Stage) -> None:
    for worker in stage.workers:
        peak = worker.peak_mib()
        assert peak <= MEMORY_CAP_MIB, f"I7: {worker.name} took {peak} MiB"


async def _assert_verified(stage: Stage) -> None:
    # Not as the command: that is a process for each test, and it has tests of its own.
    report = await verify(stage.dsn)
    assert report.is_good, f"verify: {report.first_bad}"
