"""Whatever is published, each record becomes a row or one quarantine entry, neighbours untouched."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from drawn_events import draw, values
from given_events import ID
from stage import assert_invariants
from stage.journal import event, events

if TYPE_CHECKING:
    import random

    from stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

DRAWN = 10_000
OLD_ENOUGH = {"INGEST_EVENTS__MAX_AGE": "3650d"}

POISON: dict[str, bytes | None] = {
    "tombstone": None,
    "empty": b"",
    "spaces": b"   ",
    "not_json": b"{not json",
    "byte order mark": b"\xef\xbb\xbf{}",
    "array": b"[]",
    "null": b"null",
    "nan": b'{"timestamp": NaN}',
    "no fields": b"{}",
    "invalid utf-8": b'{"reason": "\xff\xfe"}',
    "raw NUL": b'{"reason": "\x00"}',
    "deep": b"[" * 5_000 + b"]" * 5_000,
    "deepest": b'{"a":' * 200_000,
    "too large": b'{"reason": "' + b"x" * 1_048_576 + b'"}',
    "unfinished": b'{"event_type": "tool_invoke"',
}


async def _rows(stage: Stage) -> dict[tuple[int, int], asyncpg.Record]:
    connection = await asyncpg.connect(stage.dsn)
    try:
        found = await connection.fetch(
            "select s.partition, e.* from gateway_audit_events e"
            " join gateway_audit_streams s on s.id = e.stream_id"
        )
    finally:
        await connection.close()
    return {(row["partition"], row["kafka_offset"]): row for row in found}


async def _verdicts(stage: Stage, table: str) -> dict[int, str]:
    connection = await asyncpg.connect(stage.dsn)
    try:
        found = await connection.fetch(f"select kafka_offset, reason from {table}")
    finally:
        await connection.close()
    return {row["kafka_offset"]: row["reason"] for row in found}


async def test_each_poison_record_is_quarantined_once_between_good_neighbours(
    stage: Stage, seed: random.Random
) -> None:
    """Each kind of bad record is kept aside byte for byte, and every good one beside it is a row."""
    hostile = [
        event(seed, 1, metadata={"n": 10**50}),
        event(seed, 2, decision="perhaps"),
        event(seed, 3, timestamp=1_700_000_000_000),
        event(seed, 4, user_id="u" * 513),
        event(seed, 5).replace(b'"n": 5', b'"n": 1e131071'),
        event(seed, 6).replace(b'"policy"', rb'"\ud800"'),
    ]
    bad = [*POISON.values(), *hostile]
    for number, value in enumerate(bad):
        await stage.produce([event(seed, number), value, event(seed, number)], partition=0)
    stage.start_worker()
    await stage.drained()
    quarantine = await _verdicts(stage, "gateway_audit_quarantine")
    assert sorted(quarantine) == [3 * number + 1 for number in range(len(bad))]
    assert {"empty", "not_json", "too_deep", "too_large", "bad_decision"} <= {*quarantine.values()}
    assert len(await _rows(stage)) == 2 * len(bad)
    await assert_invariants(stage)


async def test_a_nul_is_stored_marked_not_hidden(stage: Stage, seed: random.Random) -> None:
    """A caller cannot hide an event by a NUL: it is stored as U+FFFD, and counted."""
    hidden = event(seed, 1).replace(b"user-1", rb"user\u0000-1")
    await stage.produce([hidden], partition=0)
    stage.start_worker()
    await stage.drained()
    row = (await _rows(stage))[0, 0]
    assert row["user_id"] == "user\N{REPLACEMENT CHARACTER}-1"
    assert json.loads(row["metadata"])["_ingest"]["nul_replaced"] == 1
    await assert_invariants(stage)


async def test_no_key_and_odd_headers_do_not_matter(stage: Stage, seed: random.Random) -> None:
    """Header names that are not UTF-8, empty ones, missing values and keys: all become rows."""
    await stage.produce(
        events(seed, 3), partition=0, headers=[("", None), ("ä", b"\xff"), ("", b"")]
    )
    await _produce_with_header_name(stage, event(seed, 4), b"\xff\xfe")
    await stage.produce(events(seed, 3), partition=0)
    await stage.produce(events(seed, 20))
    stage.start_worker()
    await stage.drained()
    await assert_invariants(stage)


async def _produce_with_header_name(stage: Stage, value: bytes, name: bytes) -> None:
    """Produce what aiokafka refuses to: a batch whose header name is rewritten after encoding."""
    placeholder = b"n" * len(name)
    async with AIOKafkaProducer(bootstrap_servers=stage.bootstrap) as producer:
        batch = producer.create_batch()
        batch.append(key=None, value=value, timestamp=None, headers=[(placeholder.decode(), b"v")])
        encoded = bytearray(batch._build()[:])
        at = encoded.index(placeholder + b"\x02v")
        encoded[at : at + len(name)] = name
        encoded[17:21] = struct.pack(">I", calc_crc32c(bytes(encoded[21:])))
        batch._buffer = bytes(encoded)
        done = await (await producer.send_batch(batch, stage.topic, partition=0))
    stage.journal.records[done.partition, done.offset] = (None, value)


@pytest.fixture(scope="module")
def drawn_values() -> list[bytes]:
    """Return arbitrary bytes, arbitrary JSON and damaged events, drawn once for both editions."""
    return draw(values, DRAWN)


@pytest.mark.timeout(600)  # drawing them takes half a minute of a processor that others want, too
async def test_ten_thousand_drawn_records(
    stage: Stage, seed: random.Random, drawn_values: list[bytes]
) -> None:
    """Of whatever is drawn every record is accounted for, and verify agrees."""
    # The drawn events share one id: most get one of their own, or all would be reused ids.
    distinct = [
        value if seed.random() < 0.02 else value.replace(ID.encode(), _new_id(seed))
        for value in drawn_values
    ]
    await stage.produce(distinct)
    stage.start_worker(**OLD_ENOUGH)
    await stage.drained(seconds=120)
    await assert_invariants(stage, duplicates=None)


def _new_id(rng: random.Random) -> bytes:
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join(
        digits[a:b] for a, b in [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)]
    ).encode()


async def test_same_id_again_is_a_duplicate_or_a_reused_id(
    stage: Stage, seed: random.Random
) -> None:
    """The same event again is counted and not written; other content under its id is kept aside."""
    first, second = events(seed, 2)
    changed = first.replace(b'"policy"', b'"forged"')
    padded = second.replace(b"1.1", b"1.10")
    await stage.produce([first, second], partition=0)
    stage.start_worker()
    await stage.drained()
    # In one batch and across partitions, beside neighbours that are new.
    await stage.produce([*events(seed, 5), first, changed, padded, first], partition=0)
    await stage.produce([second, *events(seed, 5)], partition=1)
    await stage.drained()
    quarantine = await _verdicts(stage, "gateway_audit_quarantine")
    assert quarantine == {8: "id_reused", 9: "id_reused"}
    assert len(await _rows(stage)) == 12
    await assert_invariants(stage, duplicates=3)
